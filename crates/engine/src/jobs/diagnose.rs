//! Examines: what keeps a backup of this device from coming about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat_device::Device;
use lifeboat_device::link::Link;
use lifeboat_device::mux::same_udid;
use lifeboat_doctor::probe::{self, Choice, Listen, Look, PROBES, RunWindow};
use lifeboat_doctor::{Examined, Facts, For, Identifier, Why};

use crate::error::{Cause, JobError};
use crate::examine::{DoctorSettings, Findings, Kept, probe_context};
use crate::job::{Context, Places};
use crate::last_run::LastRun;
use crate::mux::{Mux, choose, client};
use crate::run_facts::{Refusal, forgive, no_run, wants_a_cause};

/// How long the mux, and a device that says its name, may take.
const NAME: Duration = Duration::from_secs(3);

/// What to examine, and how.
#[derive(Debug, Clone)]
pub struct DiagnosePlan {
    /// Where things lie.
    pub places: Places,
    /// Where the devices are.
    pub mux: Mux,
    /// Which device; `None` when there is only one.
    pub udid: Option<String>,
    /// Which kind of backup.
    pub concern: For,
    /// What the settings say.
    pub settings: DoctorSettings,
    /// Whether a device without trust is asked for it: without the question nobody learns whether management, a tapped "Don't
    /// Trust" or nothing but time stands in the way. Its owner may tap Trust.
    pub ask_trust: bool,
    /// Whether the log of the device is followed, and for how long; nothing: a moment.
    pub listen: Option<Listen>,
    /// These probes only, by their numbers; nothing: all that concern the kind of backup.
    pub only: Option<Vec<String>>,
}

/// Looks at everything, beginning with what is remembered of the last run; `look` is told what is being looked at.
///
/// # Errors
///
/// Only where several devices are there and none was chosen: what cannot be looked at is itself told. Where one was chosen that is not
/// there, the findings name those that are.
pub async fn run(
    ctx: &Context,
    plan: &DiagnosePlan,
    look: impl Fn(Look) + Send + Sync,
) -> Result<Findings, JobError> {
    let devices = listed(plan).await;
    let others = others(&devices, plan.udid.as_deref());
    let device = chosen(devices, plan)?;
    let area = &plan.places.working_area;
    let udid = meant(plan, device.as_ref());
    let remembered = match &udid {
        Some(udid) => LastRun::read(area, udid).map(|run| (udid.clone(), run)),
        // With nothing on the bus, the one device that ever ran is the one that is meant.
        None => LastRun::only(area),
    };
    let last = remembered.as_ref().map(|(_, run)| run);
    let now = ctx.host.now();
    let given = last.map_or_else(no_run, |run| run.facts_of_today(plan.concern, now));
    let given = unseen(given, &plan.settings.blind);
    let mut findings = Findings::new(&*ctx.host, plan.concern, given.clone());
    findings.failed_run = plan.concern == For::Computer && wants_a_cause(&given);
    findings.others = others;
    if let Some(last) = last {
        findings.run_said = last.said();
        findings.names.extend(last.path.iter().map(Identifier::new));
    }
    let probing = probes(ctx, plan, udid.as_deref(), last, given, look);
    let ((seen, names), name) = tokio::join!(probing, name(plan, device.as_ref()));
    findings.add(seen);
    findings.names.extend(names);
    findings.names.extend(folders(&plan.places));
    let refusal = refusal(last, &findings.facts, now);
    findings.failed_run &= !forgive(&mut findings.facts, refusal);
    let udid = udid.or(remembered.map(|(udid, _)| udid));
    findings.device = udid.map(|udid| Examined {
        udid: Some(Identifier::new(udid)),
        name: name.map(Identifier::new),
    });
    Ok(findings)
}

/// Looks again with some probes, and puts what they see over what was found.
pub async fn again(
    ctx: &Context,
    plan: &DiagnosePlan,
    findings: &mut Findings,
    only: &[String],
    look: impl Fn(Look) + Send + Sync,
) -> Result<(), JobError> {
    let device = chosen(listed(plan).await, plan)?;
    let udid = meant(plan, device.as_ref());
    let plan = DiagnosePlan { only: Some(only.to_vec()), ..plan.clone() };
    let last = udid.as_deref().and_then(|udid| LastRun::read(&plan.places.working_area, udid));
    let (last, now) = (last.as_ref(), ctx.host.now());
    let given = last.map_or_else(no_run, |run| run.facts_of_today(plan.concern, now));
    let given = unseen(given, &plan.settings.blind);
    let (seen, names) = probes(ctx, &plan, udid.as_deref(), None, given, look).await;
    findings.add(seen);
    findings.names.extend(names);
    let refusal = refusal(last, &findings.facts, now);
    findings.failed_run &= !forgive(&mut findings.facts, refusal);
    Ok(())
}

