//! P01, P02: what the USB bus shows of the device, and how good cable, port and hubs are.

use std::time::Duration;

use lifeboat_host::usb::APPLE;
use lifeboat_host::{KernelLine, UsbBus, UsbDevice};

use super::{aside, nothing};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const PRESENCE: &[&str] =
    &["usb.device", "usb.permission", "usb.held-back", "usb.charging-only"];
pub(crate) const CABLE: &[&str] = &["usb.speed", "usb.hubs", "usb.errors", "usb.reconnects"];

/// How far back the kernel's log counts.
const RECENT: Duration = Duration::from_mins(10);

/// What a device on the bus is, by its product number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Normal,
    Recovery,
    Dfu,
    Other,
}

/// Product numbers of iPhones and iPads; other things of Apple's (keyboards, displays) have others.
fn mode(device: &UsbDevice) -> Option<Mode> {
    if device.vendor != APPLE {
        return None;
    }
    match device.product {
        0x1290..=0x12af => Some(Mode::Normal),
        0x1280..=0x1283 => Some(Mode::Recovery),
        0x1222 | 0x1226 | 0x1227 => Some(Mode::Dfu),
        0x1200..=0x13ff => Some(Mode::Other),
        _ => None,
    }
}

/// Returns the device that is meant: by its serial number where that is known, else one that is not as it should be.
fn choose<'a>(bus: &'a UsbBus, udid: Option<&str>) -> Option<(&'a UsbDevice, Mode)> {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let found: Vec<(&UsbDevice, Mode)> =
        bus.devices.iter().filter_map(|device| Some((device, mode(device)?))).collect();
    let same = |device: &UsbDevice| {
        let serial = device.serial.as_deref().map(plain);
        udid.is_some_and(|udid| serial.as_deref() == Some(plain(udid).as_str()))
    };
    let meant = found.iter().find(|(device, _)| same(device));
    // Another device in normal mode is another device; one in another mode does not show its serial number.
    let usable = |(device, mode): &&(&UsbDevice, Mode)| {
        *mode != Mode::Normal || udid.is_none() || device.serial.is_none()
    };
    meant.or_else(|| found.iter().find(usable)).copied()
}

/// Returns the word of `device.mode` for a device that is on the bus and in another mode than the ordinary one.
pub(crate) fn other_mode(bus: &UsbBus) -> Option<&'static str> {
    bus.devices.iter().filter_map(mode).find_map(|mode| match mode {
        Mode::Recovery => Some("recovery"),
        Mode::Dfu => Some("dfu"),
        Mode::Normal | Mode::Other => None,
    })
}

async fn bus(context: &ProbeContext) -> Result<UsbBus, Why> {
    let host = std::sync::Arc::clone(&context.host);
    aside(move || host.usb()).await?.map_err(|error| context::look(&error))
}

/// P01.
pub(crate) async fn presence(context: &ProbeContext) -> Facts {
    match bus(context).await {
        Ok(bus) => presence_of(&bus, context.udid.as_deref()),
        Err(why) => nothing(PRESENCE, &why),
    }
}

fn presence_of(bus: &UsbBus, udid: Option<&str>) -> Facts {
    let mut facts = Facts::new();
    let chosen = choose(bus, udid);
    facts.tell(
        "usb.device",
        match chosen {
            None => "absent",
            Some((_, Mode::Normal)) => "normal",
            Some((_, Mode::Recovery)) => "recovery",
            Some((_, Mode::Dfu)) => "dfu",
            Some((_, Mode::Other)) => "not-apple-mode",
        },
    );
    match chosen.and_then(|(device, _)| device.may_open) {
        Some(allowed) => facts.tell("usb.permission", if allowed { "ok" } else { "denied" }),
        None => facts.tell("usb.permission", Why::NotThere("nothing to open".to_owned())),
    }
    // Follows from what usbmuxd says.
    facts.tell("usb.held-back", Why::NotLooked);
    match bus.silent_ports {
        Some(ports) => facts.tell("usb.charging-only", chosen.is_none() && ports > 0),
        None => facts.tell(
            "usb.charging-only",
            Why::NotThere("this computer cannot tell what its ports power".to_owned()),
        ),
    }
    facts
}

