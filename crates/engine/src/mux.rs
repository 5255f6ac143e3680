//! Where the devices are, and which one is meant.

use lifeboat_device::Device;
use lifeboat_device::mux::same_udid;

use crate::error::{Cause, JobError};

/// The address of the mux (usbmuxd or what stands in for it).
pub use lifeboat_device::MuxAddress as Mux;

/// Returns the client for the mux at an address.
pub(crate) fn client(address: &Mux) -> lifeboat_device::mux::Mux {
    lifeboat_device::mux::Mux::new(address.clone())
}

/// Chooses a device: the one that was asked for, or the only one; by cable before over the network.
pub(crate) fn choose(devices: Vec<Device>, udid: Option<&str>) -> Result<Device, JobError> {
    if let Some(udid) = udid {
        let found = devices.into_iter().find(|device| same_udid(&device.udid, udid));
        return found
            .ok_or_else(|| JobError::new(Cause::DeviceAbsent, "that device is not connected"));
    }
    let Some(first) = devices.first() else {
        return Err(JobError::new(Cause::NoDevice, "no device is connected"));
    };
    if devices.iter().any(|device| device.udid != first.udid) {
        return Err(JobError::new(Cause::SeveralDevices, "several devices are connected"));
    }
    Ok(first.clone())
}

#[cfg(test)]
mod tests {
    use lifeboat_device::mux::Connection;

    use super::*;

    fn device(udid: &str, mux_id: u32, connection: Connection) -> Device {
        Device { udid: udid.into(), mux_id, connection }
    }

    #[test]
    fn the_only_one_or_the_one_that_is_named() {
        let cause = |result: Result<Device, JobError>| result.unwrap_err().cause;
        assert_eq!(cause(choose(vec![], None)), Cause::NoDevice);
        assert_eq!(cause(choose(vec![], Some("a"))), Cause::DeviceAbsent);
        let one = device("00008110-A", 1, Connection::Usb);
        let same = device("00008110-A", 2, Connection::Network);
        let other = device("00008110-B", 3, Connection::Usb);
        assert_eq!(choose(vec![one.clone(), same.clone()], None).unwrap(), one);
        assert_eq!(cause(choose(vec![one.clone(), other.clone()], None)), Cause::SeveralDevices);
        assert_eq!(choose(vec![one, other.clone()], Some("00008110b")).unwrap(), other);
    }
}
