//! Paths that a phone sends, what it says of its errors, and pairing records: a path that is taken never leaves the device's own folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_device::mobilebackup2::{DeviceError, HostPath};

const UDID: &str = "00008030-001A2B3C4D5E802E";

fuzz_target!(|data: &[u8]| {
    lifeboat_device::fuzz::pairing_record(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(DeviceError::parse(0, Some(text)).to_string());
    for text in [text.to_owned(), format!("{UDID}/{text}")] {
        if let Ok(path) = HostPath::parse(&text, UDID) {
            assert!(path.as_str().starts_with(UDID), "{path:?}");
            let wicked = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\0', '\\', '/']);
            assert!(!path.components().any(wicked), "{path:?}");
        }
    }
});
