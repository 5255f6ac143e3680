//! What the machine and its network say: kernel log, mounts, routes, programs, ping, resolvers, time servers.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lifeboat_host::net::{dns, parse_pings, sntp};
use lifeboat_host::{kernel_log, mount, power, process, route};

fuzz_target!(|data: &[u8]| {
    if let Some(line) = kernel_log::parse_record(data, Duration::from_secs(5)) {
        assert!(!line.text.contains(char::is_control));
    }
    _ = process::name_of(data);
    _ = sntp::parse_answer(data);
    for kind in [1, 28] {
        _ = dns::parse_answer(data, kind);
    }
    let text = String::from_utf8_lossy(data);
    _ = mount::parse_mountinfo(&text);
    _ = route::parse_table(&text);
    _ = route::parse_table_v6(&text);
    _ = power::parse_inhibitors(&text);
    _ = parse_pings(&text);
});
