//! The lock of a repository, as restic understands it.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the machine.
    pub hostname: String,
    /// Process there.
    pub pid: u32,
    /// Since when, or when it said last that it is alive.
    pub time: Timestamp,
    /// Whether nobody else may use the repository.
    pub exclusive: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {} since {}", self.pid, self.hostname, self.time)
    }
}
