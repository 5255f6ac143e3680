//! What is known of the password that a device has: a pure function of what it tells, of its newest backup and of what is kept.

use jiff::Timestamp;
use serde::Serialize;

use crate::event::Note;
use crate::passwords::{Kept, Word};

/// What is known of the password that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has none.
    Off,
    /// The newest backup was opened with one that is kept, and nothing happened since.
    Known,
    /// One that is kept was told to the device, which wrote a keybag that opens with it; no backup was made since.
    Proved,
    /// One that is kept was told to the device, and nothing has proved it yet.
    NotProved,
    /// It has one that was changed elsewhere: none that is kept opens the newest backup.
    ChangedElsewhere,
    /// It has one that never passed through here.
    Unknown,
    /// The device was not asked, and nothing speaks for a password.
    CannotTell,
}

/// The newest backup of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// The snapshot.
    pub snapshot: String,
    /// When it was made.
    pub time: Timestamp,
    /// Whether the device encrypted it.
    pub encrypted: bool,
    /// The generation of the password that opens it; nothing where none that is known does.
    pub generation: Option<String>,
    /// Whether any password that is known opens it.
    pub is_open: bool,
}

/// A password that is kept and that the device did not refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) generation: String,
    /// When it was agreed upon.
    pub(super) at: Timestamp,
    /// Whether the device wrote a keybag that opens with it.
    pub(super) is_proved: bool,
}

impl Agreed {
    /// Returns those of what is kept.
    pub(super) fn of(kept: &[Kept]) -> Vec<Self> {
        let agreed = |kept: &Kept| Self {
            generation: kept.password.generation.clone(),
            at: kept.password.created,
            is_proved: kept.word == Some(Word::Proved),
        };
        kept.iter().filter(|kept| !kept.is_refused()).map(agreed).collect()
    }
}

impl Standing {
    /// Judges. `encrypts` is what the device tells, where it was asked; `kept` are the passwords that are kept.
    pub(super) fn of(encrypts: Option<bool>, newest: Option<&Newest>, kept: &[Agreed]) -> Self {
        if encrypts == Some(false) {
            return Self::Off;
        }
        // What was agreed upon after the newest backup was made is what that backup says nothing of.
        let since = newest.map_or(Timestamp::MIN, |newest| newest.time);
        let proved = newest.and_then(|newest| newest.generation.as_ref());
        let pending =
            kept.iter().filter(|kept| kept.at >= since && Some(&kept.generation) != proved);
        // The device has the last one that it proved, unless one came behind that.
        let pending = pending.max_by_key(|kept| kept.at).map(|kept| kept.is_proved);
        match newest {
            _ if pending == Some(true) => Self::Proved,
            _ if pending == Some(false) => Self::NotProved,
            Some(newest) if newest.encrypted && newest.is_open => Self::Known,
            Some(newest) if newest.encrypted && !kept.is_empty() => Self::ChangedElsewhere,
            Some(newest) if newest.encrypted => Self::Unknown,
            _ if encrypts.is_none() => Self::CannotTell,
            _ if kept.is_empty() => Self::Unknown,
            _ => Self::ChangedElsewhere,
        }
    }

    /// Whether the device has a password that nobody knows here.
    pub fn is_unknown(self) -> bool {
        matches!(self, Self::ChangedElsewhere | Self::Unknown)
    }

    /// Says it in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Off => "no backup password is set: backups are not encrypted by the device",
            Self::Known => "the backup password is known here, and the newest backup proves it",
            Self::Proved => {
                "the backup password is known here: the device wrote a keybag that opens with it when it took it"
            }
            Self::NotProved => {
                "a backup password was agreed upon here, and no backup has proved it yet: back up to prove it"
            }
            Self::ChangedElsewhere => {
                "the device has a backup password that was set or changed elsewhere: none of those kept here opens the keybag of its last backup"
            }
            Self::Unknown => "the device has a backup password that is not known here",
            Self::CannotTell => "the device was not asked, and no backup of it is encrypted",
        }
    }
}

/// What is known before a device sends a backup.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before {
    /// Whether it encrypts what it sends.
    pub(crate) encrypts: bool,
    /// Whether anything is known that may open it: passwords, or the keys of earlier backups.
    pub(crate) has_candidates: bool,
    /// Its newest backup, where that is sealed.
    pub(crate) sealed: Option<Sealed>,
}

/// A newest backup that is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    /// When it was made.
    pub(crate) made: Timestamp,
    /// When the newest password of the device that is kept was agreed upon.
    pub(crate) newest: Option<Timestamp>,
}

