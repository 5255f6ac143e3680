//! What is on the USB bus.
//!
//! Linux is tested; macOS and Windows are listed by the same library and are not tested.

use nusb::{DeviceInfo, MaybeFuture as _, Speed};

use crate::look::LookError;

/// Apple's vendor number.
pub const APPLE: u16 = 0x05ac;

/// What is on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsbBus {
    /// The devices, in the order of the system.
    pub devices: Vec<UsbDevice>,
    /// Ports that give power to something that says nothing; nothing where the system cannot tell.
    pub silent_ports: Option<u32>,
}

/// A device on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsbDevice {
    /// The vendor number.
    pub vendor: u16,
    /// The product number.
    pub product: u16,
    /// The serial number; of an iPhone its UDID without dash.
    pub serial: Option<String>,
    /// The speed of the connection in Mbit/s.
    pub speed: Option<u32>,
    /// Where it is plugged in, as the kernel names it in its log: bus, then the ports (`1-2.3`).
    pub port: String,
    /// Hubs between computer and device, the root hub not counted.
    pub hubs: u32,
    /// Whether this user may open it; nothing where the system cannot tell.
    pub may_open: Option<bool>,
}

/// Lists the devices on the bus.
pub fn list() -> Result<UsbBus, LookError> {
    let found = nusb::list_devices().wait().map_err(|error| {
        let kind = match error.kind() {
            nusb::ErrorKind::NotFound => std::io::ErrorKind::NotFound,
            nusb::ErrorKind::PermissionDenied => std::io::ErrorKind::PermissionDenied,
            nusb::ErrorKind::Unsupported => std::io::ErrorKind::Unsupported,
            // A container or a small machine: the kernel knows no USB at all.
            _ if is_absent() => std::io::ErrorKind::NotFound,
            _ => std::io::ErrorKind::Other,
        };
        LookError::from_io("USB bus", std::io::Error::new(kind, error.to_string()))
    })?;
    Ok(UsbBus { devices: found.map(|info| device(&info)).collect(), silent_ports: silent_ports() })
}

fn is_absent() -> bool {
    cfg!(target_os = "linux") && !camino::Utf8Path::new("/sys/bus/usb").exists()
}

fn device(info: &DeviceInfo) -> UsbDevice {
    UsbDevice {
        vendor: info.vendor_id(),
        product: info.product_id(),
        serial: info.serial_number().map(|text| text.trim_matches('\0').to_owned()),
        speed: info.speed().and_then(mbits),
        port: port_name(info.bus_id(), info.port_chain()),
        hubs: hubs(info.port_chain()),
        may_open: may_open(info),
    }
}

fn mbits(speed: Speed) -> Option<u32> {
    match speed {
        Speed::Low => Some(1),
        Speed::Full => Some(12),
        Speed::High => Some(480),
        Speed::Super => Some(5000),
        Speed::SuperPlus => Some(10_000),
        _ => None,
    }
}

/// Writes the place as the Linux kernel does: `1-2.3`.
fn port_name(bus: &str, chain: &[u8]) -> String {
    let bus = bus.trim_start_matches('0');
    let ports: Vec<String> = chain.iter().map(ToString::to_string).collect();
    format!("{bus}-{}", ports.join("."))
}

fn hubs(chain: &[u8]) -> u32 {
    u32::try_from(chain.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

#[cfg(target_os = "linux")]
fn may_open(info: &DeviceInfo) -> Option<bool> {
    use rustix::fs::Access;
    let path = format!("/dev/bus/usb/{:03}/{:03}", info.busnum(), info.device_address());
    match rustix::fs::access(&path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Some(true),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Some(false),
        Err(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn may_open(_info: &DeviceInfo) -> Option<bool> {
    None
}

/// USB-C ports with a partner behind which no USB device hangs. Kernels before 6.9 do not link the two: nothing then.
#[cfg(target_os = "linux")]
fn silent_ports() -> Option<u32> {
    silent_ports_below(camino::Utf8Path::new("/sys/class/typec"))
}

#[cfg(not(target_os = "linux"))]
fn silent_ports() -> Option<u32> {
    None
}

#[cfg(target_os = "linux")]
fn silent_ports_below(class: &camino::Utf8Path) -> Option<u32> {
    let mut silent = None;
    for entry in class.read_dir_utf8().ok()?.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(port) = name.strip_suffix("-partner") else { continue };
        // The computer must be the one that gives power.
        let role = fs_err::read_to_string(class.join(port).join("power_role")).unwrap_or_default();
        let names: Vec<String> = entry
            .path()
            .read_dir_utf8()
            .ok()?
            .filter_map(|inner| Some(inner.ok()?.file_name().to_owned()))
            .collect();
        // Only where the kernel can say who hangs there does its silence mean anything.
        let links = names.iter().any(|inner| inner == "usb_mode");
        if links && role.contains("[source]") {
            let speaks = names.iter().any(|inner| inner.starts_with(char::is_numeric));
            silent = Some(silent.unwrap_or(0) + u32::from(!speaks));
        }
    }
    silent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_the_kernel_writes_it() {
        assert_eq!(port_name("001", &[2, 3]), "1-2.3");
        assert_eq!((hubs(&[4]), hubs(&[2, 3]), hubs(&[])), (0, 1, 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_port_that_powers_something_silent_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let class = camino::Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        assert_eq!(silent_ports_below(&class), None);
        fs_err::create_dir_all(class.join("port0")).unwrap();
        fs_err::write(class.join("port0/power_role"), "[source] sink").unwrap();
        fs_err::create_dir_all(class.join("port0-partner")).unwrap();
        assert_eq!(silent_ports_below(&class), None, "this kernel cannot say who hangs there");
        fs_err::write(class.join("port0-partner/usb_mode"), "[usb2]").unwrap();
        assert_eq!(silent_ports_below(&class), Some(1));
        fs_err::create_dir_all(class.join("port0-partner/1-2")).unwrap();
        assert_eq!(silent_ports_below(&class), Some(0));
    }

    #[test]
    fn a_machine_without_a_bus_says_so() {
        // Whatever this machine has: the look ends.
        match list() {
            Ok(bus) => assert!(bus.devices.len() < 10_000),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
