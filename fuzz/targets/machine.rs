//! The description of a machine (`--machine FILE`).
#![no_main]

use std::sync::Arc;

use camino::Utf8Path;
use libfuzzer_sys::fuzz_target;
use lifeboat_host::Host as _;
use lifeboat_host::fake::FakeHost;
use lifeboat_host::machine::Machine;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(machine) = Machine::parse(Arc::new(FakeHost::default()), text) {
        _ = machine.now();
        _ = machine.usb();
        _ = machine.space(Utf8Path::new("/home"));
        _ = machine.free_files(Utf8Path::new("/home"));
    }
});
