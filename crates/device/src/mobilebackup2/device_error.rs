use std::fmt;

/// What the phone answered instead of success.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceError {
    /// A number of `MBErrorDomain` (`docs/protocol.md`, errors of MobileBackup2).
    pub code: i64,
    /// The phone's words, without domain and number.
    pub text: String,
    /// What it says lies beneath.
    pub underlying: Option<Underlying>,
}

/// The error beneath an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Underlying {
    /// A number of `MBErrorDomain`, where one was given.
    pub code: Option<i64>,
    /// The phone's words.
    pub text: String,
    /// The path it is about.
    pub path: Option<String>,
}

/// Codes that callers act upon.
impl DeviceError {
    /// The phone was restarted and not unlocked since.
    pub const NOT_UNLOCKED: i64 = 13;
    /// Management forbids it.
    pub const FORBIDDEN: i64 = 22;
    /// An iCloud restore is under way.
    pub const RESTORE_IN_PROGRESS: i64 = 25;
    /// The host has no space.
    pub const NO_SPACE_ON_HOST: i64 = 105;
    /// The phone has no space.
    pub const NO_SPACE_ON_PHONE: i64 = 106;
    /// Somebody cancelled.
    pub const CANCELLED: i64 = 202;
    /// The backup on the host is damaged.
    pub const CORRUPT: i64 = 205;
    /// The backup password is wrong or missing.
    pub const PASSWORD: i64 = 207;
    /// The phone is locked, or its passcode was not entered.
    pub const LOCKED: i64 = 208;
    /// Setup Assistant is not done.
    pub const SETUP_UNFINISHED: i64 = 212;

    /// Takes the phone's description apart: `<text> (MBErrorDomain/<code>). Underlying error: <text> at path "<path>" (MBErrorDomain/<n>).`
    pub fn parse(code: i64, description: Option<&str>) -> Self {
        let description = description.unwrap_or_default();
        let (main, beneath) = match description.split_once("Underlying error: ") {
            Some((main, beneath)) => (main, Some(beneath)),
            None => (description, None),
        };
        let underlying = beneath.map(|beneath| {
            let (text, code) = split_domain(beneath);
            let (text, path) = split_path(text);
            Underlying { code, text: text.to_owned(), path: path.map(str::to_owned) }
        });
        Self { code, text: split_domain(main).0.to_owned(), underlying }
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            write!(f, "error {}", self.code)?;
        } else {
            write!(f, "{} (error {})", self.text, self.code)?;
        }
        match &self.underlying {
            Some(beneath) => write!(f, ", beneath: {}", beneath.text),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DeviceError {}

/// Splits `<text> (MBErrorDomain/<n>).` into text and number.
fn split_domain(text: &str) -> (&str, Option<i64>) {
    let text = text.trim().trim_end_matches('.');
    let Some((before, domain)) = text.rsplit_once(" (") else {
        return (text, None);
    };
    let number = domain
        .strip_suffix(')')
        .and_then(|domain| domain.rsplit_once('/'))
        .filter(|(domain, _)| domain.ends_with("Domain"))
        .and_then(|(_, number)| number.parse().ok());
    match number {
        Some(number) => (before, Some(number)),
        None => (text, None),
    }
}

/// Splits `<text> at path "<path>"` into text and path.
fn split_path(text: &str) -> (&str, Option<&str>) {
    match text.split_once(" at path \"") {
        Some((text, path)) => (text, Some(path.trim_end_matches('"'))),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn descriptions_come_back(
            text in "[A-Za-z][A-Za-z ']{0,30}[a-z]",
            code in -500_i64..500,
            beneath in prop::option::of(("[A-Z][a-z ]{0,20}[a-z]", "[A-Za-z0-9/ ]{1,30}", 0_i64..500)),
        ) {
            let under = beneath.as_ref().map(|(text, path, code)| {
                format!(". Underlying error: {text} at path \"{path}\" (MBErrorDomain/{code}).")
            });
            let description =
                format!("{text} (MBErrorDomain/{code}){}", under.unwrap_or_default());
            let error = DeviceError::parse(code, Some(&description));
            prop_assert_eq!((error.code, &error.text), (code, &text));
            let wanted = beneath.map(|(text, path, code)| Underlying {
                code: Some(code),
                text,
                path: Some(path),
            });
            prop_assert_eq!(error.underlying, wanted);
        }

        #[test]
        fn noise_never_panics(noise in any::<String>(), near in "([a-z.( )/\"0-9]|Underlying error: |Domain| at path \"){0,12}") {
            for text in [noise, near] {
                drop(DeviceError::parse(0, Some(&text)).to_string());
            }
        }
    }

    #[test]
    fn descriptions_of_real_phones_are_taken_apart() {
        let locked = DeviceError::parse(208, Some("Device locked (MBErrorDomain/208)"));
        assert_eq!((locked.code, locked.text.as_str()), (208, "Device locked"));
        assert_eq!(locked.underlying, None);
        let removing = DeviceError::parse(
            104,
            Some(
                "Error removing snapshot directory (MBErrorDomain/104). Underlying error: Directory not empty \
                 at path \"U/Snapshot\" (MBErrorDomain/100).",
            ),
        );
        assert_eq!(removing.text, "Error removing snapshot directory");
        assert_eq!(
            removing.underlying,
            Some(Underlying {
                code: Some(100),
                text: "Directory not empty".into(),
                path: Some("U/Snapshot".into())
            })
        );
        assert_eq!(DeviceError::parse(1, None).to_string(), "error 1");
        assert_eq!(DeviceError::parse(1, Some("a (b)")).text, "a (b)");
    }
}
