//! What identifiers look like in a text that others wrote: an error's, a log line's.

use std::ops::Range;
use std::sync::OnceLock;

use regex::{Captures, Regex};

use super::labelled;

/// What stands for a name that was left out.
pub(super) const LEFT_OUT: &str = "(left out)";

/// Shapes, and what stands there instead. `C` is a character of a folder's name, `B` a name with blanks in front of a slash, or
/// whose further words begin with a capital.
const SHAPES: &[(&str, &str)] = &[
    // Everything up to the last sign: what is secret may hold one.
    (r#"(?i)\b([a-z][a-z0-9+.-]*://)[^\s"'<>]+@"#, "${1}(left out)@"),
    (r"(/(?:home|Users|root)/)C+", "${1}(left out)"),
    (r"(/(?:run/)?media/)C+(?:/B)?", "${1}(left out)${slash}"),
    (r"(/(?:mnt|srv|Volumes)/)B", "${1}(left out)${slash}"),
    (r"(\\Users\\)(?:[^\\\n:]*\\|C+)", r"${1}(left out)\"),
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b", "(UUID)"),
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{40}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{24}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})\b", "(hardware address)"),
    (r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", "(address)"),
    (r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7}\b", "(address)"),
    // Short forms: `fe80::1`, `2001:db8::7`, not the `::` between names of a program.
    (r"\b(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6}\b", "(address)"),
    // In degrees: where somebody is.
    (
        r#"(?i)\b((?:lat(?:itude)?|lon(?:gitude)?|lng)\b["']?[ :=]*|long["']?[:=]+ ?)[-+]?[0-9]{1,3}[.,][0-9]+"#,
        "${1}(place)",
    ),
    (r"[-+]?\b[0-9]{1,3}\.[0-9]{4,} ?, ?[-+]?[0-9]{1,3}\.[0-9]{4,}\b", "(place)"),
    (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", "(e-mail address)"),
    // Computers at home.
    (
        r"(?i)\b[\w-]+(?:\.[\w-]+)*\.(?:local|localdomain|lan|home\.arpa|fritz\.box|speedport\.ip)(?P<behind>[^\w-]|$)",
        "(host)${behind}",
    ),
];
/// A character of a folder's name; an apostrophe only within it.
const OF_NAME: &str = r#"(?:[^\s/\\:;,"'()<>]|'\p{L})"#;

/// A number as a telephone has. A bracket right behind a digit is none: so a log writes a size twice.
const NUMBER: &str = r"\+?[0-9](?:(?: ?[/-]? ?|\) ?| \()[0-9]){9,}";
/// Sizes and times, which support needs, however long they are: what stands behind such a word, or before a unit.
const MEASURED: &str = r"(?i)(?:\b(?:space|free|size|bytes|total|used|available|capacity|needs?|need|required|remaining|left)\b(?: (?:on drive|disk|space|is|are|of))*[ :=]+[0-9]{1,20}\b)|(?:\b[0-9]{1,20} ?(?:bytes|[KMGT]i?B|ms|us|ns)\b)";

/// Compiles an expression that is part of the program.
pub(super) fn constant(shape: &str) -> Regex {
    Regex::new(shape).expect("a constant that the tests compile")
}

/// Returns a text without what looks like an identifier. The second line of defence: the first is
/// [`Identifier`](super::Identifier) and `private` in the table of facts.
pub fn scrubbed(text: &str) -> String {
    static COMPILED: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    static NUMBERS: OnceLock<Regex> = OnceLock::new();
    let shapes = COMPILED.get_or_init(|| {
        let blanks = r"(?:C+(?: C+){0,5}(?P<slash>/)|C+(?: [\p{Lu}0-9]C*)*)";
        let whole = |shape: &str| shape.replace('B', blanks).replace('C', OF_NAME);
        SHAPES
            .iter()
            .map(|(shape, instead)| {
                let folders = shape.starts_with("(/") || shape.starts_with(r"(\\");
                let shape = if folders { whole(shape) } else { (*shape).to_owned() };
                (constant(&shape), *instead)
            })
            .collect()
    });
    let without = shapes.iter().fold(without_files(text), |text, (regex, instead)| {
        regex.replace_all(&text, *instead).into_owned()
    });
    let without = labelled::without(&without);
    let numbers = NUMBERS.get_or_init(|| constant(&format!("({MEASURED})|{NUMBER}")));
    let left = |found: &Captures<'_>| match found.get(1) {
        Some(measured) => measured.as_str().to_owned(),
        None => "(number)".to_owned(),
    };
    numbers.replace_all(&without, left).into_owned()
}

/// Begins of the names of a device's files, with a quotation mark before them.
const FILES: &str = r#"(?P<quote>["'\x{201C}\x{2018}]?)(?:(?P<path>/(?:private/)?var/(?:mobile|containers)/|/\.ba/mobile/)|\b(?P<app>(?:AppDomain(?:Group|Plugin)?|SysContainerDomain|SysSharedContainerDomain)-)|\b(?P<domain>(?:(?:Home|Root|CameraRoll|Media|Wireless|Keyboard|Keychain|Health|HomeKit|Books|Tones|Database|Managed[A-Za-z]*|System[A-Za-z]*)Domain)/))"#;

/// Returns a text without the names of a device's files.
fn without_files(text: &str) -> String {
    static BEGINS: OnceLock<Regex> = OnceLock::new();
    let begins = BEGINS.get_or_init(|| constant(FILES));
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    while let Some(found) = begins.captures_at(text, from) {
        let Some(whole) = found.get(0) else { break };
        let quote = found.name("quote").map(|quote| quote.as_str()).unwrap_or_default();
        let rest = text.get(whole.end()..).unwrap_or_default();
        out.push_str(text.get(from..whole.start()).unwrap_or_default());
        out.push_str(quote);
        if let Some(path) = found.name("path") {
            let path = path.as_str();
            out.push_str(path.strip_prefix("/private").unwrap_or(path));
            out.push_str(LEFT_OUT);
        } else if let Some(domain) = found.name("domain") {
            out.push_str(domain.as_str());
            out.push_str(LEFT_OUT);
        } else {
            out.push_str("(a file of an app)");
        }
        from = whole.end() + end_of_name(rest, quote);
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Returns where the name of a file ends that this begins with. Such names hold blanks: one ends where its sentence goes on. Behind
/// a comma or a bracket it goes on where there is the ending of a file's name.
fn end_of_name(rest: &str, quote: &str) -> usize {
    static HARD: OnceLock<Regex> = OnceLock::new();
    static SOFT: OnceLock<Regex> = OnceLock::new();
    static ENDING: OnceLock<Regex> = OnceLock::new();
    let hard = HARD.get_or_init(|| constant(r#"[:;"\n]| (?:errno|error|code)[ =:]+[-(]?[0-9]"#));
    let soft = SOFT.get_or_init(|| constant(r", | \(|'(?:[^\p{L}]|$)"));
    let ending = ENDING.get_or_init(|| constant(r"\.[A-Za-z][A-Za-z0-9]{0,4}(?P<behind>[^\w.]|$)"));
    let begin = |found: Option<regex::Match<'_>>| found.map(|found| found.start());
    let mut end = begin(hard.find(rest)).unwrap_or(rest.len());
    let closing = match quote {
        "\u{201C}" => rest.find('\u{201D}'),
        "\u{2018}" => begin(closing_mark().find(rest)),
        "'" => begin(soft.find_iter(rest).find(|found| found.as_str().starts_with('\''))),
        _ => None,
    };
    end = closing.map_or(end, |closing| closing.min(end));
    let name = rest.get(..end).unwrap_or_default();
    if matches!(quote, "\"" | "'" | "\u{201C}" | "\u{2018}") && closing.is_some() || quote == "\"" {
        return end;
    }
    let is_left_out = |at: usize| name.get(at + 1..).is_some_and(|rest| rest.starts_with(LEFT_OUT));
    let stop = soft.find_iter(name).map(|found| found.start()).find(|at| !is_left_out(*at));
    let last = ending.captures_iter(name).filter_map(|found| begin(found.name("behind"))).last();
    let end = stop.map_or(end, |stop| last.map_or(stop, |last| stop.max(last)));
    rest.get(..end).unwrap_or_default().trim_end().len()
}

/// A curly apostrophe that closes.
fn closing_mark() -> &'static Regex {
    static CLOSING: OnceLock<Regex> = OnceLock::new();
    CLOSING.get_or_init(|| constant(r"\x{2019}(?:[^\p{L}]|$)"))
}

/// Returns a text with something else in these places, which are in their order.
pub(super) fn replaced(text: &str, places: &[Range<usize>], instead: &str) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for place in places {
        out.push_str(text.get(from..place.start).unwrap_or_default());
        out.push_str(instead);
        from = place.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubs_what_looks_like_somebody() {
        for text in [
            "cannot open /home/anna/backup",
            "cannot open /Users/anna/Library",
            r"cannot open C:\Users\anna\Apple",
            "device 00008030-001A2B3C4D5E6F70 left",
            "device 00112233445566778899aabbccddeeff00112233 left",
            "app 2A1B3C4D-0000-4111-8222-333344445555",
            "anna.example@icloud.com is signed in",
            "peer aa:bb:cc:dd:ee:ff",
            "peer fe80::1a2b:3c4d:5e6f:7081",
            "peer 192.168.1.23",
            "call +49 170 1234567",
            "call +49 (0)170-1234567",
            "call 170 1234567 or (170) 123-4567",
            "/var/mobile/Containers/Data/Application/anna",
            "/.ba/mobile/Media/for anna.pdf: input/output error",
            "HomeDomain/Library/for anna.db: input/output error",
            "AppDomain-org.example.anna/Documents/for anna.pdf: input/output error",
            "CameraRollDomain/Media/anna.jpg",
        ] {
            let scrubbed = scrubbed(text);
            assert!(scrubbed.contains('('), "{text} became {scrubbed}");
            for rest in [
                "anna",
                "00008030-001",
                "0011223344",
                "2A1B3C4D",
                "aa:bb",
                "5e6f",
                "192.168",
                "1234567",
            ] {
                assert!(!scrubbed.contains(rest), "{text} became {scrubbed}");
            }
        }
        for text in [
            "error 105",
            "MBErrorDomain/208",
            "NSPOSIXErrorDomain/28: full",
            "12 files of 4096 bytes",
            "17.5.1 at 10:42:31",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }

    /// What the review found to come through.
    #[test]
    fn nothing_of_a_person_comes_through() {
        for (text, left) in [
            ("joined network Quayside", "joined network (left out)"),
            ("wifi Anna-Net lost", "wifi (left out) lost"),
            ("Wi-Fi network \"Zoe\"", "Wi-Fi network \"(left out)\""),
            ("SSID Quayside, weak", "SSID (left out), weak"),
            ("ssid=quayside;", "ssid=(left out);"),
            ("SSID: 'Zoe's net' of x", "SSID: '(left out)' of x"),
            ("joined network SSID: quayside", "joined network SSID: (left out)"),
            ("to NAS-of-Meier.local: refused", "to (host): refused"),
            ("at printer.fritz.box:631", "at (host):631"),
            ("mount smb://meier:geheim@nas/x", "mount smb://(left out)@nas/x"),
            ("sftp://meier@nas", "sftp://(left out)@nas"),
            ("smb://meier:ge@he/im@nas/x", "smb://(left out)@nas/x"),
            (
                "Device 'Zoe Miller' of account zoe.miller",
                "Device '(left out)' of account (left out)",
            ),
            ("/mnt/Familie Meier/backup", "/mnt/(left out)/backup"),
            ("/mnt/Familie Meier: full", "/mnt/(left out): full"),
            ("/srv/berta/x", "/srv/(left out)/x"),
            ("/root/berta", "/root/(left out)"),
            ("/Volumes/Bertas Platte/x", "/Volumes/(left out)/x"),
            ("'/Volumes/Berta's Platte' is full", "'/Volumes/(left out)' is full"),
            ("/media/berta/Bertas Platte/x", "/media/(left out)/x"),
            ("from /home/berta and /home/otto", "from /home/(left out) and /home/(left out)"),
            (r"C:\Users\Anna Meier\Apple", r"C:\Users\(left out)\Apple"),
            (
                "/private/var/containers/Bundle/Application/ABC/Grindr.app/x",
                "/var/containers/(left out)",
            ),
            ("latitude 52.520008, longitude: -13.4", "latitude (place), longitude: (place)"),
            ("at <+52.520008,+13.404954>", "at <(place)>"),
            ("/var/mobile/Media/for anna, berta (1).pdf: lost", "/var/mobile/(left out): lost"),
            ("'/var/mobile/Media/anna's a.pdf' lost", "'/var/mobile/(left out)' lost"),
        ] {
            let once = scrubbed(text);
            assert_eq!(once, left, "{text}");
            assert_eq!(scrubbed(&once), left, "twice: {text}");
        }
    }

    /// The name of a file does not take its sentence with it.
    #[test]
    fn the_name_of_a_file_ends_where_its_sentence_goes_on() {
        for (text, left) in [
            (
                "/var/mobile/Media/a b errno 5; 128 files left (error 7)",
                "/var/mobile/(left out) errno 5; 128 files left (error 7)",
            ),
            ("HomeDomain/a b; 128 files left", "HomeDomain/(left out); 128 files left"),
            ("/var/mobile/a, 128 files left", "/var/mobile/(left out), 128 files left"),
            ("/var/mobile/a.pdf (error 7)", "/var/mobile/(left out) (error 7)"),
            ("open \"/var/mobile/a, b (1)\" failed", "open \"/var/mobile/(left out)\" failed"),
            ("open '/var/mobile/a b' failed", "open '/var/mobile/(left out)' failed"),
            ("AppDomain-org.anna/a b; lost", "(a file of an app); lost"),
            ("/var/mobile/(left out)/anna", "/var/mobile/(left out)"),
            ("/var/mobile/for (left out) anna", "/var/mobile/(left out)"),
        ] {
            let once = scrubbed(text);
            assert_eq!(once, left, "{text}");
            assert_eq!(scrubbed(&once), left, "twice: {text}");
        }
    }

    /// Ordinary lines, which support needs as they are.
    #[test]
    fn ordinary_lines_stay_as_they_are() {
        for line in [
            "serial connection lost: connection closed",
            "Apple Account password required",
            "Apple ID: required, retry",
            "Apple ID sign-in failed",
            "SSID unavailable; network unavailable",
            "SSID: unavailable",
            "ssid (null), bssid <private>",
            "user name required",
            "network is down, network up again",
            "network interface en0 down",
            "network WPA2-PSK, channel 6",
            "network: Connected",
            "Network Extension started",
            "Network Error: NSURLErrorDomain Code=-1009",
            "Error Domain=NSCocoaErrorDomain Code=4097 \"x\"",
            "backupd[98]: =account= Found account of type com.apple.appleaccount for persona <private>",
            "backupd[98]: =network= WiFi, available:1, expensive:0, constrained:1",
            "backupd[98]: =network= HTTP/2 503",
            "enabled:1, locked:0, onPower:1, onWiFi:0, onCellular:1(1)",
            "account com.apple.appleaccount: 3 accounts",
            "device usb1 reset, device disconnected: errno 19",
            "device not found; Device Locked",
            "Device Enrollment: done",
            "wifi is weak, Wi-Fi Assist on, Wi-Fi: connected",
            "WiFi RSSI -61, WiFi 6E",
            "retries: max 5",
            "errno 5; 128 files left (error 7)",
            "lattice 5.5, long 13.4 seconds",
            "https://support.apple.com/en-us/108366",
            "mount at /mnt, at /srv and at /Volumes",
            "usr/local/bin, v1.2.local-build",
            "MBErrorDomain/208, std::fs::File",
            "kernel[0]: USB device 3-1: device descriptor read/64, error -71",
            "usbmuxd: Connecting to device 3-1",
        ] {
            assert_eq!(scrubbed(line), line);
            let names = labelled::introduced([line].into_iter());
            assert_eq!(
                names,
                [],
                "{line}: {:?}",
                names.iter().map(crate::report::Identifier::reveal).collect::<Vec<_>>()
            );
        }
    }

    proptest::proptest! {
        /// Whatever a text is made of, it comes to an end, and a secret behind its word does not come through.
        #[test]
        fn any_text_is_scrubbed(parts in proptest::collection::vec(0..18_usize, 0..12), noise in "\\PC{0,20}") {
            const PARTS: [&str; 18] = [
                "ssid", "network ", "device: ", "'", "\"", "=", " ", "\u{201C}", "\u{2018}", "/var/mobile/", "/mnt/", "(left out)",
                "HomeDomain/", ", ", " (", "smb://", "\u{2019}", "serial 1",
            ];
            let mut text: String = parts.iter().filter_map(|part| PARTS.get(*part)).copied().collect();
            text.push_str(&noise);
            text.push_str("\nssid=\"Quillfeather\"");
            proptest::prop_assert!(!scrubbed(&text).contains("Quillfeather"), "{text}");
        }
    }
}
