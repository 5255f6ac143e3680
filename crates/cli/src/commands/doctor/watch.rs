//! `--watch`: looks again and again while the person acts, and says when the cause is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use lifeboat_doctor::{Severity, Told};
use lifeboat_engine::Findings;

use super::Examiner;
use crate::ui::error::Failure;
use crate::ui::{FAINT, GOOD, doctor};

/// How often is looked again.
const PAUSE: Duration = Duration::from_secs(2);

/// Watches one cause after the other, until none is left that keeps a backup from coming about, or the person stops it.
pub(super) async fn run(examiner: &Examiner<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let app = examiner.app;
    loop {
        let Some(primary) = open(findings) else {
            app.ui.say(if findings.facts.is("device.answers", "yes") {
                format!("{GOOD}nothing keeps a backup from coming about{GOOD:#}")
            } else {
                format!("{FAINT}nothing to watch: no device answers{FAINT:#}")
            });
            return Ok(());
        };
        app.ui.say(format!("{FAINT}watching: {} (Ctrl-C ends it){FAINT:#}", primary.title));
        let only = deciding(findings, &primary);
        while is_there(findings, &primary) {
            tokio::select! {
                () = app.cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
            tokio::select! {
                () = app.cancel.cancelled() => return Ok(()),
                looked = examiner.look_again(findings, &only) => looked?,
            }
        }
        app.ui.say(format!("{GOOD}gone:{GOOD:#} {}", primary.title));
        // Behind it something else may have been hidden: everything is looked at anew.
        examiner.look_again(findings, &[]).await?;
        if !app.ui.json {
            app.ui.text(doctor::words(&findings.report(), app.ui))?;
        }
    }
}

/// Returns the primary cause where it is worth watching.
fn open(findings: &Findings) -> Option<Told> {
    findings.report().primary.filter(|told| told.finding.severity == Severity::Blocking)
}

/// Whether a cause is still found; one that is not known stays as long as it is the primary one.
fn is_there(findings: &Findings, told: &Told) -> bool {
    let report = findings.report();
    let id = told.finding.id.as_str();
    report.findings.iter().any(|finding| finding.id == id)
        || report.primary.is_some_and(|primary| primary.finding.id == id)
}

/// Returns the probes that tell whether a cause is gone: those of its remedies, and those that told what speaks for it. Nothing, all
/// of them, where nothing speaks for it that could be looked at.
fn deciding(findings: &Findings, told: &Told) -> Vec<String> {
    let evidence: Vec<_> = told.finding.evidence.iter().map(|seen| seen.key).collect();
    if evidence.is_empty() {
        return Vec::new();
    }
    let mut probes: BTreeSet<String> =
        told.remedies.iter().flat_map(|remedy| remedy.recheck.clone()).collect();
    let telling = findings.probes.iter();
    let telling = telling.filter(|probe| probe.tells.iter().any(|key| evidence.contains(key)));
    probes.extend(telling.map(|probe| probe.id.clone()));
    probes.into_iter().collect()
}