/// P02.
pub(crate) async fn cable(context: &ProbeContext) -> Facts {
    let mut facts = Facts::new();
    let bus = bus(context).await;
    let chosen = bus.as_ref().map(|bus| choose(bus, context.udid.as_deref()));
    let mut port = None;
    match chosen {
        Ok(Some((device, _))) => {
            let unknown = || Value::Unknown(Why::NotThere("the system does not say".to_owned()));
            facts.tell("usb.speed", device.speed.map_or_else(unknown, Value::from));
            facts.tell("usb.hubs", device.hubs);
            port = Some(device.port.clone());
        }
        Ok(None) => facts.unknown(CABLE.get(..2).unwrap_or_default(), &Why::NoDevice),
        Err(why) => facts.unknown(CABLE.get(..2).unwrap_or_default(), why),
    }
    let host = std::sync::Arc::clone(&context.host);
    let log = aside(move || host.kernel_log()).await;
    let log = log.and_then(|lines| lines.map_err(|error| context::look(&error)));
    match log {
        Ok(lines) => {
            let (errors, reconnects) = trouble(&lines, port.as_deref());
            facts.tell("usb.errors", errors);
            facts.tell("usb.reconnects", reconnects);
        }
        Err(why) => facts.unknown(CABLE.get(2..).unwrap_or_default(), &why),
    }
    facts
}

/// Counts errors and disconnections of a port in the kernel's log; of all ports where the port is not known.
///
/// What belongs to a port begins with its name: `usb 1-2: …`; over-current stands with the hub: `usb usb1-port2: …`.
fn trouble(lines: &[KernelLine], port: Option<&str>) -> (u32, u32) {
    const ERRORS: [&str; 8] = [
        "reset high-speed",
        "reset full-speed",
        "reset SuperSpeed",
        "error -71",
        "error -110",
        "error -32",
        "not accepting address",
        "unable to enumerate",
    ];
    let (mut errors, mut disconnects) = (0, 0);
    for line in lines.iter().filter(|line| line.ago <= RECENT) {
        let Some(rest) = line.text.strip_prefix("usb ").or_else(|| line.text.strip_prefix("hub "))
        else {
            continue;
        };
        let Some((place, said)) = rest.split_once(": ") else { continue };
        if !is_of(place, port) {
            continue;
        }
        if said.contains("USB disconnect") {
            disconnects += 1;
        } else if said.contains("over-current") || ERRORS.iter().any(|error| said.contains(error)) {
            errors += 1;
        }
    }
    (errors, disconnects)
}

/// Whether a place of the log (`1-2.3`, `usb1-port2`, `1-2-port3`, `1-2:1.0`) is the port.
fn is_of(place: &str, port: Option<&str>) -> bool {
    let Some(port) = port else { return true };
    let place = place.split([' ', ':']).next().unwrap_or(place);
    if let Some((hub, number)) = place.split_once("-port") {
        let joined = match hub.strip_prefix("usb") {
            Some(bus) => format!("{bus}-{number}"),
            None => format!("{hub}.{number}"),
        };
        return joined == port;
    }
    place == port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(product: u16, serial: &str) -> UsbDevice {
        UsbDevice {
            vendor: APPLE,
            product,
            serial: Some(serial.to_owned()),
            may_open: Some(true),
            ..UsbDevice::default()
        }
    }

    fn bus_of(devices: Vec<UsbDevice>) -> UsbBus {
        UsbBus { devices, silent_ports: Some(1) }
    }

    #[test]
    fn the_device_on_the_bus_is_told_from_other_things() {
        const UDID: &str = "00008120-000A1B2C3D4E5F60";
        let own = || device(0x12a8, "00008120000A1B2C3D4E5F60");
        for (devices, wanted) in [
            (vec![], "absent"),
            (vec![device(0x024f, "keyboard")], "absent"),
            (vec![device(0x12a8, "another")], "absent"),
            (vec![device(0x12a8, "another"), own()], "normal"),
            (vec![device(0x1281, "")], "recovery"),
            (vec![device(0x1227, "")], "dfu"),
            (vec![device(0x12ff, "")], "not-apple-mode"),
        ] {
            let facts = presence_of(&bus_of(devices), Some(UDID));
            assert!(facts.is("usb.device", wanted), "{wanted}: {facts:?}");
            assert!(facts.is("usb.charging-only", if wanted == "absent" { "yes" } else { "no" }));
        }
    }

    #[test]
    fn errors_count_for_their_port_and_for_ten_minutes() {
        let line = |ago: u64, text: &str| KernelLine {
            ago: Duration::from_secs(ago),
            text: text.to_owned(),
        };
        let lines = [
            line(5, "usb 1-2: USB disconnect, device number 5"),
            line(5, "usb 1-2: reset high-speed USB device number 5 using xhci_hcd"),
            line(5, "usb 1-2: device descriptor read/64, error -71"),
            line(5, "usb usb1-port2: over-current condition"),
            line(5, "usb 1-3: device descriptor read/64, error -71"),
            line(900, "usb 1-2: device descriptor read/64, error -71"),
            line(5, "ata1: error -71 usb 1-2: reset high-speed"),
        ];
        assert_eq!(trouble(&lines, Some("1-2")), (3, 1));
        assert_eq!(trouble(&lines, None), (4, 1));
        assert!(is_of("1-2-port3", Some("1-2.3")) && is_of("1-2:1.0", Some("1-2")));
    }
}
