//! What follows from facts: pure functions.

use crate::fact::{Facts, Value, Why};

/// What the device keeps back for itself when it asks the computer for room (`docs/protocol.md` 7.5).
const RESERVE: i64 = 128 << 20;

/// Free space at the destination against what the backup needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It fits.
    Enough,
    /// It may fit.
    Tight,
    /// It does not fit.
    TooSmall,
    /// Nothing fits.
    Full,
}

impl Room {
    fn word(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Tight => "tight",
            Self::TooSmall => "too-small",
            Self::Full => "full",
        }
    }
}

/// Holds what is free against what is needed; nothing where too little is known. All in bytes.
///
/// `used` is what the device uses: a backup is never more than that, and often half of it. `last` is the size of the last
/// whole backup, which the next one adds to.
pub fn room(free: i64, used: Option<i64>, last: Option<i64>) -> Option<Room> {
    if free < RESERVE {
        return Some(Room::Full);
    }
    if let Some(last) = last {
        // What is new since the last one is a small part of it.
        let (little, much) = (last / 20 + RESERVE, last / 4 + RESERVE);
        return Some(if free >= much {
            Room::Enough
        } else if free >= little {
            Room::Tight
        } else {
            Room::TooSmall
        });
    }
    let used = used?;
    Some(if free >= used.saturating_add(RESERVE) {
        Room::Enough
    } else if free >= used / 4 {
        Room::Tight
    } else {
        Room::TooSmall
    })
}

/// Returns how much room the next backup needs, at least and by estimate at most; without an estimate what the device keeps
/// back alone.
pub fn need(facts: &Facts) -> (i64, Option<i64>) {
    let most = match (last(facts), number(facts, "storage.used")) {
        (Some(last), _) => Some((last / 4).saturating_add(RESERVE)),
        (None, used) => used.map(|used| used.saturating_add(RESERVE)),
    };
    (RESERVE, most)
}

/// Adds what follows from what is known.
pub fn derive(facts: &mut Facts) {
    derive_held_back(facts);
    derive_room(facts);
    derive_restore(facts);
}

/// A device is held back where it lies on the bus and usbmuxd does not list it. Where nobody can look at the bus nothing is known: one
/// that is not listed may simply not be there.
fn derive_held_back(facts: &mut Facts) {
    const SIGNS: [(&str, &[&str]); 3] = [
        ("usb.device", &["normal", "not-apple-mode"]),
        ("mux.state", &["running"]),
        ("mux.device", &["absent"]),
    ];
    if facts.value("usb.device").is_none() {
        return;
    }
    let mut unknown = None;
    for (key, words) in SIGNS {
        match facts.value(key) {
            Some(Value::Word(word)) if words.contains(&word.as_str()) => {}
            Some(Value::Unknown(why)) => unknown = unknown.or_else(|| Some(why.clone())),
            None => unknown = unknown.or(Some(Why::NotLooked)),
            Some(_) => return facts.tell("usb.held-back", false),
        }
    }
    facts.tell("usb.held-back", unknown.map_or(Value::Flag(true), Value::Unknown));
}

fn number(facts: &Facts, key: &str) -> Option<i64> {
    match facts.value(key) {
        Some(Value::Number(number) | Value::AtLeast(number)) => Some(*number),
        _ => None,
    }
}

/// Returns the size of the last whole backup.
fn last(facts: &Facts) -> Option<i64> {
    let whole = facts.is("existing.state", "good") || facts.is("existing.state", "unfinished");
    number(facts, "existing.bytes").filter(|_| whole)
}

fn derive_room(facts: &mut Facts) {
    let Some(free) = number(facts, "destination.free") else { return };
    if let Some(room) = room(free, number(facts, "storage.used"), last(facts)) {
        facts.tell("destination.room", room.word());
    } else {
        let why = Why::NotThere("how much the backup needs is not known".to_owned());
        facts.tell("destination.room", why);
    }
}

