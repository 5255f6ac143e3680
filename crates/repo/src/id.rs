//! Identifiers: SHA-256 of what they name, written as 64 hex digits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that is not a whole identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of 64 hex digits")]
pub struct InvalidId;

/// Returns the 32 bytes that 64 hex digits stand for.
fn parse(text: &str) -> Result<[u8; 32], InvalidId> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId)?;
    Ok(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the 32 bytes of a digest.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes of the digest.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Returns the first eight hex digits, as people read them.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&hex::encode(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// Names any file of a repository.
    FileId
}
id! {
    /// Names a piece of data or a tree by the SHA-256 of its plaintext.
    BlobId
}
id! {
    /// Names a pack by the SHA-256 of its file.
    PackId
}
id! {
    /// Names a snapshot by the SHA-256 of its file.
    SnapshotId
}

/// A tree is a blob; its identifier is that of its JSON.
pub type TreeId = BlobId;

impl From<PackId> for FileId {
    fn from(id: PackId) -> Self {
        Self(id.0)
    }
}

impl From<FileId> for PackId {
    fn from(id: FileId) -> Self {
        Self(id.0)
    }
}

impl From<SnapshotId> for FileId {
    fn from(id: SnapshotId) -> Self {
        Self(id.0)
    }
}

impl From<FileId> for SnapshotId {
    fn from(id: FileId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_come_back(bytes: [u8; 32], upper: bool) {
            let id = BlobId::new(bytes);
            let text = if upper { id.to_string().to_uppercase() } else { id.to_string() };
            prop_assert_eq!(text.parse::<BlobId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<BlobId>(&json).unwrap(), id);
        }

        #[test]
        fn noise_is_no_id(noise in any::<String>(), digits in "[0-9a-fg]{62,66}") {
            for text in [noise, digits] {
                let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                prop_assert_eq!(text.parse::<PackId>().is_ok(), is_one);
                drop(serde_json::from_str::<SnapshotId>(&text));
            }
        }
    }
}
