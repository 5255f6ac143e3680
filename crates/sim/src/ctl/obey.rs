use std::sync::Arc;

use serde_json::json;
use tokio::task::spawn_blocking;

use lifeboat_wire::lockdown::notification;

use super::{Action, Order, Reply};
use crate::disk::{self, DiskError};
use crate::fault::FAULTS;
use crate::memory::Consent;
use crate::phone::{Phone, PhoneError};

/// Does what an order says.
pub(crate) async fn obey(phones: &[Arc<Phone>], order: Order) -> Reply {
    let phone = match choose(phones, order.udid.as_deref()) {
        Ok(phone) => Arc::clone(phone),
        Err(why) => return Reply::Wrong(why.to_owned()),
    };
    let outcome = match order.action {
        Action::Live { .. } | Action::Digest => {
            spawn_blocking(move || slow(&phone, &order.action)).await.unwrap_or_else(|error| {
                tracing::error!(%error, "an order failed");
                Ok(Reply::Refused("the simulator has an error".to_owned()))
            })
        }
        action => quick(&phone, action),
    };
    outcome.unwrap_or_else(|error| match error {
        // The error itself says only that the phone cannot be in that state.
        PhoneError::State(wrong) => Reply::Wrong(chain(&wrong)),
        PhoneError::Fault(wrong) => Reply::Wrong(chain(&wrong)),
        other => Reply::Refused(chain(&other)),
    })
}

fn choose<'a>(
    phones: &'a [Arc<Phone>],
    udid: Option<&str>,
) -> Result<&'a Arc<Phone>, &'static str> {
    let same = |a: &str, b: &str| a.replace('-', "").eq_ignore_ascii_case(&b.replace('-', ""));
    match (udid, phones) {
        (Some(udid), phones) => phones
            .iter()
            .find(|phone| same(phone.udid(), udid))
            .ok_or("there is no phone with this identifier"),
        (None, [phone]) => Ok(phone),
        (None, []) => Err("there is no phone"),
        (None, _) => Err("there are several phones; say which one"),
    }
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What takes time: content is changed or read.
fn slow(phone: &Phone, action: &Action) -> Result<Reply, PhoneError> {
    if let Action::Live { days } = action {
        phone.disk().live_so(phone.life(), *days, phone.host_now())?;
        phone.notify(notification::DISK_USAGE_CHANGED);
        return Ok(Reply::Done);
    }
    let frozen = phone.freeze()?;
    let mut lines = Vec::new();
    disk::digest(&frozen, phone.encrypts(), &mut lines).map_err(DiskError::from)?;
    Ok(Reply::Text(String::from_utf8_lossy(&lines).into_owned()))
}

fn quick(phone: &Phone, action: Action) -> Result<Reply, PhoneError> {
    match action {
        Action::Passcode { enter } => phone.answer_passcode(enter)?,
        Action::Cancel => phone.cancel_sync(),
        Action::Restart => phone.ask_restart(),
        Action::Log { text } => phone.say(&text),
        Action::Set { key, value } => phone.set_state(&key, &value)?,
        Action::Lock => phone.lock_screen()?,
        Action::Unlock => phone.unlock_screen()?,
        Action::Plug => drop(phone.cable.plug()),
        Action::Unplug => phone.pull_cable(),
        Action::Trust { trust } => {
            let passcode_wanted = phone.answer_trust(trust)?;
            return Ok(Reply::Json(json!({ "passcode-wanted": passcode_wanted })));
        }
        Action::Fault { name, values } => {
            phone.faults.set(&name, values)?;
        }
        Action::ClearFaults => phone.faults.clear(),
        Action::ListFaults => return Ok(Reply::Json(faults(phone))),
        Action::Traffic => return Ok(Reply::Json(json!(phone.traffic.job()))),
        Action::State => return Ok(Reply::Json(state(phone))),
        Action::Live { .. } | Action::Digest => return slow(phone, &action),
    }
    Ok(Reply::Done)
}

fn faults(phone: &Phone) -> serde_json::Value {
    let on = phone.faults.all();
    let list = FAULTS.iter().map(|kind| {
        json!({ "name": kind.name, "keys": kind.keys, "about": kind.about, "on": on.get(kind.name) })
    });
    list.collect()
}

fn state(phone: &Phone) -> serde_json::Value {
    let memory = phone.memory();
    let asks = |consent| memory.consents.values().any(|known| *known == consent);
    json!({
        "udid": phone.udid(),
        "name": memory.name,
        "ios": phone.version(),
        "plugged": phone.cable.plugged().is_some(),
        "locked": phone.is_locked(),
        "before_first_unlock": phone.is_before_first_unlock(),
        "trust_dialog": asks(Consent::Asked),
        "passcode_wanted": phone.prompt().is_some() || asks(Consent::PasscodeWanted),
        "trusted_hosts": memory.hosts.len(),
        "encrypts_backups": memory.backup_password.is_some(),
        "state": memory.state,
    })
}
