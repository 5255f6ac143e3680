//! `doctor`: what keeps a backup from coming about, what helps, and doing it.

mod ask;
mod fix;
mod listen;
mod password;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, ValueEnum};
use lifeboat_doctor::probe::Look as Probing;
use lifeboat_doctor::report::markdown;
use lifeboat_doctor::{Action, For, Report};
use lifeboat_engine::jobs::diagnose::{self, DiagnosePlan};
use lifeboat_engine::{Context, Findings, Places};
use serde::Serialize;

use self::fix::{Fixed, Mended};
use self::listen::{Heard, Listener};
use super::Ended;
use crate::app::{App, local};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::FAINT;
use crate::ui::doctor;
use crate::ui::error::Failure;
use crate::ui::progress::{Look, Progress};
use crate::ui::text::{parse_duration, plain};

/// Flags of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lifeboat doctor\n  lifeboat doctor --for icloud --ask\n  \
    lifeboat doctor --fix\n  lifeboat doctor --watch\n  lifeboat doctor --listen 30\n  \
    lifeboat doctor --offline --report report.md\n  lifeboat doctor --json --answer other-cable=better\n\n\
    Exit: 4 when something was measured that keeps a backup from coming about (after --fix and --watch: that still does), 130 when it \
    was stopped, 13 where the device that `-u` names is not there and others are, else 0. --json tells what was asked and not done in `refused`.")]
pub(crate) struct DoctorArgs {
    /// Which kind of backup
    #[arg(long = "for", value_name = "KIND", value_enum, default_value_t = Kind::Computer)]
    concern: Kind,
    /// Ask what no measurement can tell, at most six questions
    #[arg(long)]
    ask: bool,
    /// Answer a question of `--ask` without being asked; several times for several
    #[arg(long = "answer", value_name = "ID=WORD")]
    answers: Vec<String>,
    /// Do what the program can do, ask before it changes something, look again
    #[arg(long)]
    fix: bool,
    /// With --fix: do not ask before
    #[arg(long, requires = "fix")]
    yes: bool,
    /// With --fix: another place for the backup, where that is what helps
    #[arg(long, value_name = "DIR", requires = "fix")]
    destination: Option<Utf8PathBuf>,
    /// Look again and again while you act, until the cause is gone
    #[arg(long)]
    watch: bool,
    /// Follow the log of the device, for a minute or as long as is said
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration, num_args = 0..=1, default_missing_value = "60")]
    listen: Option<Duration>,
    /// Ask nothing outside the local network
    #[arg(long)]
    offline: bool,
    /// Write what was seen into a file that can be passed on, without what names people and devices
    #[arg(long, value_name = "FILE")]
    report: Option<Utf8PathBuf>,
    /// With --report: leave in what names people and devices
    #[arg(long, requires = "report")]
    with_identifiers: bool,
    /// Take a probe's sight away (for tests)
    #[arg(long = "blind", value_name = "ID", hide = true)]
    blind: Vec<String>,
}

/// Which kind of backup is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A backup to this computer
    Computer,
    /// iCloud Backup
    Icloud,
}

impl From<Kind> for For {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Computer => Self::Computer,
            Kind::Icloud => Self::Icloud,
        }
    }
}

/// The report, for programs.
#[derive(Serialize)]
struct Examined<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Whether something was measured that keeps a backup from coming about.
    blocked: bool,
    /// What `--fix` did.
    fixed: &'a [Fixed],
    /// What `--fix` did not do, because nobody consented.
    refused: &'a [Action],
    /// What the log of the device said while `--listen` followed it.
    heard: Vec<Heard>,
    /// The UDIDs of the devices that are there, where the one that was named is not.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    others: &'a [String],
    /// What `--ask` would ask.
    questions: Vec<&'static lifeboat_doctor::question::Question>,
}

/// Examines.
pub(crate) async fn run(app: &App, args: DoctorArgs) -> Ended {
    let settings = app.settings()?;
    let mut examiner = Examiner::new(app, settings, &args)?;
    let mut findings = examiner.examine(args.listen).await?;
    ask::given(&mut findings, &args.answers)?;
    if args.listen.is_some() && !app.ui.json {
        examiner.listener.sum_up();
    }
    if args.ask {
        ask::questions(app, &mut findings).await?;
    }
    if let Some(file) = &args.report {
        let mut report = findings.report();
        report.heard = examiner.listener.heard().into_iter().map(|heard| heard.line).collect();
        write_report(app, file, &report, args.with_identifiers)?;
    }
    let report = findings.report();
    if !app.ui.json {
        app.ui.text(doctor::words(&report, app.ui))?;
    }
    if !findings.others.is_empty() {
        let named = examiner.settings.udid.as_deref().unwrap_or_default();
        app.ui.note(elsewhere(named, &findings.others));
    }
    let mut mended = Mended::default();
    if args.fix {
        mended = fix::run(&mut examiner, &args, &mut findings).await?;
    }
    if args.watch {
        watch::run(&examiner, &mut findings).await?;
    }
    let report = findings.report();
    let blocked = report.is_blocked();
    if app.ui.json {
        let questions = ask::worth(&findings);
        let Mended { fixed, refused } = &mended;
        let heard = examiner.listener.heard();
        let (report, others) = (&report, findings.others.as_slice());
        app.ui.object(&Examined { report, blocked, fixed, refused, heard, others, questions })?;
    }
    if app.cancel.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    Ok(match (blocked, findings.others.is_empty()) {
        (true, _) => Exit::Blocking,
        (false, false) => Exit::DeviceNotFound,
        (false, true) => Exit::Done,
    })
}

