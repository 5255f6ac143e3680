use std::fmt;

use thiserror::Error;

/// Longest path a phone may name, in bytes.
const PATH_LIMIT: usize = 4096;
/// Longest component, in bytes: what file systems take.
const COMPONENT_LIMIT: usize = 255;

/// Why a path of the phone was refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PathError {
    /// It is empty or has an empty component, as absolute paths do.
    #[error("path is absolute or has an empty component")]
    Empty,
    /// It has a component that is `.` or `..`.
    #[error("path has a component that is a dot or two")]
    Dots,
    /// It has a NUL, a backslash or a drive letter.
    #[error("path has a forbidden character")]
    Character,
    /// It is longer than a path or a component may be.
    #[error("path is too long")]
    TooLong,
    /// It does not begin with the folder of the device.
    #[error("path lies outside the folder of the device")]
    Outside,
}

/// The folders a phone may work in: one per device identifier, each with its dated copies (`<UDID>-YYYYMMDD-HHMMSS`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Roots(Vec<String>);

impl Roots {
    /// Allows the folder of one device.
    pub fn new(udid: impl Into<String>) -> Self {
        Self(vec![udid.into()])
    }

    /// Allows the folder of another device as well, as a restore to a new phone needs.
    #[must_use]
    pub fn and(mut self, udid: impl Into<String>) -> Self {
        self.0.push(udid.into());
        self
    }

    fn allow(&self, component: &str) -> bool {
        self.0.iter().any(|root| {
            component
                .strip_prefix(root.as_str())
                .is_some_and(|rest| rest.is_empty() || is_stamp(rest))
        })
    }
}

/// Says whether `text` is `-YYYYMMDD-HHMMSS`.
fn is_stamp(text: &str) -> bool {
    let mut parts = text.split('-');
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    parts.next() == Some("")
        && parts.next().is_some_and(|part| digits(part, 8))
        && parts.next().is_some_and(|part| digits(part, 6))
        && parts.next().is_none()
}

/// A path of the phone that stays where it may: relative, without `.`, `..` or anything a file system could take for
/// another place, and below one of the [`Roots`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostPath(String);

impl HostPath {
    /// Checks a path that must lie in the folder of one device.
    pub fn parse(text: &str, udid: &str) -> Result<Self, PathError> {
        Self::parse_in(text, &Roots::new(udid))
    }

    /// Checks a path as the phone sent it.
    pub fn parse_in(text: &str, roots: &Roots) -> Result<Self, PathError> {
        if text.len() > PATH_LIMIT {
            return Err(PathError::TooLong);
        }
        // Every directory may be named with a slash at its end.
        let text = text.strip_suffix('/').unwrap_or(text);
        for component in text.split('/') {
            check(component)?;
        }
        let first = text.split('/').next().unwrap_or_default();
        if !roots.allow(first) {
            return Err(PathError::Outside);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the path, components divided by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the components, the first being the device's folder.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the device's folder: the UDID, or a dated copy.
    pub fn root(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(root, _)| root)
    }

    /// Returns what lies below the device's folder, empty for the folder itself.
    pub fn inside(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, inside)| inside)
    }

    /// Returns the last component.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Returns the directory this lies in, nothing for the device's folder.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// Returns the path of an entry of this directory.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        check(name)?;
        if name.contains('/') {
            return Err(PathError::Character);
        }
        let path = format!("{}/{name}", self.0);
        if path.len() > PATH_LIMIT {
            return Err(PathError::TooLong);
        }
        Ok(Self(path))
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(component: &str) -> Result<(), PathError> {
    if component.is_empty() {
        return Err(PathError::Empty);
    }
    if component == "." || component == ".." {
        return Err(PathError::Dots);
    }
    if component.len() > COMPONENT_LIMIT {
        return Err(PathError::TooLong);
    }
    let drive = component.as_bytes().get(1) == Some(&b':');
    if drive || component.contains(['\0', '\\']) {
        return Err(PathError::Character);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UDID: &str = "00008110-0011223344556677";

    fn parse(text: &str) -> Result<HostPath, PathError> {
        HostPath::parse(text, UDID)
    }

    #[test]
    fn paths_of_a_backup_pass() {
        for inside in ["", "/Status.plist", "/Snapshot/3d/3d0d7e5fb2ce288813306e4d4636395e047a3d28"]
        {
            let path = parse(&format!("{UDID}{inside}")).unwrap();
            assert_eq!(path.root(), UDID);
            assert_eq!(path.inside(), inside.trim_start_matches('/'));
        }
        assert!(parse(&format!("{UDID}-20260822-101112/Info.plist")).is_ok());
        assert_eq!(parse(&format!("{UDID}/Snapshot/")).unwrap().name(), "Snapshot");
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for (text, error) in [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Empty),
            ("../x", PathError::Dots),
            ("00008110-0011223344556677/../x", PathError::Dots),
            ("00008110-0011223344556677/./x", PathError::Dots),
            ("00008110-0011223344556677//x", PathError::Empty),
            ("00008110-0011223344556677/a\\b", PathError::Character),
            ("00008110-0011223344556677/a\0b", PathError::Character),
            ("C:/x", PathError::Character),
            ("other/x", PathError::Outside),
            ("00008110-0011223344556677x/y", PathError::Outside),
            ("00008110-0011223344556677-2026/y", PathError::Outside),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(parse(&format!("{UDID}/{}", "a".repeat(256))), Err(PathError::TooLong));
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_inside(text in "(00008110-0011223344556677)?[-/.a\\\\:\\x00]{0,12}") {
            if let Ok(path) = parse(&text) {
                prop_assert!(path.components().all(|c| !c.is_empty() && c != "." && c != ".."));
                prop_assert!(path.root().starts_with(UDID));
            }
        }
    }
}
