//! `demo`: the whole story on a simulated iPhone, each number measured while it is told.

mod digests;
mod doctor;

use std::sync::Arc;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use lifeboat_engine::jobs::backup::{self, BackupPlan, BackupSummary};
use lifeboat_engine::jobs::check::{self, CheckSummary};
use lifeboat_engine::jobs::export::{self, ExportPlan, ExportSummary, Form};
use lifeboat_engine::{Cause, Context, Event, EventSink, Mux, Outcome, Places};
use lifeboat_sim::disk::Profile;
use lifeboat_sim::options::Knobs;
use lifeboat_sim::phone::Phone;
use lifeboat_sim::traffic::Job;
use lifeboat_sim::{Listen, Options, PhoneSpec, Server, serve};
use serde::Serialize;

use self::digests::{Day, Digests, compare, digests};
use self::doctor::Illness;
use super::Ended;
use super::sim::parse_profile;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::STRONG;
use crate::ui::error::Failure;
use crate::ui::progress::Progress;
use crate::ui::table::{Column, table};
use crate::ui::text::{bytes, count, plain, seconds, things, word};

/// Flags of `demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat demo\n  lifeboat demo --seed 7 --throttle 20000000\n  \
    lifeboat demo --dir ~/lifeboat-demo --profile ordinary\n  lifeboat demo --json --quiet"
)]
pub(crate) struct DemoArgs {
    /// Keep phone, repository and export in this folder, which is absent or empty; without it they are gone at the end
    #[arg(long, value_name = "DIR")]
    dir: Option<Utf8PathBuf>,
    /// What the phone's content is made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How much is on the phone: tiny, small, ordinary, media, large
    #[arg(long, value_name = "NAME", default_value = "small", value_parser = parse_profile)]
    profile: Profile,
    /// Bytes a second that the phone sends at most
    #[arg(long, value_name = "BYTES")]
    throttle: Option<u64>,
}

/// What a step of the story cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Step {
    #[serde(rename = "step")]
    name: &'static str,
    files: Option<u64>,
    bytes_received: Option<u64>,
    bytes_added: Option<u64>,
    seconds: f64,
}

impl Step {
    /// A step of which only the time counts.
    fn of(name: &'static str, seconds: f64) -> Self {
        Self { name, files: None, bytes_received: None, bytes_added: None, seconds }
    }
}

/// The whole story, for programs.
#[derive(Debug, Serialize)]
struct Story {
    format: u32,
    outcome: Outcome,
    udid: String,
    device_name: String,
    ios: String,
    profile: Profile,
    seed: u64,
    throttle: Option<u64>,
    steps: Vec<Step>,
    doctor: Illness,
    first: BackupSummary,
    first_traffic: Job,
    day: Day,
    second: BackupSummary,
    second_traffic: Job,
    check: CheckSummary,
    export: ExportSummary,
    /// Files of the export whose SHA-256 is the one that the phone gives.
    files_compared: u64,
    seconds: f64,
}

/// Tells the story.
pub(crate) async fn run(app: &App, args: DemoArgs) -> Ended {
    let throwaway;
    let folder = if let Some(dir) = &args.dir {
        chosen(dir)?
    } else {
        throwaway = tempfile::Builder::new()
            .prefix("lifeboat-demo-")
            .tempdir()
            .map_err(|error| no_folder(&error))?;
        Utf8PathBuf::try_from(throwaway.path().to_owned()).map_err(anyhow::Error::from)?
    };
    let server = start(app, &args, &folder).await?;
    let teller = Teller::new(app, &args, &folder, &server)?;
    let told = teller.tell().await;
    server.shutdown().await;
    let story = told.map_err(|failure| broken(failure, args.dir.as_deref()))?;
    if app.ui.json {
        app.ui.object(&story)?;
    } else {
        teller.end(&story, args.dir.is_some())?;
    }
    Ok(Exit::Done)
}

/// Says that there is no place for a demo.
fn no_folder(error: &std::io::Error) -> Failure {
    Failure::of(Exit::Failed, Cause::Disk.id(), error)
        .context("cannot make the folder of the demo")
        .hint("Let TMPDIR name a folder that can be written to, or name one with `lifeboat demo --dir DIR`.")
}

