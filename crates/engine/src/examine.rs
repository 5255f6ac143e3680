//! Brings the doctor together with what the engine knows: the machine, the device, the repository, the last run.

mod backups;
mod recorder;

use std::collections::BTreeSet;
use std::sync::Arc;

use lifeboat_doctor::probe::{self, Choice, Look, Outside, ProbeContext};
use lifeboat_doctor::{
    Catalogue, Examination, Examined, Facts, For, Identifier, ProbeRun, Report, RunSaid, Versions,
};
use lifeboat_host::Host;

use crate::job::{Context, Places};
use crate::mux::Mux;

pub(crate) use backups::Kept;
pub(crate) use recorder::{Recorder, log_facts, worth_keeping};

/// What an examination found, before it is a report: answers of the person and later looks are added to its facts.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Which kind of backup it is about.
    pub concern: For,
    /// What is known.
    pub facts: Facts,
    /// How the probes went.
    pub probes: Vec<ProbeRun>,
    /// The device, where there is one.
    pub device: Option<Examined>,
    /// A run failed before: there must be a cause.
    pub failed_run: bool,
    /// The UDIDs of the devices that are there, where one was named that is not.
    pub others: Vec<String>,
    /// What examined.
    pub versions: Versions,
    /// What names the person, the device and this computer: it is left out of what is passed on.
    pub names: Vec<Identifier>,
    /// What the last run said itself.
    pub run_said: RunSaid,
}

impl Findings {
    /// Makes an examination that has not looked at anything yet.
    pub(crate) fn new(host: &dyn Host, concern: For, facts: Facts) -> Self {
        let system = host.system();
        let system = match system.version {
            Some(version) => format!("{} {version}", system.name),
            None => system.name,
        };
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            concern,
            facts,
            probes: Vec::new(),
            device: None,
            failed_run: false,
            others: Vec::new(),
            versions: Versions { program, system },
            names: [host.user_name(), host.host_name()].map(Identifier::new).to_vec(),
            run_said: RunSaid::default(),
        }
    }

    /// Adds what probes saw; a probe that looked again stands for its first look.
    pub(crate) fn add(&mut self, seen: probe::Seen) {
        for run in &seen.runs {
            let known = |key: &&lifeboat_doctor::Key| {
                seen.facts.value(key.as_str()).is_some_and(lifeboat_doctor::Value::is_known)
            };
            let (probe, about, ms) = (&run.id, &run.about, run.took_ms);
            let (known, asked) = (run.tells.iter().filter(known).count(), run.tells.len());
            tracing::info!(%probe, about, known, asked, ms, "looked");
        }
        self.facts.merge(seen.facts);
        probe::derive(&mut self.facts);
        self.probes.retain(|run| !seen.runs.iter().any(|again| again.id == run.id));
        self.probes.extend(seen.runs);
        self.probes.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Says what the facts show.
    pub fn report(&self) -> Report {
        let mut report = Report::new(
            Catalogue::builtin(),
            Examination {
                concern: self.concern,
                facts: self.facts.clone(),
                probes: self.probes.clone(),
                device: self.device.clone(),
                versions: self.versions.clone(),
                failed_run: self.failed_run,
            },
        );
        report.names.clone_from(&self.names);
        report.run_said.clone_from(&self.run_said);
        report
    }
}

/// What the settings say about the doctor.
#[derive(Debug, Clone, Default)]
pub struct DoctorSettings {
    /// Addresses of services outside the local network.
    pub outside: Outside,
    /// Nothing outside the local network is asked.
    pub offline: bool,
    /// Probes whose sight is taken away, for tests.
    pub blind: BTreeSet<String>,
}

/// Makes what the probes share, for a computer backup.
pub(crate) fn probe_context(
    ctx: &Context,
    places: &Places,
    mux: &Mux,
    udid: Option<&str>,
) -> ProbeContext {
    let mut context = ProbeContext::new(Arc::clone(&ctx.host), mux.clone());
    context.udid = udid.map(ToOwned::to_owned);
    context.destinations = vec![places.disk(), places.working_area.clone()];
    context
}

/// The quick look over the local network, before a backup and after a failed one.
pub(crate) async fn quick_look(
    ctx: &Context,
    places: &Places,
    mux: &Mux,
    udid: Option<&str>,
) -> probe::Seen {
    let mut context = probe_context(ctx, places, mux, udid);
    context.offline = true;
    probe::run_all(Arc::new(context), &Choice::Preflight, |_: Look| ()).await
}
