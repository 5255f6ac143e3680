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
    use super::*;

    #[test]
    fn one_that_restic_wrote() {
        let json = br#"{"time":"2015-06-27T12:18:51.759239612+02:00","exclusive":false,"hostname":"kasimir","username":"fd0","pid":13607,"uid":1000,"gid":100}"#;
        let lock = decode(json).unwrap();
        assert_eq!(lock.time.to_string(), "2015-06-27T10:18:51.759239612Z");
        assert_eq!((lock.exclusive, lock.hostname.as_str(), lock.pid), (false, "kasimir", 13607));
        assert_eq!(decode(&encode(&lock)).unwrap(), lock);
    }
}
