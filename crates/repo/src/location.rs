//! The place of a repository as people write it.

use std::{fmt, str::FromStr, sync::Arc};

use camino::Utf8PathBuf;

use crate::{
    error::RepoError,
    store::{LocalStore, Store},
};

/// Where a repository lies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A folder on a local disk.
    Local(Utf8PathBuf),
}

impl Location {
    /// Returns the store there; nothing is touched yet.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Local(path) => Arc::new(LocalStore::new(path.clone())),
        }
    }
}

impl From<Utf8PathBuf> for Location {
    fn from(path: Utf8PathBuf) -> Self {
        Self::Local(path)
    }
}

impl FromStr for Location {
    type Err = RepoError;

    /// Understands a path, also as `file:…` and `local:…`; other schemes are refused by name.
    fn from_str(text: &str) -> Result<Self, RepoError> {
        let path = match text.split_once(':') {
            Some(("file", path)) => path.strip_prefix("//").unwrap_or(path),
            Some(("local", path)) => path,
            // One letter is a drive.
            Some((scheme, _))
                if scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                return Err(RepoError::UnsupportedLocation(text.to_owned()));
            }
            _ => text,
        };
        if path.is_empty() {
            return Err(RepoError::UnsupportedLocation(text.to_owned()));
        }
        Ok(Self::Local(path.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn paths_come_back(path in "/[^/\\x00][^\\x00]{0,40}", prefix in "(file:|file://|local:)?") {
            let location: Location = format!("{prefix}{path}").parse().unwrap();
            prop_assert_eq!(&location, &Location::Local(path.clone().into()));
            prop_assert_eq!(location.to_string().parse::<Location>().unwrap(), location);
        }

        #[test]
        fn noise_never_panics(noise in any::<String>()) {
            drop(noise.parse::<Location>());
        }
    }

    #[test]
    fn places_people_write() {
        for (text, path) in [
            ("/a/b", "/a/b"),
            ("relative/path", "relative/path"),
            ("file:///a/b", "/a/b"),
            ("local:/a", "/a"),
            ("./a:b", "./a:b"),
            (r"C:\repository", r"C:\repository"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap(), Location::Local(path.into()), "{text}");
        }
        for text in ["s3:http://127.0.0.1/bucket", "rest:http://host/", "sftp:host:/a", "", "file:"]
        {
            assert!(
                matches!(text.parse::<Location>(), Err(RepoError::UnsupportedLocation(_))),
                "{text}"
            );
        }
    }
}
