//! Numbers and times as people read them.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use lifeboat_engine::words::{count, things};

/// Returns a number of bytes: `512 B`, `1.5 kB`, `220 MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = "kB";
    for larger in ["MB", "GB", "TB"] {
        // What would be shown as 1000 is 1.0 of the next.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Returns a length of time: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length of time in a person's range"
)]
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{large} {large_unit}")
        } else {
            format!("{large} {large_unit} {small} {small_unit}")
        }
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => pair(whole / 60, "min", whole % 60, "s"),
        3600..86400 => pair(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => pair(whole / 86400, "d", whole % 86400 / 3600, "h"),
    }
}

/// Returns a moment as the calendar and clock here show it: `2026-11-22 10:30:05`.
pub(crate) fn time(time: Timestamp) -> String {
    lifeboat_repo::shown_time(time, &TimeZone::system())
}

/// How many characters of a name a table shows.
const NAME_WIDTH: usize = 32;

/// Returns the name of a device, and its UDID where it has none.
pub(crate) fn device<'a>(name: Option<&'a str>, udid: &'a str) -> &'a str {
    name.filter(|name| !name.trim().is_empty()).unwrap_or(udid)
}

/// Returns the name of a device for a table: no longer than a table bears. UDIDs are whole.
pub(crate) fn short_device(name: Option<&str>, udid: &str) -> String {
    let name = device(name, udid);
    if name == udid || name.chars().count() <= NAME_WIDTH {
        return plain(name);
    }
    let cut: String = name.chars().take(NAME_WIDTH - 1).collect();
    plain(&format!("{}…", cut.trim_end()))
}

/// Whether a character does something to a terminal, or to the order in which a person reads, instead of being read: control
/// characters, ends of lines and paragraphs, marks of the direction of writing. What joins letters and emojis is none of them.
pub(crate) fn commands(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
        )
}

/// Returns text from a device or a file with what could command a terminal made visible; every text that is not ours passes
/// through here on its way to people.
pub(crate) fn plain(text: &str) -> String {
    if !text.chars().any(commands) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if commands(c) { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Returns text of several lines as [`plain`] does, each line for itself, joined by `between`.
pub(crate) fn plain_lines(text: &str, between: &str) -> String {
    text.trim_end().lines().map(plain).collect::<Vec<_>>().join(between)
}

/// Returns text as one word of a shell (POSIX, 2024: `$'…'`), and as it is where it is one already.
pub(crate) fn word(text: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        return text.to_owned();
    }
    if !text.chars().any(commands) {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let mut word = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => word.extend(['\\', c]),
            c if commands(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(word, "\\{byte:03o}");
                }
            }
            c => word.push(c),
        }
    }
    word.push('\'');
    word
}

