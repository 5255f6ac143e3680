//! DeviceLink messages of both sides: what is understood can be encoded and is understood the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::devicelink::{HostMessage, PhoneMessage};
use lifeboat_wire::plist_guard::Limits;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = PhoneMessage::decode(data, &Limits::MESSAGE) {
        PhoneMessage::decode(&message.encode(), &Limits::MESSAGE).expect("a phone's message can be read again");
    }
    if let Ok(message) = HostMessage::decode(data, &Limits::MESSAGE) {
        HostMessage::decode(&message.encode(), &Limits::MESSAGE).expect("a host's message can be read again");
    }
});