/// Says that a device that was named is not there, and which are.
fn elsewhere(named: &str, others: &[String]) -> String {
    let named = plain(named);
    let others = others.iter().map(|udid| plain(udid)).collect::<Vec<_>>().join(", ");
    format!("{named} is not there; what is there: {others} (`lifeboat devices` tells their names)")
}

/// What examines, and looks again.
struct Examiner<'a> {
    app: &'a App,
    settings: Settings,
    ctx: Context,
    plan: DiagnosePlan,
    listener: Listener,
}

impl<'a> Examiner<'a> {
    fn new(app: &'a App, settings: Settings, args: &DoctorArgs) -> Result<Self, Failure> {
        let mut doctor = settings.doctor().map_err(|error| Failure::usage_of(&error))?;
        doctor.offline |= args.offline;
        doctor.blind = args.blind.iter().map(|id| id.to_uppercase()).collect();
        let plan = DiagnosePlan {
            places: places(app, &settings)?,
            mux: settings.mux.clone(),
            udid: settings.udid.clone(),
            concern: args.concern.into(),
            settings: doctor,
            // A look changes nothing; the question is put where the person wants something done.
            ask_trust: args.fix || args.watch,
            listen: None,
            only: None,
        };
        let listener = Listener::new(app.ui);
        Ok(Self { app, settings, ctx: app.silent_context(), plan, listener })
    }

    /// Takes the places from the settings anew.
    fn read_settings(&mut self) -> Result<(), Failure> {
        self.settings = self.app.settings()?;
        self.plan.places = places(self.app, &self.settings)?;
        Ok(())
    }

    /// Looks at everything; the log is followed for a while where somebody wants that.
    async fn examine(&self, listen: Option<Duration>) -> Result<Findings, Failure> {
        let live = Live::new(self.app);
        let listen = listen.map(|time| self.listener.listen(time, &live.progress));
        let plan = DiagnosePlan { listen, ..self.plan.clone() };
        let examined = tokio::select! {
            examined = diagnose::run(&self.ctx, &plan, |look| live.tell(look)) => examined,
            () = self.app.cancel.cancelled() => {
                return Err(Failure::new(Exit::Interrupted, "interrupted", "stopped while looking"));
            }
        };
        live.progress.finish();
        Ok(examined?)
    }

    /// Looks again with the probes that can tell whether a cause is gone; without their numbers, with all.
    async fn look_again(&self, findings: &mut Findings, only: &[String]) -> Result<(), Failure> {
        if only.is_empty() {
            let answers = ask::answered(findings);
            *findings = self.examine(None).await?;
            findings.facts.merge(answers);
            return Ok(());
        }
        let live = Live::new(self.app);
        let looked = diagnose::again(&self.ctx, &self.plan, findings, only, |look| live.tell(look));
        looked.await?;
        live.progress.finish();
        Ok(())
    }
}

/// Returns where things lie; a password that would have to be asked for is not needed to look.
fn places(app: &App, settings: &Settings) -> Result<Places, Failure> {
    Ok(Places {
        repository: local(settings)?,
        password: app.given_password(settings).unwrap_or(None),
        key_file: settings.key_file.clone(),
        make_repository: settings.repository_is_default,
        working_area: settings.working_area.clone(),
        cache: settings.cache.clone(),
    })
}

/// Shows live what is being looked at.
struct Live {
    progress: Arc<Progress>,
    looking: Mutex<(usize, Vec<&'static str>)>,
}

impl Live {
    fn new(app: &App) -> Self {
        Self { progress: Arc::new(Progress::new(app.ui)), looking: Mutex::default() }
    }

    fn tell(&self, look: Probing) {
        let mut state = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        match look {
            Probing::Began(probe) => state.1.push(probe.about),
            Probing::Ended(probe, _) => {
                state.0 += 1;
                state.1.retain(|about| *about != probe.about);
            }
        }
        let (done, open) = (state.0, state.1.len());
        let Some(now) = state.1.first() else { return };
        #[expect(clippy::cast_precision_loss, reason = "a few dozen probes become a bar")]
        let percent = done as f64 * 100.0 / (done + open) as f64;
        let doing = format!("looking at {now}");
        self.progress.show(&Look { doing, percent: Some(percent), ..Look::default() });
    }
}

fn write_report(
    app: &App,
    file: &Utf8Path,
    report: &Report,
    with_identifiers: bool,
) -> Result<(), Failure> {
    let text = markdown(report, app.host.now(), with_identifiers);
    lifeboat_host::secret::write_private_file(file, text.as_bytes()).map_err(|error| {
        Failure::of(Exit::Failed, "report", &error)
            .context(format!("cannot write the report {file}"))
    })?;
    app.ui.say(format!("{FAINT}the report is in {file}: read it before you pass it on{FAINT:#}"));
    Ok(())
}
