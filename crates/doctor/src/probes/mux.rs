//! P03: usbmuxd, and what it says about the device.

use std::io::ErrorKind;
use std::time::Duration;

use lifeboat_device::mux::{Connection, same_udid};
use lifeboat_device::{Device, LinkError};
use lifeboat_host::Process;

use super::aside;
use crate::fact::{Facts, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const TELLS: &[&str] = &["mux.state", "mux.devices", "mux.device", "mux.second"];

/// usbmuxd runs on this computer: it answers at once, or it hangs.
const LIMIT: Duration = Duration::from_secs(3);

/// Programs that answer in usbmuxd's place.
const MUXES: [&str; 4] = ["usbmuxd", "usbmuxd2", "netmuxd", "AppleMobileDeviceService"];

/// P03.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let mut facts = Facts::new();
    match tokio::time::timeout(LIMIT, context.mux().devices()).await {
        Err(_) => failed(&mut facts, "hung"),
        Ok(Err(error)) => failed(&mut facts, state(&error)),
        Ok(Ok(devices)) => {
            facts.tell("mux.state", "running");
            facts.tell("mux.devices", u32::try_from(devices.len()).unwrap_or(u32::MAX));
            facts.tell("mux.device", seen(&devices, context.udid.as_deref()));
        }
    }
    let host = std::sync::Arc::clone(&context.host);
    match aside(move || host.processes()).await {
        Ok(Ok(processes)) => facts.tell("mux.second", muxes(&processes) > 1),
        Ok(Err(error)) => facts.tell("mux.second", context::look(&error)),
        Err(why) => facts.tell("mux.second", why),
    }
    facts
}

fn failed(facts: &mut Facts, state: &str) {
    facts.tell("mux.state", state);
    facts.unknown(&["mux.devices", "mux.device"], &Why::Refused("usbmuxd does not answer".into()));
}

/// Says what an error of the list of devices means for usbmuxd.
fn state(error: &LinkError) -> &'static str {
    match error {
        LinkError::MuxAbsent { source, .. } => match source.kind() {
            ErrorKind::PermissionDenied => "denied",
            ErrorKind::NotFound => "missing",
            _ => "stopped",
        },
        LinkError::Timeout { .. } => "hung",
        _ => "garbled",
    }
}

/// Whether and how a device is listed; any where nobody says which.
fn seen(devices: &[Device], udid: Option<&str>) -> &'static str {
    let meant = |device: &&Device| udid.is_none_or(|udid| same_udid(udid, &device.udid));
    let mut meant = devices.iter().filter(meant).peekable();
    if meant.peek().is_none() {
        return "absent";
    }
    if meant.any(|device| device.connection != Connection::Network) {
        "usb"
    } else {
        "network-only"
    }
}

fn muxes(processes: &[Process]) -> usize {
    processes.iter().filter(|process| MUXES.contains(&process.name.as_str())).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_with_usbmuxd() {
        let absent = |kind: ErrorKind| LinkError::MuxAbsent {
            address: "/var/run/usbmuxd".into(),
            source: kind.into(),
        };
        assert_eq!(state(&absent(ErrorKind::NotFound)), "missing");
        assert_eq!(state(&absent(ErrorKind::ConnectionRefused)), "stopped");
        assert_eq!(state(&absent(ErrorKind::PermissionDenied)), "denied");
        assert_eq!(state(&LinkError::Timeout { doing: "x", seconds: 1 }), "hung");
        assert_eq!(state(&LinkError::Malformed(String::new())), "garbled");
    }

    #[test]
    fn the_cable_counts_before_the_network() {
        let device = |udid: &str, connection| Device { udid: udid.into(), mux_id: 1, connection };
        let both = [device("A", Connection::Network), device("A", Connection::Usb)];
        assert_eq!(seen(&both, Some("a")), "usb");
        assert_eq!(seen(&both[..1], Some("A")), "network-only");
        assert_eq!(seen(&both, Some("B")), "absent");
        assert_eq!(seen(&both[..1], None), "network-only");
    }

    #[test]
    fn a_second_mux_is_counted() {
        let process = |name: &str| Process { id: 1, name: name.to_owned() };
        assert_eq!(muxes(&[process("usbmuxd"), process("bash"), process("netmuxd")]), 2);
    }
}
