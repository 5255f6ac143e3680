//! `Manifest.plist`, `Status.plist` and `Info.plist` from outside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_mobilesync::{InfoPlist, ManifestPlist, StatusPlist};

fuzz_target!(|data: &[u8]| {
    if let Ok(status) = StatusPlist::parse(data) {
        StatusPlist::parse(&status.encode()).expect("a status that was read can be read again");
    }
    _ = StatusPlist::parse_version(data);
    if let Ok(manifest) = ManifestPlist::parse(data) {
        ManifestPlist::parse(&manifest.encode()).expect("a manifest that was read can be read again");
    }
    if let Ok(info) = InfoPlist::parse(data) {
        InfoPlist::parse(&info.encode()).expect("an Info.plist that was read can be read again");
    }
});