/// Says of a story that broke what is true of its folder: no next run goes on in it. Programs were told nothing yet.
fn broken(failure: Failure, dir: Option<&Utf8Path>) -> Failure {
    if failure.is_of_the_output() {
        return failure;
    }
    let (kept, next) = match dir {
        Some(dir) => (
            format!("phone and repository lie in {dir}, as they were when it broke"),
            "Look at it there; another demo wants another folder, or that one empty.",
        ),
        None => (
            "nothing: phone and repository are gone with the folder of this demo".to_owned(),
            "`lifeboat demo --dir DIR` keeps them, whatever happens.",
        ),
    };
    Failure { kept: Some(kept), told: false, hints: vec![next.to_owned()], ..failure }
}

fn chosen(dir: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let dir = export::take_target(dir)?;
    Ok(camino::absolute_utf8(dir).map_err(anyhow::Error::from)?)
}

async fn start(app: &App, args: &DemoArgs, folder: &Utf8Path) -> Result<Server, Failure> {
    let host = Arc::clone(&app.host);
    let options = Options {
        listen: Listen::loopback(),
        state: folder.join("phone"),
        phones: vec![PhoneSpec {
            seed: args.seed,
            profile: args.profile,
            knobs: Knobs { throttle: args.throttle, ..Knobs::default() },
            ..PhoneSpec::default()
        }],
        clock: Arc::new(move || host.now()),
        ask: false,
    };
    if !app.ui.json {
        app.ui.line("Lifeboat demo. All of this happens now, on a simulated iPhone, over the protocols of a real")?;
        app.ui.line("one; every number was measured in this run.")?;
    }
    serve(options).await.map_err(|error| super::sim::failure(&error))
}

/// Tells the story step by step.
struct Teller<'a> {
    app: &'a App,
    args: &'a DemoArgs,
    phone: Arc<Phone>,
    mux: Mux,
    places: Places,
    target: Utf8PathBuf,
    started: Instant,
}

impl<'a> Teller<'a> {
    fn new(
        app: &'a App,
        args: &'a DemoArgs,
        folder: &Utf8Path,
        server: &Server,
    ) -> Result<Self, Failure> {
        let address = server.listening.parse().map_err(anyhow::Error::from)?;
        let phone = server
            .phones
            .first()
            .ok_or_else(|| Failure::new(Exit::Failed, "internal", "there is no phone"))?;
        Ok(Self {
            app,
            args,
            phone: Arc::clone(phone),
            mux: Mux::Tcp(address),
            places: Places {
                repository: folder.join("repository"),
                password: None,
                key_file: folder.join("repository.key"),
                make_repository: true,
                working_area: folder.join("working"),
                cache: folder.join("cache"),
            },
            target: folder.join("export"),
            started: Instant::now(),
        })
    }

    async fn tell(&self) -> Result<Story, Failure> {
        let before = self.meet().await?;
        let mut steps = Vec::new();
        let doctor = self.fall_ill_and_recover(&mut steps).await?;

        self.heading("3. First backup")?;
        let (first, first_traffic) = self.back_up(&mut steps, "first backup").await?;

        self.heading("4. A day of life")?;
        let (after, day) = self.live(&before, &mut steps).await?;

        self.heading("5. Second backup")?;
        let (second, second_traffic) = self.back_up(&mut steps, "second backup").await?;

        self.heading("6. Check")?;
        let check = self.check(&mut steps).await?;

        self.heading("7. Export")?;
        let (export, files_compared) = self.export(&after, &mut steps).await?;

        Ok(Story {
            format: 1,
            outcome: Outcome::Done,
            udid: self.phone.udid().to_owned(),
            device_name: self.phone.spec.name.clone(),
            ios: self.phone.ios().version().to_owned(),
            profile: self.args.profile,
            seed: self.args.seed,
            throttle: self.args.throttle,
            steps,
            doctor,
            first,
            first_traffic,
            day,
            second,
            second_traffic,
            check,
            export,
            files_compared,
            seconds: self.started.elapsed().as_secs_f64(),
        })
    }

