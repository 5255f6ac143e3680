//! How the phone words what went wrong (docs/protocol.md, "Errors").

use std::fmt;

use lifeboat_wire::devicelink::{Status, StatusResponse};

use super::BackupdError;

/// Why a job stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// With an answer to the host.
    Answer(MbError),
    /// Without: there is nobody to answer, or nothing sensible to say.
    Link(BackupdError),
}

impl From<MbError> for Stop {
    fn from(error: MbError) -> Self {
        Self::Answer(error)
    }
}

impl<E: Into<BackupdError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Link(error.into())
    }
}

/// What lies under an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Underlying {
    pub(super) code: i64,
    pub(super) text: String,
    pub(super) path: Option<String>,
}

/// The last word of a job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MbError {
    pub(super) code: i64,
    text: String,
    underlying: Option<Underlying>,
}

/// Codes of the domain that are told apart here.
pub(super) mod code {
    pub(in crate::backupd) const MULTI: i64 = 2;
    pub(in crate::backupd) const EXISTS: i64 = 3;
    pub(in crate::backupd) const NOT_FOUND: i64 = 4;
    pub(in crate::backupd) const UNREADABLE: i64 = 11;
    pub(in crate::backupd) const DRIVE: i64 = 100;
    pub(in crate::backupd) const LOCAL: i64 = 102;
    pub(in crate::backupd) const READ: i64 = 103;
    pub(in crate::backupd) const WRITE: i64 = 104;
    pub(in crate::backupd) const NO_SPACE: i64 = 105;
    pub(in crate::backupd) const VERSION: i64 = 203;
    pub(in crate::backupd) const CORRUPT: i64 = 205;
    pub(in crate::backupd) const LOCKED: i64 = 208;
}

impl MbError {
    pub(super) fn new(code: i64, text: &str) -> Self {
        Self { code, text: text.to_owned(), underlying: None }
    }

    pub(super) fn over(mut self, underlying: Underlying) -> Self {
        self.underlying = Some(underlying);
        self
    }

    /// A control file of the host could not be read: damage when it is missing or not what it should be.
    pub(super) fn reading(text: &str, underlying: Underlying) -> Self {
        let code = match underlying.code {
            code::NOT_FOUND | code::UNREADABLE | 12 => code::CORRUPT,
            code::VERSION => code::VERSION,
            _ => code::READ,
        };
        Self::new(code, text).over(underlying)
    }

    /// Something could not be written, moved or removed on the host.
    pub(super) fn writing(text: &str, underlying: Underlying) -> Self {
        let code = match underlying.code {
            code::EXISTS | code::NOT_FOUND => code::CORRUPT,
            code::NO_SPACE => return Self::no_space(),
            _ => code::WRITE,
        };
        Self::new(code, text).over(underlying)
    }

    pub(super) fn no_space() -> Self {
        Self::new(code::NO_SPACE, "Insufficient free disk space on drive to back up")
    }

    /// The phone itself failed.
    pub(super) fn local(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::new(code::LOCAL, &text)
    }
}

impl fmt::Display for MbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (MBErrorDomain/{})", self.text, self.code)?;
        if let Some(Underlying { code, text, path }) = &self.underlying {
            write!(f, ". Underlying error: {text}")?;
            if let Some(path) = path {
                write!(f, " at path \"{path}\"")?;
            }
            write!(f, " (MBErrorDomain/{code}).")?;
        }
        Ok(())
    }
}

impl Underlying {
    /// What a status of the host means (docs/protocol.md, "DeviceLink status numbers").
    pub(super) fn of(status: Status, text: Option<&str>, path: Option<&str>) -> Self {
        let (code, usual) = match status {
            Status::NOT_FOUND => (code::NOT_FOUND, "No such file or directory"),
            Status::EXISTS => (code::EXISTS, "File exists"),
            Status::MULTI => (code::MULTI, "Multiple errors"),
            Status::NO_SPACE => (code::NO_SPACE, "No space left on device"),
            Status::IO => (code::DRIVE, "Input/output error"),
            _ => (code::DRIVE, "Unknown error"),
        };
        let text = text.filter(|text| !text.is_empty()).unwrap_or(usual);
        Self { code, text: text.to_owned(), path: path.map(ToOwned::to_owned) }
    }

    /// What an answer of the host means.
    pub(super) fn of_answer(answer: &StatusResponse, path: Option<&str>) -> Self {
        Self::of(answer.status, answer.text.as_deref(), path)
    }

    /// A file is there and cannot be understood.
    pub(super) fn unreadable(text: &str, path: &str) -> Self {
        Self { code: code::UNREADABLE, text: text.to_owned(), path: Some(path.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts that reports of real failures quote.
    #[test]
    fn errors_read_as_those_of_real_phones() {
        assert_eq!(
            MbError::new(208, "Device locked").to_string(),
            "Device locked (MBErrorDomain/208)"
        );
        let missing = Underlying::of(Status::NOT_FOUND, None, Some("x/Manifest.plist"));
        assert_eq!(
            MbError::reading("Error reading backup properties", missing).to_string(),
            "Error reading backup properties (MBErrorDomain/205). Underlying error: No such file or directory at path \"x/Manifest.plist\" (MBErrorDomain/4)."
        );
        let full = Underlying::of(Status::GENERIC, Some("Directory not empty"), None);
        assert_eq!(
            MbError::writing("Error removing snapshot directory", full).to_string(),
            "Error removing snapshot directory (MBErrorDomain/104). Underlying error: Directory not empty (MBErrorDomain/100)."
        );
    }

    #[test]
    fn statuses_become_codes() {
        for (status, reading, writing) in [
            (Status::NOT_FOUND, 205, 205),
            (Status::EXISTS, 103, 205),
            (Status::IO, 103, 104),
            (Status::GENERIC, 103, 104),
            (Status::MULTI, 103, 104),
            (Status::NO_SPACE, 103, 105),
        ] {
            let under = || Underlying::of(status, None, None);
            assert_eq!(MbError::reading("", under()).code, reading, "{status}");
            assert_eq!(MbError::writing("", under()).code, writing, "{status}");
        }
    }
}
