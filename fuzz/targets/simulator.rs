//! What the simulator reads: orders on its control socket, descriptions of phones, addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_sim::ctl::{Action, Order, Reply};
use lifeboat_sim::options::{Ios, Listen, PhoneSpec};

fuzz_target!(|text: &str| {
    if let Ok(order) = serde_json::from_str::<Order>(text) {
        let line = serde_json::to_string(&order).expect("it is plain data");
        assert_eq!(serde_json::from_str::<Order>(&line).ok(), Some(order), "an order comes back");
    }
    if let Ok(reply) = serde_json::from_str::<Reply>(text) {
        let line = serde_json::to_string(&reply).expect("it is plain data");
        serde_json::from_str::<Reply>(&line).expect("a reply can be read again");
    }
    _ = Action::parse(&text.split(' ').collect::<Vec<_>>());
    if let Ok(phone) = PhoneSpec::from_toml(text) {
        _ = phone.knobs.check();
    }
    _ = text.parse::<Listen>();
    if let Ok(ios) = text.parse::<Ios>() {
        assert!(ios.version().starts_with(text));
    }
});