/// A length of time on the command line: `90`, `90s`, `10m`, `26h`, `7d`, `2w`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong =
        || format!("{text:?} is not a length of time (write 90s, 10m, 26h, 7d, 2w or 1h30m)");
    let mut total: u64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        if number.is_empty() {
            return Err(wrong());
        }
        // Digits that are no number are of one that is too large.
        let value: u64 = number.parse().unwrap_or(u64::MAX);
        number.clear();
        total = total.saturating_add(value.saturating_mul(unit));
    }
    if !number.is_empty() {
        // Seconds need no letter, but only alone: `1h30` could mean anything.
        if number.len() != text.len() {
            return Err(wrong());
        }
        total = number.parse().unwrap_or(u64::MAX);
    } else if text.is_empty() {
        return Err(wrong());
    }
    // A hundred years is as long as anything here, and dates can still be reckoned with it.
    if total > 100 * 366 * 86400 {
        return Err(format!("{text:?} is longer than a hundred years"));
    }
    Ok(std::time::Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn durations_come_back(seconds in 0_u64..100 * 365 * 86400) {
            let (days, rest) = (seconds / 86400, seconds % 86400);
            let (hours, minutes, left) = (rest / 3600, rest % 3600 / 60, rest % 60);
            for text in [
                seconds.to_string(),
                format!("{seconds}s"),
                format!("{days}d{hours}h{minutes}m{left}s"),
                format!("{}w{}d{rest}s", days / 7, days % 7),
            ] {
                prop_assert_eq!(parse_duration(&text).unwrap().as_secs(), seconds, "{}", text);
            }
        }

        #[test]
        fn noise_is_no_duration_and_never_panics(noise in any::<String>(), near in "[0-9smhdwy .-]{0,24}") {
            for text in [noise, near] {
                if let Ok(duration) = parse_duration(&text) {
                    prop_assert!(duration.as_secs() <= 100 * 366 * 86400);
                    prop_assert!(text.chars().all(|c| c.is_ascii_digit() || "smhdw".contains(c)), "{text}");
                }
            }
        }

        #[test]
        fn what_is_shown_cannot_command_a_terminal(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(commands));
            prop_assert!(!plain_lines(&text, " ").chars().any(commands));
            prop_assert!(!word(&text).chars().any(commands));
        }
    }

    #[test]
    fn bytes_have_two_or_three_digits() {
        let shown = [0, 999, 1000, 1550, 9940, 9960, 999_400, 999_600, 220_000_000, 4_000_000_000]
            .map(bytes);
        assert_eq!(
            shown,
            [
                "0 B", "999 B", "1.0 kB", "1.6 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB",
                "220 MB", "4.0 GB"
            ]
        );
    }

    #[test]
    fn a_device_without_a_name_is_called_by_its_udid_and_tables_cut_long_ones() {
        for none in [None, Some(""), Some(" ")] {
            assert_eq!(device(none, "U"), "U");
            assert_eq!(short_device(none, &"0".repeat(40)), "0".repeat(40));
        }
        assert_eq!(short_device(Some("Robin's iPhone"), "U"), "Robin's iPhone");
        let long = "é".repeat(33);
        assert_eq!(short_device(Some(&long), "U"), format!("{}…", "é".repeat(31)));
        assert_eq!(device(Some(&long), "U"), long);
    }

    #[test]
    fn what_is_too_long_is_said_to_be() {
        for text in ["101w1000000w", "36601d", "99999999999999999999", "9999999999999999999w"] {
            let why = parse_duration(text).unwrap_err();
            assert_eq!(why, format!("{text:?} is longer than a hundred years"));
        }
        assert!(parse_duration("1y").unwrap_err().contains("is not a length of time"));
    }

    #[test]
    fn lengths_of_time() {
        let shown = [0.04, 9.9, 12.2, 60.0, 185.0, 7800.0, 273_600.0].map(seconds);
        assert_eq!(
            shown,
            ["0.0 s", "9.9 s", "12 s", "1 min", "3 min 5 s", "2 h 10 min", "3 d 4 h"]
        );
    }

    #[test]
    fn durations_are_read_or_refused() {
        let read = |text: &str| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(read("90"), Ok(90));
        assert_eq!(read("10m"), Ok(600));
        assert_eq!(read("1h30m"), Ok(5400));
        assert_eq!(read("2w"), Ok(1_209_600));
        for wrong in ["", "m", "1y", "1h30", "-5s", "1.5h", "99999999999999999999w"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_word_of_a_shell_is_quoted_where_it_must_be() {
        let words =
            ["/srv/phones", "/my repo", "it's", "", "$HOME", "a\n'b\\", "/Zoë", "\u{85}"].map(word);
        assert_eq!(
            words,
            [
                "/srv/phones",
                "'/my repo'",
                "'it'\\''s'",
                "''",
                "'$HOME'",
                "$'a\\012\\'b\\\\'",
                "/Zoë",
                "$'\\302\\205'"
            ]
        );
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(plain("Zoë's iPhone"), "Zoë's iPhone");
        // Written from the right it would end in `.jpg`.
        assert_eq!(plain("a\u{202e}gpj.exe\u{2069}"), "a\\u{202e}gpj.exe\\u{2069}");
        // A woman and a rocket, joined: an astronaut.
        let astronaut = "\u{1f469}\u{200d}\u{1f680}";
        assert_eq!(plain(astronaut), astronaut);
        assert_eq!(plain_lines("a\u{7}\nb\u{2028}c\n", "\n    "), "a\\u{7}\n    b\\u{2028}c");
    }
}
