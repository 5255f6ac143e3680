//! `pair`: a device's trust.

use std::time::Duration;

use clap::Args;
use lifeboat_engine::Outcome;
use lifeboat_engine::jobs::pair::{self, PairSummary};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::events::Summed;
use crate::ui::text::{parse_duration, plain};

/// Flags of `pair`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat pair\n  lifeboat pair --wait 10m\n  lifeboat pair --forget -u UDID"
)]
pub(crate) struct PairArgs {
    /// Forget the device, here and on the device
    #[arg(long)]
    forget: bool,
    /// How long to wait in all for somebody to unlock the device, tap Trust and enter its passcode
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    wait: Duration,
}

/// What pairing did, for programs.
#[derive(Serialize)]
struct Paired<'a> {
    outcome: Outcome,
    #[serde(flatten)]
    paired: &'a PairSummary,
}

/// Pairs, or forgets.
pub(crate) async fn run(app: &App, args: &PairArgs) -> Ended {
    let settings = app.settings()?;
    let (ctx, progress) = app.context();
    let udid = settings.udid.as_deref();
    let mux = settings.mux.clone();
    let paired = if args.forget {
        pair::forget(&ctx, &mux, udid).await
    } else {
        pair::run(&ctx, &mux, udid, args.wait).await
    };
    progress.finish();
    let paired = paired?;
    if app.ui.json {
        app.ui.object(&Summed::new(&Paired { outcome: Outcome::Done, paired: &paired }))?;
        return Ok(Exit::Done);
    }
    let who = plain(paired.name.as_deref().unwrap_or(&paired.udid));
    app.ui.line(match paired.state.as_str() {
        "already-paired" => format!("{who} trusts this computer already"),
        "forgotten" => format!("{who} and this computer have forgotten each other"),
        _ => format!("{who} trusts this computer now"),
    })?;
    Ok(Exit::Done)
}