    /// Tells who the phone is; returns what it would put into a backup.
    async fn meet(&self) -> Result<Digests, Failure> {
        self.heading("1. A phone")?;
        let content = digests(&self.phone).await?;
        self.say(format!(
            "{} runs iOS {}. A backup takes {} of it, {}.",
            plain(&self.phone.spec.name),
            self.phone.ios().version(),
            things(content.files.len() as u64, "file"),
            bytes(content.bytes)
        ))?;
        if let Some(throttle) = self.args.throttle {
            self.say(format!("Its cable carries {} a second.", bytes(throttle)))?;
        }
        Ok(content)
    }

    async fn back_up(
        &self,
        steps: &mut Vec<Step>,
        step: &'static str,
    ) -> Result<(BackupSummary, Job), Failure> {
        let plan = BackupPlan {
            places: self.places.clone(),
            mux: self.mux.clone(),
            udid: Some(self.phone.udid().to_owned()),
            full: false,
            wait: None,
        };
        let summary = self.job(async |ctx| backup::run(&ctx, plan).await).await?;
        let traffic = self.phone.traffic.job();
        if summary.outcome != Outcome::Done {
            let why = summary
                .message
                .clone()
                .unwrap_or_else(|| "something is missing from it".to_owned());
            return Err(Failure::new(
                Exit::Failed,
                "demo",
                format!("the backup is not whole: {why}"),
            ));
        }
        let arrived = (summary.files_received, summary.bytes_received);
        let count = if arrived == (traffic.files_sent, traffic.bytes_sent) {
            "; so the phone counted, too".to_owned()
        } else {
            format!(
                "; the phone counted {}, {}",
                things(traffic.files_sent, "file"),
                bytes(traffic.bytes_sent)
            )
        };
        self.say(format!("{}, {} arrived{count}.", things(arrived.0, "file"), bytes(arrived.1)))?;
        self.say(format!(
            "Snapshot {} holds {}, {}; the repository grew by {}. It took {}.",
            summary.snapshot.as_deref().map_or("?", super::snapshots::short),
            things(summary.files_total, "file"),
            bytes(summary.bytes_total),
            bytes(summary.bytes_added),
            seconds(summary.seconds)
        ))?;
        steps.push(Step {
            name: step,
            files: Some(summary.files_received),
            bytes_received: Some(summary.bytes_received),
            bytes_added: Some(summary.bytes_added),
            seconds: summary.seconds,
        });
        Ok((summary, traffic))
    }

    async fn live(
        &self,
        before: &Digests,
        steps: &mut Vec<Step>,
    ) -> Result<(Digests, Day), Failure> {
        let start = Instant::now();
        let phone = Arc::clone(&self.phone);
        let lived =
            tokio::task::spawn_blocking(move || phone.disk().live(1, phone.host_now())).await;
        lived.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?;
        let took = start.elapsed().as_secs_f64();
        let after = digests(&self.phone).await?;
        let day = before.until(&after);
        self.say(format!(
            "{} new, {} changed, {} gone; {} stayed as they were.",
            things(day.added, "file"),
            count(day.changed),
            count(day.removed),
            count(after.files.len() as u64 - day.added - day.changed)
        ))?;
        let places: Vec<String> = before
            .places(&after)
            .into_iter()
            .take(4)
            .map(|(domain, files)| format!("{domain} ({files})"))
            .collect();
        self.say(format!("Most of it in {}.", places.join(", ")))?;
        steps.push(Step {
            name: "a day of life",
            files: Some(day.added + day.changed),
            bytes_received: None,
            bytes_added: None,
            seconds: took,
        });
        Ok((after, day))
    }

