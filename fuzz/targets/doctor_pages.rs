//! What the doctor reads from outside: Apple's lists of services and versions, the device's diary, its profiles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_device::profiles::profiles;
use lifeboat_doctor::probes::diary::{Days, diary};
use lifeboat_doctor::probes::{parse_status, parse_versions};
use lifeboat_wire::plist_guard::{Limits, parse};

fuzz_target!(|data: &[u8]| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    _ = parse_status(data, now);
    _ = parse_versions(data, "iPhone15,2");
    _ = diary(&[data.to_vec()], &Days { now, made: Some(now), last: None });
    if let Ok(value) = parse(data, &Limits::MESSAGE)
        && let Some(list) = value.as_dictionary()
    {
        _ = profiles(list);
    }
});
