//! Lock files, as restic writes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Flaw;

/// What a lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockFile {
    pub(crate) time: Timestamp,
    pub(crate) exclusive: bool,
    #[serde(default)]
    pub(crate) hostname: String,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gid: Option<u32>,
}

/// Writes the JSON of a lock.
pub(crate) fn encode(lock: &LockFile) -> Vec<u8> {
    serde_json::to_vec(lock).expect("a lock has only text keys")
}

/// Reads the JSON of a lock.
pub(crate) fn decode(json: &[u8]) -> Result<LockFile, Flaw> {
    serde_json::from_slice(json).map_err(|_| Flaw::Syntax)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_that_restic_wrote() {
        let json = br#"{"time":"2015-06-27T12:18:51.759239612+02:00","exclusive":false,"hostname":"kasimir","username":"fd0","pid":13607,"uid":1000,"gid":100}"#;
        let lock = decode(json).unwrap();
        assert_eq!(lock.time.to_string(), "2015-06-27T10:18:51.759239612Z");
        assert_eq!((lock.exclusive, lock.hostname.as_str(), lock.pid), (false, "kasimir", 13607));
        assert_eq!(decode(&encode(&lock)).unwrap(), lock);
    }

    fn lock() -> impl Strategy<Value = LockFile> {
        let time = (0..4_000_000_000_i64, 0..1_000_000_000_u32);
        let ids = (any::<u32>(), any::<Option<u32>>(), any::<Option<u32>>());
        (time, any::<bool>(), any::<String>(), any::<String>(), ids).prop_map(
            |((seconds, nanos), exclusive, hostname, username, (pid, uid, gid))| {
                let time = crate::moment(seconds, nanos);
                LockFile { time, exclusive, hostname, username, pid, uid, gid }
            },
        )
    }

    proptest! {
        #[test]
        fn a_lock_comes_back(lock in lock()) {
            prop_assert_eq!(decode(&encode(&lock)).unwrap(), lock);
        }

        #[test]
        fn noise_does_no_harm(
            noise in prop::collection::vec(any::<u8>(), 0..100),
            text in r#"\{("(time|exclusive|hostname|pid|uid)":("[0-9TZ:.+-]{0,30}"|[0-9.e-]{1,12}|true|null),?){0,5}\}"#,
        ) {
            drop(decode(&noise));
            drop(decode(text.as_bytes()));
        }

        #[test]
        fn a_lock_with_a_bad_place_does_no_harm(lock in lock(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut json = encode(&lock);
            let at = at.index(json.len());
            json[at] = byte;
            drop(decode(&json));
        }
    }
}
