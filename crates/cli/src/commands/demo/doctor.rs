//! The story's beginning: a backup fails, the doctor says why, mends it, and looks whether it helped.

use std::time::{Duration, Instant};

use lifeboat_doctor::{Action, For, Told};
use lifeboat_engine::jobs::backup::{self, BackupPlan};
use lifeboat_engine::jobs::diagnose::{self, DiagnosePlan};
use lifeboat_engine::jobs::mend::{self, MendPlan};
use lifeboat_engine::{DoctorSettings, Findings};
use serde::Serialize;

use super::{Step, Teller};
use crate::exit::Exit;
use crate::ui::error::Failure;
use crate::ui::text::{plain, seconds};

/// What the doctor looks at in the story: the device. What this computer and its disks are like is not part of it.
const LOOKED_AT: [&str; 11] =
    ["P03", "P04", "P05", "P06", "P07", "P08", "P09", "P10", "P11", "P13", "P14"];

/// What the doctor had to do with it, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Illness {
    /// The cause of the failed backup, as its exit status has it.
    cause: String,
    /// What the doctor found.
    finding: String,
    /// What helped.
    action: Action,
    /// Whether the cause was gone then.
    gone: bool,
    /// How many probes looked.
    probes: usize,
    /// How long they took.
    seconds: f64,
}

impl Teller<'_> {
    /// Lets a backup fail, asks the doctor, does what helps.
    pub(super) async fn fall_ill_and_recover(
        &self,
        steps: &mut Vec<Step>,
    ) -> Result<Illness, Failure> {
        let cause = self.fail().await?;
        let start = Instant::now();
        let findings = self.examine().await?;
        let took = start.elapsed().as_secs_f64();
        let told = findings.report().primary.ok_or_else(|| wrong("the doctor found nothing"))?;
        self.say(format!(
            "The doctor looked at {} things in {}: {}.",
            findings.probes.len(),
            seconds(took),
            lowered(&told.title)
        ))?;
        for seen in &told.finding.evidence {
            self.say(format!(
                "It saw: {}: {}.",
                seen.key.declared().about,
                plain(&seen.value.to_string())
            ))?;
        }
        steps.push(Step::of("doctor", took));
        let action = remedy(&told)?;
        self.say(format!("What helps: {}", action.about().trim()))?;
        steps.push(self.trust().await?);
        let gone = !self
            .examine()
            .await?
            .report()
            .findings
            .iter()
            .any(|finding| finding.id == told.finding.id);
        if !gone {
            return Err(wrong("what the doctor did has not helped"));
        }
        self.say("The doctor looked again: that is gone.")?;
        Ok(Illness {
            cause,
            finding: told.finding.id,
            action,
            gone,
            probes: findings.probes.len(),
            seconds: took,
        })
    }

    /// A backup before anybody tapped Trust.
    async fn fail(&self) -> Result<String, Failure> {
        self.heading("2. A backup that fails, and the doctor")?;
        let plan = BackupPlan {
            places: self.places.clone(),
            mux: self.mux.clone(),
            udid: Some(self.phone.udid().to_owned()),
            full: false,
            wait: None,
        };
        match backup::run(&self.app.silent_context(), plan).await {
            Ok(_) => Err(wrong("a phone that trusts nobody was backed up")),
            Err(error) => {
                self.say(format!(
                    "A backup was tried and failed (exit status {}): {error}.",
                    error.exit().code()
                ))?;
                Ok(error.cause.id().to_owned())
            }
        }
    }

    async fn examine(&self) -> Result<Findings, Failure> {
        let plan = DiagnosePlan {
            places: self.places.clone(),
            mux: self.mux.clone(),
            udid: Some(self.phone.udid().to_owned()),
            concern: For::Computer,
            settings: DoctorSettings { offline: true, ..DoctorSettings::default() },
            // The owner of this phone taps Trust at once, and the doctor would have nothing to tell.
            ask_trust: false,
            listen: None,
            only: Some(LOOKED_AT.map(str::to_owned).to_vec()),
        };
        self.job(async |ctx| diagnose::run(&ctx, &plan, |_| ()).await).await
    }

    async fn trust(&self) -> Result<Step, Failure> {
        let start = Instant::now();
        let plan = MendPlan {
            places: self.places.clone(),
            mux: self.mux.clone(),
            udid: Some(self.phone.udid().to_owned()),
            patience: Duration::from_mins(1),
            time_servers: Vec::new(),
        };
        self.job(async |ctx| mend::pair_again(&ctx, &plan).await).await?;
        let took = start.elapsed().as_secs_f64();
        self.say(format!(
            "The phone asked whether to trust this computer, its owner tapped Trust and typed the passcode: {}.",
            seconds(took)
        ))?;
        Ok(Step::of("pair", took))
    }
}

/// Returns what the program itself can do about it.
fn remedy(told: &Told) -> Result<Action, Failure> {
    let action = told.remedies.iter().find_map(|remedy| remedy.action);
    action
        .filter(|action| *action == Action::PairAgain)
        .ok_or_else(|| wrong("the doctor found something else than missing trust"))
}

fn lowered(title: &str) -> String {
    // "The iPhone …" within a sentence.
    title.strip_prefix("The ").map_or_else(|| title.to_owned(), |rest| format!("the {rest}"))
}

fn wrong(what: &str) -> Failure {
    Failure::new(Exit::Failed, "demo", what)
}