/// The device tells only in its log, or when it refuses a backup, that a restore still runs (`MBErrorDomain` 25).
fn derive_restore(facts: &mut Facts) {
    let refused = number(facts, "job.code") == Some(25);
    if refused || facts.is("icloud.error", "restoring") {
        facts.tell("restore.state", "in-progress");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: i64 = 1_000_000_000;

    #[test]
    fn room_is_held_against_the_need() {
        for (free, used, last, wanted) in [
            (0, Some(50 * GB), None, Some(Room::Full)),
            (100_000_000, None, None, Some(Room::Full)),
            (200_000_000, None, None, None),
            (60 * GB, Some(50 * GB), None, Some(Room::Enough)),
            (50 * GB, Some(50 * GB), None, Some(Room::Tight)),
            (20 * GB, Some(50 * GB), None, Some(Room::Tight)),
            (10 * GB, Some(50 * GB), None, Some(Room::TooSmall)),
            (10 * GB, Some(50 * GB), Some(30 * GB), Some(Room::Enough)),
            (3 * GB, Some(50 * GB), Some(30 * GB), Some(Room::Tight)),
            (GB, Some(50 * GB), Some(30 * GB), Some(Room::TooSmall)),
            (i64::MAX, Some(i64::MAX), None, Some(Room::Enough)),
        ] {
            assert_eq!(room(free, used, last), wanted, "{free} {used:?} {last:?}");
        }
    }

    #[test]
    fn a_device_is_held_back_only_where_the_bus_shows_it() {
        let no_bus = || Value::Unknown(Why::NotThere("no bus".to_owned()));
        for (device, state, listed, wanted) in [
            ("normal".into(), "running", Some("absent".into()), Some(Value::Flag(true))),
            ("not-apple-mode".into(), "running", Some("absent".into()), Some(Value::Flag(true))),
            ("normal".into(), "running", Some("usb".into()), Some(Value::Flag(false))),
            ("absent".into(), "running", Some("absent".into()), Some(Value::Flag(false))),
            ("normal".into(), "missing", None, Some(Value::Flag(false))),
            ("normal".into(), "running", None, Some(Why::NotLooked.into())),
            // It may lie there, or not be plugged in at all.
            (no_bus(), "running", Some("absent".into()), Some(no_bus())),
            (no_bus(), "running", Some("usb".into()), Some(Value::Flag(false))),
        ] {
            let mut facts = Facts::new();
            facts.tell("usb.device", device);
            facts.tell("mux.state", state);
            if let Some(listed) = listed {
                let listed: Value = listed;
                facts.tell("mux.device", listed);
            }
            derive(&mut facts);
            assert_eq!(facts.value("usb.held-back").cloned(), wanted, "{facts:?}");
        }
        let mut facts = Facts::new();
        facts.tell("mux.state", "running");
        derive(&mut facts);
        assert_eq!(facts.value("usb.held-back"), None, "nobody looked at the bus");
    }

    #[test]
    fn a_broken_backup_gives_no_measure() {
        let mut facts = Facts::new();
        facts.tell("destination.free", 10 * GB);
        facts.tell("storage.used", 50 * GB);
        facts.tell("existing.bytes", 30 * GB);
        facts.tell("existing.state", "corrupt");
        derive(&mut facts);
        assert!(facts.is("destination.room", "too-small"));
        facts.tell("existing.state", "good");
        derive(&mut facts);
        assert!(facts.is("destination.room", "enough"));
        // Where nothing says how much is needed, that is the reason, and not that nobody looked.
        let mut facts = Facts::new();
        facts.tell("destination.free", 10 * GB);
        facts.tell("destination.room", Why::NotLooked);
        derive(&mut facts);
        let why = facts.value("destination.room");
        assert!(matches!(why, Some(Value::Unknown(Why::NotThere(_)))), "{why:?}");
    }

    #[test]
    fn what_is_needed_follows_from_the_last_backup_or_from_what_the_device_holds() {
        let mut facts = Facts::new();
        assert_eq!(need(&facts), (RESERVE, None));
        facts.tell("storage.used", 50 * GB);
        assert_eq!(need(&facts), (RESERVE, Some(50 * GB + RESERVE)));
        facts.tell("existing.bytes", 30 * GB);
        facts.tell("existing.state", "good");
        assert_eq!(need(&facts), (RESERVE, Some(30 * GB / 4 + RESERVE)));
        facts.tell("storage.used", i64::MAX);
        facts.tell("existing.state", "corrupt");
        assert_eq!(need(&facts), (RESERVE, Some(i64::MAX)));
    }

    #[test]
    fn a_refusal_says_that_a_restore_runs() {
        let mut facts = Facts::new();
        facts.tell("job.code", 25);
        derive(&mut facts);
        assert!(facts.is("restore.state", "in-progress"));
    }
}
