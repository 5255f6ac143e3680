//! Finding the device and making the link, with the patience that was asked for.

use std::time::Duration;

use jiff::Timestamp;
use lifeboat_device::link::Link;
use lifeboat_device::pairing::{self, PairingState};

use crate::error::{At as _, Cause, JobError};
use crate::event::{Event, EventSink, Wait};
use crate::job::Context;
use crate::mux::{Mux, choose};
use crate::stage::Stage;

/// How long is waited between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Finds the device and makes the link. With `wait` it waits for what a person can do: plug in, unlock, trust.
/// `found` is told which device it is as soon as that is known, link or not.
pub(crate) async fn reach(
    ctx: &Context,
    mux: &Mux,
    udid: Option<&str>,
    wait: Option<Duration>,
    mut found: impl FnMut(&str) + Send,
) -> Result<Link, JobError> {
    let started = ctx.host.now();
    let mut told = None;
    let mut linking = false;
    loop {
        let patience = left(ctx, started, wait.unwrap_or_default());
        let error = match attempt(ctx, mux, udid, patience, &mut linking, &mut found).await {
            Ok(link) => return Ok(link),
            Err(error) => error,
        };
        let Some(kind) = waits_for(error.cause) else { return Err(error) };
        if left(ctx, started, wait.unwrap_or_default()).is_zero() {
            return Err(error);
        }
        if told != Some(kind) {
            told = Some(kind);
            tell(&ctx.events, kind);
        }
        tokio::select! {
            () = ctx.cancel.cancelled() => return Err(JobError::interrupted()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Returns what is left of a limit that began at a moment.
pub(crate) fn left(ctx: &Context, started: Timestamp, wait: Duration) -> Duration {
    let elapsed = Duration::try_from(ctx.host.now().duration_since(started)).unwrap_or_default();
    wait.saturating_sub(elapsed)
}

async fn attempt(
    ctx: &Context,
    mux: &Mux,
    udid: Option<&str>,
    patience: Duration,
    linking: &mut bool,
    found: &mut (impl FnMut(&str) + Send),
) -> Result<Link, JobError> {
    let mux = crate::mux::client(mux);
    let devices = mux.devices().await.map_err(JobError::from).at(Stage::Discover)?;
    let device = choose(devices, udid).at(Stage::Discover)?;
    found(&device.udid);
    if !std::mem::replace(linking, true) {
        ctx.events.stage(Stage::Link);
    }
    let linked = Link::open(&mux, &device).await.map_err(JobError::from);
    match linked {
        Err(error)
            if matches!(error.cause, Cause::NotTrusted | Cause::PairingStale)
                && !patience.is_zero() =>
        {
            pair(ctx, &mux, &device, patience).await.at(Stage::Link)
        }
        other => other.at(Stage::Link),
    }
}

/// Pairs, and tells what is waited for.
pub(crate) async fn pair(
    ctx: &Context,
    mux: &lifeboat_device::mux::Mux,
    device: &lifeboat_device::Device,
    patience: Duration,
) -> Result<Link, JobError> {
    let events = ctx.events.clone();
    let tell_state = move |state| {
        tell(
            &events,
            match state {
                PairingState::Locked => Wait::Unlock,
                PairingState::TrustDialog => Wait::TrustDialog,
            },
        );
    };
    Ok(pairing::pair(mux, device, ctx.host.now(), patience, &ctx.cancel, tell_state).await?)
}

fn waits_for(cause: Cause) -> Option<Wait> {
    match cause {
        Cause::NoDevice | Cause::DeviceAbsent | Cause::MuxUnreachable => Some(Wait::Device),
        Cause::NotTrusted | Cause::PairingStale | Cause::TrustNotAnswered => {
            Some(Wait::TrustDialog)
        }
        Cause::DeviceLocked | Cause::NotUnlockedSinceStart => Some(Wait::Unlock),
        _ => None,
    }
}

/// Tells what is waited for.
pub(crate) fn tell(events: &EventSink, wait: Wait) {
    let message = match wait {
        Wait::Device => "Waiting for the device: plug it in.",
        Wait::TrustDialog => {
            "Waiting for trust: unlock the device, tap Trust and enter its passcode."
        }
        Wait::Passcode => "Waiting for the passcode: enter it on the device.",
        Wait::Unlock => "Waiting for the device to be unlocked: enter its passcode.",
        Wait::SyncLock => "Waiting for another program to finish with the device.",
    };
    events.tell(Event::Waiting { wait, message: message.to_owned() });
}
