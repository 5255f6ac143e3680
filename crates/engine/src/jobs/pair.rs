//! Makes a device trust this computer, or forgets it.

use std::time::Duration;

use lifeboat_device::link::Link;
use lifeboat_device::pairing;
use serde::Serialize;

use crate::error::{At as _, JobError};
use crate::job::Context;
use crate::link;
use crate::mux::{Mux, choose};
use crate::stage::Stage;

/// What pairing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairSummary {
    /// The device.
    pub udid: String,
    /// Its name, where it tells.
    pub name: Option<String>,
    /// `paired`, `already-paired` or `forgotten`.
    pub state: String,
}

/// Pairs; tells `waiting` events while somebody must unlock the device or tap Trust; gives up after `wait`.
pub async fn run(
    ctx: &Context,
    mux: &Mux,
    udid: Option<&str>,
    wait: Duration,
) -> Result<PairSummary, JobError> {
    let client = crate::mux::client(mux);
    ctx.events.stage(Stage::Discover);
    let device = choose(client.devices().await?, udid).at(Stage::Discover)?;
    ctx.events.stage(Stage::Link);
    let (link, state) = match Link::open(&client, &device).await {
        Ok(link) => (link, "already-paired"),
        Err(error) if error.wants_pairing() => {
            (link::pair(ctx, &client, &device, wait).await.at(Stage::Link)?, "paired")
        }
        Err(error) => return Err(JobError::from(error).at(Stage::Link)),
    };
    let mut session = link.session().await?;
    let name = session.text("DeviceName").await?;
    session.close().await;
    Ok(PairSummary { udid: device.udid, name, state: state.to_owned() })
}

/// Forgets the pairing, on the device where it can be reached, and here.
pub async fn forget(ctx: &Context, mux: &Mux, udid: Option<&str>) -> Result<PairSummary, JobError> {
    let client = crate::mux::client(mux);
    ctx.events.stage(Stage::Discover);
    let device = choose(client.devices().await?, udid).at(Stage::Discover)?;
    pairing::forget(&client, &device).await?;
    Ok(PairSummary { udid: device.udid, name: None, state: "forgotten".to_owned() })
}
