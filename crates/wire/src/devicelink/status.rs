use std::{collections::BTreeMap, fmt};

use plist::{Dictionary, Value};

use super::elements::integer;

/// A status number of DeviceLink: 0 or a negative number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Status(pub i64);

impl Status {
    /// Success.
    pub const SUCCESS: Self = Self(0);
    /// Any error without a number of its own.
    pub const GENERIC: Self = Self(-1);
    /// The message is not known.
    pub const UNIMPLEMENTED: Self = Self(-2);
    /// An argument is unusable.
    pub const INVALID: Self = Self(-3);
    /// No such file (`ENOENT`).
    pub const NOT_FOUND: Self = Self(-6);
    /// It exists (`EEXIST`).
    pub const EXISTS: Self = Self(-7);
    /// Not a directory (`ENOTDIR`).
    pub const NOT_A_DIRECTORY: Self = Self(-8);
    /// A directory (`EISDIR`).
    pub const IS_A_DIRECTORY: Self = Self(-9);
    /// Too many links (`ELOOP`).
    pub const LOOP: Self = Self(-10);
    /// Input or output failed (`EIO`).
    pub const IO: Self = Self(-11);
    /// See the dictionary: some failed ([`FileErrors`]).
    pub const MULTI: Self = Self(-13);
    /// The other side is gone.
    pub const DISCONNECTED: Self = Self(-14);
    /// No space (`ENOSPC`).
    pub const NO_SPACE: Self = Self(-15);

    /// Says whether this is success.
    pub fn is_ok(self) -> bool {
        self == Self::SUCCESS
    }

    /// Reads a status in any of the three encodings in use: a signed integer, 64-bit two's complement, 32-bit two's
    /// complement.
    pub fn from_value(value: &Value) -> Option<Self> {
        let number = integer(value)?;
        let as_32_bit = u32::try_from(number).map(u32::cast_signed);
        Some(Self(match as_32_bit {
            Ok(number) if number < 0 => i64::from(number),
            _ => number,
        }))
    }

    /// Returns the byte that ends a file in a stream of files with this status: its negative.
    pub fn end_code(self) -> u8 {
        match u8::try_from(self.0.saturating_neg()) {
            // The byte of a data chunk cannot stand for an error.
            Ok(crate::files::DATA) | Err(_) => crate::files::GENERIC_FAILURE,
            Ok(code) => code,
        }
    }

    /// Returns the status that a file's end byte means.
    pub fn from_end_code(code: u8) -> Self {
        Self(-i64::from(code))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What became of one file in a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileFault {
    /// The number.
    pub status: Status,
    /// The text.
    pub text: String,
}

/// The dictionary of a "Multi status" answer: path as requested, and what became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileErrors(pub BTreeMap<String, FileFault>);

impl FileErrors {
    /// Says whether nothing failed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a file.
    pub fn insert(&mut self, path: impl Into<String>, status: Status, text: impl Into<String>) {
        let text = text.into();
        self.0.insert(path.into(), FileFault { status, text });
    }

    /// Makes the dictionary.
    pub fn to_dictionary(&self) -> Dictionary {
        let entry = |fault: &FileFault| {
            let mut keys = Dictionary::new();
            keys.insert("DLFileErrorString".into(), fault.text.as_str().into());
            keys.insert("DLFileErrorCode".into(), fault.status.0.into());
            Value::Dictionary(keys)
        };
        self.0.iter().map(|(path, fault)| (path.clone(), entry(fault))).collect()
    }

    /// Reads the dictionary; entries without a number count as [`Status::GENERIC`].
    pub fn from_dictionary(dictionary: &Dictionary) -> Self {
        let fault = |value: &Value| {
            let keys = value.as_dictionary()?;
            Some(FileFault {
                status: Status::from_value(keys.get("DLFileErrorCode")?)?,
                text: keys
                    .get("DLFileErrorString")
                    .and_then(Value::as_string)
                    .unwrap_or_default()
                    .to_owned(),
            })
        };
        Self(
            dictionary
                .iter()
                .map(|(path, value)| {
                    let unknown = || FileFault { status: Status::GENERIC, text: String::new() };
                    (path.clone(), fault(value).unwrap_or_else(unknown))
                })
                .collect(),
        )
    }
}
