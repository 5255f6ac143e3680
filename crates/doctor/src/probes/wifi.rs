//! P16, P17: Wi-Fi sync, and the Wi-Fi of the device.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lifeboat_device::diagnostics;
use lifeboat_device::lockdown::{PORT, domain, service};
use lifeboat_device::mux::Connection;
use lifeboat_host::net::{Announced, NetworkError};

use super::{either, flag, nothing, number, text, told};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const SYNC: &[&str] =
    &["wifi.sync", "wifi.announced", "wifi.reach", "wifi.heartbeat", "wifi.subnet"];
pub(crate) const RADIO: &[&str] = &["wifi.signal"];

/// What the registry of hardware calls the network that a device is in, and its base station.
const NETWORK: [&str; 2] = ["IO80211SSID", "IO80211BSSID"];

/// For what is asked on the local network.
const LOCAL: Duration = Duration::from_millis(1500);

/// P16.
pub(crate) async fn sync(context: &ProbeContext) -> Facts {
    let mut facts = Facts::new();
    match context.domain(domain::WIRELESS_LOCKDOWN).await {
        Ok(values) => {
            facts.tell("wifi.sync", either(flag(&values, "EnableWifiConnections"), "on", "off"));
        }
        Err(why) => facts.unknown(&["wifi.sync"], &why),
    }
    let (announced, way) = tokio::join!(announced(context), way(context));
    facts.tell("wifi.announced", told(announced));
    facts.merge(way);
    facts
}

/// Looks for the announcement of the device, where it should make one.
async fn announced(context: &ProbeContext) -> Result<&'static str, Why> {
    let address = text(context.values().await?, "WiFiAddress")?;
    match context.host.network().announced(&address, LOCAL).await {
        Ok(Announced::Seen) => Ok("seen"),
        Ok(Announced::OthersOnly) => Ok("not-seen"),
        Ok(Announced::Nothing) => Ok("blocked"),
        Ok(Announced::Unnamed) => {
            Err(Why::NotThere("a device announces itself under a random name".to_owned()))
        }
        Err(error) => Err(context::network(&error)),
    }
}

/// Looks at the way to a device that is reached over the network.
async fn way(context: &ProbeContext) -> Facts {
    const KEYS: &[&str] = &["wifi.reach", "wifi.heartbeat", "wifi.subnet"];
    let device = match context.device().await {
        Ok(device) if device.connection == Connection::Network => device,
        Ok(_) => return nothing(KEYS, &Why::NotThere("the device is on a cable".to_owned())),
        Err(why) => return nothing(KEYS, &why),
    };
    let mut facts = Facts::new();
    match context::shared(context.mux().network_address(device)).await {
        Ok(Some(address)) => {
            let port = SocketAddr::from((address, PORT));
            let reached = context.host.network().connect(port, LOCAL).await;
            facts.tell("wifi.reach", told(reach(reached.map(drop))));
            facts.tell("wifi.subnet", told(subnet(context, address)));
        }
        Ok(None) => {
            let why = Why::NotThere("usbmuxd does not tell the address".to_owned());
            facts.unknown(&["wifi.reach", "wifi.subnet"], &why);
        }
        Err(why) => facts.unknown(&["wifi.reach", "wifi.subnet"], &why),
    }
    let beat =
        async { context::shared(context.link().await?.start_service(service::HEARTBEAT)).await };
    facts.tell(
        "wifi.heartbeat",
        match beat.await {
            Ok(_) => Value::from("ok"),
            Err(Why::TimedOut) => Value::from("lost"),
            Err(why) => why.into(),
        },
    );
    facts
}

fn reach(connected: Result<(), NetworkError>) -> Result<&'static str, Why> {
    match connected {
        Ok(()) => Ok("reachable"),
        Err(NetworkError::TimedOut { .. } | NetworkError::Refused | NetworkError::Unreachable) => {
            Ok("unreachable")
        }
        Err(error) => Err(context::network(&error)),
    }
}

fn subnet(context: &ProbeContext, address: IpAddr) -> Result<&'static str, Why> {
    let routes = context.host.network().routes().map_err(|error| context::look(&error))?;
    let IpAddr::V4(address) = address else {
        // An address of the link itself is in the same network by its nature.
        return Ok("same");
    };
    Ok(if routes.on_link(address) { "same" } else { "other" })
}

/// P17. What a device shows of its radio differs from version to version; most show no strength.
pub(crate) async fn radio(context: &ProbeContext) -> Facts {
    let asked = async {
        let link = context.link().await?;
        let entry = diagnostics::registry_entry(link, "IO80211Interface");
        let absent = || Why::NotThere("the device does not show its Wi-Fi".to_owned());
        let entry = context::shared(entry).await?.ok_or_else(absent)?;
        // Which network it is is nobody's business; a log may name it.
        for key in NETWORK {
            if let Ok(name) = text(&entry, key) {
                context.note_name(&name);
            }
        }
        match number(&entry, "RSSI")? {
            signal @ -120..=-1 => Ok(signal),
            other => Err(Why::Garbled(format!("a signal of {other} dBm"))),
        }
    };
    let mut facts = Facts::new();
    facts.tell("wifi.signal", told(asked.await));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_nobody_opens_is_out_of_reach() {
        assert_eq!(reach(Ok(())), Ok("reachable"));
        assert_eq!(reach(Err(NetworkError::Refused)), Ok("unreachable"));
        assert_eq!(reach(Err(NetworkError::TimedOut { limit: LOCAL })), Ok("unreachable"));
        assert_eq!(reach(Err(NetworkError::Offline)), Err(Why::Offline));
    }
}
