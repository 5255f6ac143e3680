//! What the program reads from its command line, its environment and its configuration file.
#![no_main]
// The modules of the program, of which only the parsers are used here.
#![expect(dead_code, reason = "the program uses the rest")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/cli/src/settings.rs"]
mod settings;
#[path = "../../crates/cli/src/ui/text.rs"]
mod text;

fuzz_target!(|words: &str| {
    if let Ok(duration) = text::parse_duration(words) {
        let again = text::parse_duration(&format!("{}s", duration.as_secs()));
        assert_eq!(again, Ok(duration), "a length of time comes back");
    }
    assert!(!text::plain(words).chars().any(char::is_control));
    _ = settings::Address::parse("an address", words);
    _ = settings::ConfigFile::parse(words);
});
