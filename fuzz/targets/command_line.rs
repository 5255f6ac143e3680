//! What the program reads from its command line, its environment and its configuration file.
#![no_main]
// The modules of the program, of which only the parsers are used here.
#![expect(dead_code, unused_imports, reason = "the program uses the rest")]

use libfuzzer_sys::fuzz_target;

use self::program::settings::{self, SettingsError};

// Modules of modules are looked for in the folder of this name.
#[path = "../../crates/cli/src"]
mod program {
    pub(crate) mod settings;
}
// Once more, where its private parser is in reach.
#[path = "../../crates/cli/src/settings/address.rs"]
mod address;
#[path = "../../crates/cli/src/ui/text.rs"]
mod text;

fuzz_target!(|words: &str| {
    if let Ok(duration) = text::parse_duration(words) {
        let again = text::parse_duration(&format!("{}s", duration.as_secs()));
        assert_eq!(again, Ok(duration), "a length of time comes back");
    }
    assert!(!text::plain(words).chars().any(char::is_control));
    _ = address::Address::parse("an address", words);
    _ = settings::ConfigFile::parse(words);
});