/// Says before a backup is sent that it will be of little use: nobody could open it.
pub(crate) fn foresee(before: Before) -> Option<Note> {
    let Before { encrypts, has_candidates, sealed } = before;
    let is_in_vain =
        sealed.is_some_and(|sealed| sealed.newest.is_none_or(|newest| newest < sealed.made));
    let why = match (encrypts, has_candidates) {
        (false, _) => return None,
        (true, false) => "the device encrypts its backups with a password that is not known here",
        (true, true) if is_in_vain => {
            "the device encrypts its backups with a password that was changed elsewhere: nothing that is known here opened the last one"
        }
        (true, true) => return None,
    };
    let message = format!(
        "{why}; this one stays sealed, and opens when somebody remembers the password (`lifeboat password status` says more)"
    );
    Some(Note::new(UNKNOWN, message))
}

/// The word for programs.
const UNKNOWN: &str = "backup-password-unknown";

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn agreed(seconds: i64) -> Agreed {
        Agreed { generation: String::new(), at: moment(seconds), is_proved: false }
    }

    #[test]
    fn a_backup_that_nobody_could_open_is_announced_before_it_is_made() {
        let is_told = |encrypts, has_candidates, sealed: Option<i64>, newest: Option<i64>| {
            let sealed =
                sealed.map(|made| Sealed { made: moment(made), newest: newest.map(moment) });
            foresee(Before { encrypts, has_candidates, sealed }).is_some()
        };
        assert!(!is_told(false, false, Some(5), None));
        assert!(is_told(true, false, None, None));
        assert!(!is_told(true, true, None, Some(1)));
        assert!(is_told(true, true, Some(5), Some(1)));
        assert!(is_told(true, true, Some(5), None));
        assert!(!is_told(true, true, Some(5), Some(9)), "a new one may be right");
    }

    #[test]
    fn what_a_device_tells_a_backup_proves_and_the_vault_keeps_make_one_word() {
        use Standing::{CannotTell, ChangedElsewhere, Known, NotProved, Off, Proved, Unknown};
        let sealed = (true, false);
        let open = (true, true);
        let plain = (false, false);
        let proved = |second| Agreed { is_proved: true, ..agreed(second) };
        let at = agreed;
        for (encrypts, newest, kept, wanted) in [
            (Some(false), Some(open), vec![at(1)], Off),
            (Some(true), Some(open), vec![at(1)], Known),
            (None, Some(open), vec![at(1)], Known),
            // One that somebody gave and that is not kept opens it, too.
            (Some(true), Some(open), vec![], Known),
            (Some(true), Some(open), vec![at(1), at(9)], NotProved),
            (Some(true), None, vec![at(1)], NotProved),
            // The device itself proved it.
            (Some(true), Some(open), vec![at(1), proved(9)], Proved),
            (None, Some(sealed), vec![proved(9)], Proved),
            (Some(true), Some(open), vec![at(1), proved(8), at(9)], NotProved),
            (Some(true), Some(sealed), vec![proved(1)], ChangedElsewhere),
            (Some(false), Some(open), vec![proved(9)], Off),
            (Some(true), Some(plain), vec![at(9)], NotProved),
            (Some(true), Some(sealed), vec![at(9)], NotProved),
            // Remembered after the backup that it opens.
            (Some(true), Some(open), vec![at(5)], Known),
            (Some(true), Some(sealed), vec![at(1)], ChangedElsewhere),
            (Some(true), Some(plain), vec![at(1)], ChangedElsewhere),
            (Some(true), Some(sealed), vec![], Unknown),
            (Some(true), Some(plain), vec![], Unknown),
            (Some(true), None, vec![], Unknown),
            (None, Some(plain), vec![], CannotTell),
            (None, None, vec![], CannotTell),
        ] {
            let newest = newest.map(|(encrypted, is_open)| Newest {
                snapshot: "x".into(),
                time: moment(5),
                encrypted,
                generation: is_open.then(|| "0".to_owned()),
                is_open,
            });
            let named =
                |(name, kept): (usize, Agreed)| Agreed { generation: name.to_string(), ..kept };
            let kept: Vec<_> = kept.into_iter().enumerate().map(named).collect();
            let judged = Standing::of(encrypts, newest.as_ref(), &kept);
            assert_eq!(judged, wanted, "{encrypts:?} {newest:?} {kept:?}");
        }
    }
}