/// Says whether a refusal of the last run for want of room may be over.
fn refusal(last: Option<&LastRun>, facts: &Facts, now: Timestamp) -> Refusal {
    let is_fresh = last.is_some_and(|last| last.is_of_today(now));
    Refusal::of(last.and_then(|last| last.free), facts, is_fresh)
}

/// Returns the UDID of the device that is meant, in the spelling under which it is known here.
fn meant(plan: &DiagnosePlan, device: Option<&Device>) -> Option<String> {
    let spelled = |typed: &str| LastRun::spelled(&plan.places.working_area, typed);
    let typed = || plan.udid.as_deref().map(spelled);
    device.map(|device| device.udid.clone()).or_else(typed)
}

/// Takes away what a probe without sight would have told: what is remembered is seen by nobody else either.
fn unseen(mut facts: Facts, blind: &BTreeSet<String>) -> Facts {
    for probe in PROBES.iter().filter(|probe| blind.contains(probe.id)) {
        for key in probe.tells {
            facts.tell(key, Why::Blinded);
        }
    }
    facts
}

async fn probes(
    ctx: &Context,
    plan: &DiagnosePlan,
    udid: Option<&str>,
    last: Option<&LastRun>,
    given: Facts,
    look: impl Fn(Look) + Send + Sync,
) -> (probe::Seen, Vec<Identifier>) {
    let mut context = probe_context(ctx, &plan.places, &plan.mux, udid);
    context.concern = plan.concern;
    context.outside = plan.settings.outside.clone();
    context.offline = plan.settings.offline;
    context.blind.clone_from(&plan.settings.blind);
    context.listen.clone_from(&plan.listen);
    context.ask_trust = plan.ask_trust;
    let kept = Kept::new(plan.places.clone(), ctx.host.clone(), Arc::clone(&ctx.passwords));
    context.backups = Some(Arc::new(kept));
    let now = ctx.host.now();
    context.recorded_log =
        last.map(|last| last.log_of_today(plan.concern, now)).unwrap_or_default();
    context.window =
        last.and_then(|last| last.began.map(|began| RunWindow { began, ended: last.at }));
    context.given = given;
    let choice = plan.only.clone().map_or(Choice::All, Choice::Only);
    let context = Arc::new(context);
    let seen = probe::run_all(Arc::clone(&context), &choice, look).await;
    (seen, context.names())
}

/// Returns the folders of this computer that a message may name: how somebody calls them is nobody's business.
fn folders(places: &Places) -> Vec<Identifier> {
    let folders = [&places.repository, &places.working_area, &places.cache];
    folders.map(|folder| Identifier::new(folder.as_str())).to_vec()
}

/// Returns the devices that the mux lists; none where it does not answer: probes tell what is wrong with it.
async fn listed(plan: &DiagnosePlan) -> Vec<Device> {
    match tokio::time::timeout(NAME, client(&plan.mux).devices()).await {
        Ok(Ok(devices)) => devices,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Returns the device that is meant, where it is there.
fn chosen(devices: Vec<Device>, plan: &DiagnosePlan) -> Result<Option<Device>, JobError> {
    match choose(devices, plan.udid.as_deref()) {
        Ok(device) => Ok(Some(device)),
        Err(error) if error.cause == Cause::SeveralDevices => Err(error),
        Err(_) => Ok(None),
    }
}

/// Returns the UDIDs of those that are there in place of one that was named and is not.
fn others(devices: &[Device], named: Option<&str>) -> Vec<String> {
    let Some(named) = named else { return Vec::new() };
    if devices.iter().any(|device| same_udid(&device.udid, named)) {
        return Vec::new();
    }
    let others: BTreeSet<String> = devices.iter().map(|device| device.udid.clone()).collect();
    others.into_iter().collect()
}

async fn name(plan: &DiagnosePlan, device: Option<&Device>) -> Option<String> {
    let device = device?;
    let asked = async {
        let link = Link::open(&client(&plan.mux), device).await.ok()?;
        let mut session = link.session().await.ok()?;
        let name = session.text("DeviceName").await.ok()?;
        session.close().await;
        name
    };
    tokio::time::timeout(NAME, asked).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use lifeboat_device::mux::Connection;

    use super::*;

    #[test]
    fn those_that_are_there_are_named_where_the_one_that_was_named_is_not() {
        let device =
            |udid: &str, mux_id, connection| Device { udid: udid.into(), mux_id, connection };
        let there = [
            device("00008110-B", 1, Connection::Usb),
            device("00008110-A", 2, Connection::Usb),
            device("00008110-A", 3, Connection::Network),
        ];
        assert_eq!(others(&there, Some("nosuch")), ["00008110-A", "00008110-B"]);
        for (named, devices) in
            [(None, &there[..]), (Some("00008110a"), &there), (Some("nosuch"), &[])]
        {
            assert!(others(devices, named).is_empty(), "{named:?}");
        }
    }
}