    async fn check(&self, steps: &mut Vec<Step>) -> Result<CheckSummary, Failure> {
        let checked =
            self.job(async |ctx| check::run(&ctx, self.places.clone(), true).await).await?;
        if let Some(finding) = checked.findings.first() {
            return Err(Failure::new(
                Exit::Failed,
                "demo",
                format!("the check found damage: {}", finding.message),
            ));
        }
        self.say(format!(
            "Every byte of the repository was read, {}: {} and {} are whole. It took {}.",
            bytes(checked.bytes_read),
            things(checked.snapshots, "snapshot"),
            things(checked.files, "file"),
            seconds(checked.seconds)
        ))?;
        steps.push(Step {
            name: "check",
            files: Some(checked.files),
            bytes_received: None,
            bytes_added: None,
            seconds: checked.seconds,
        });
        Ok(checked)
    }

    async fn export(
        &self,
        phone: &Digests,
        steps: &mut Vec<Step>,
    ) -> Result<(ExportSummary, u64), Failure> {
        let plan = ExportPlan {
            places: self.places.clone(),
            snapshot: "latest".to_owned(),
            udid: Some(self.phone.udid().to_owned()),
            target: self.target.clone(),
            form: Form::Files,
        };
        let exported = self.job(async |ctx| export::run(&ctx, plan).await).await?;
        let compared = compare(phone, &exported, &self.target)?;
        self.say(format!(
            "The second snapshot was written out as {}, {}, in {}.",
            things(exported.files, "plain file"),
            bytes(exported.bytes),
            seconds(exported.seconds)
        ))?;
        self.say(format!(
            "{} were compared with the phone itself: each has the SHA-256 that the phone gives.",
            things(compared, "file")
        ))?;
        steps.push(Step {
            name: "export",
            files: Some(exported.files),
            bytes_received: None,
            bytes_added: None,
            seconds: exported.seconds,
        });
        Ok((exported, compared))
    }

    fn end(&self, story: &Story, kept: bool) -> anyhow::Result<()> {
        self.heading("What each cost")?;
        let columns = [
            Column::Left("STEP"),
            Column::Right("FILES"),
            Column::Right("RECEIVED"),
            Column::Right("ADDED TO THE REPOSITORY"),
            Column::Right("TIME"),
        ];
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let rows = story.steps.iter().map(|step| {
            vec![
                step.name.to_owned(),
                or_dash(step.files.map(count)),
                or_dash(step.bytes_received.map(bytes)),
                or_dash(step.bytes_added.map(bytes)),
                seconds(step.seconds),
            ]
        });
        let ui = self.app.ui;
        for line in table(&columns, rows).lines() {
            self.say(line)?;
        }
        self.say(format!("in all {}", seconds(story.seconds)))?;
        ui.line("")?;
        if kept {
            ui.line(format!(
                "Look around: LIFEBOAT_REPO_PASSWORD_FILE={} \\",
                word(self.places.key_file.as_str())
            ))?;
            let repository = word(self.places.repository.as_str());
            ui.line(format!("  lifeboat --repo {repository} snapshots"))?;
        } else {
            ui.line("Phone, repository and export are gone now; `--dir DIR` keeps them.")?;
        }
        ui.line("With an iPhone on the cable: `lifeboat pair`, then `lifeboat backup`.")
    }

    /// Runs a job with a bar where there is a terminal.
    async fn job<T, E>(&self, work: impl AsyncFnOnce(Context) -> Result<T, E>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let (ctx, progress) = if self.app.ui.json {
            (self.app.context_with(EventSink::silent()), Arc::new(Progress::new(self.app.ui)))
        } else {
            let (ctx, progress) = self.app.context();
            let all = ctx.events;
            // The owner of this phone needs no telling.
            let some = EventSink::new(move |event| match event {
                Event::Waiting { .. } | Event::Note(_) | Event::Foreseen(_) => {}
                event => all.tell(event),
            });
            (self.app.context_with(some), progress)
        };
        let done = work(ctx).await;
        progress.finish();
        done.map_err(Failure::from)
    }

    fn heading(&self, text: &str) -> anyhow::Result<()> {
        if self.app.ui.json {
            return Ok(());
        }
        self.app.ui.line(format!("\n{STRONG}{text}{STRONG:#}"))
    }

    fn say(&self, text: impl AsRef<str>) -> anyhow::Result<()> {
        if self.app.ui.json {
            return Ok(());
        }
        self.app.ui.line(format!("   {}", text.as_ref()))
    }
}
