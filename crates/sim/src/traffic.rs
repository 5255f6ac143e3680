//! What went over the wire in the last job, as `sim ctl traffic` tells it.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The last job of a phone, counted by the phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What the host asked for: `Backup`, `Restore` …; empty when there was no job yet.
    pub request: String,
    /// `full` or `incremental`, once the phone has decided.
    pub kind: Option<String>,
    /// DeviceLink messages the phone sent.
    pub messages_sent: u64,
    /// DeviceLink messages the phone received.
    pub messages_received: u64,
    /// Files of the phone's content that were sent whole in this job.
    pub files_sent: u64,
    /// Bytes of those files.
    pub bytes_sent: u64,
    /// Files among them that the host had already received unchanged in an earlier, broken job.
    pub files_sent_again: u64,
    /// Bytes of those.
    pub bytes_sent_again: u64,
    /// Other files sent: manifests, status and the like.
    pub control_files_sent: u64,
    /// Bytes of those.
    pub control_bytes_sent: u64,
    /// Files the host sent to the phone.
    pub files_received: u64,
    /// Bytes of those.
    pub bytes_received: u64,
    /// Files the phone could not send.
    pub files_failed: u64,
    /// The code of the phone's last word, 0 for success; absent while it runs or when it broke.
    pub error_code: Option<i64>,
    /// The text that came with the code.
    pub error_text: Option<String>,
    /// Whether the job came to its end on the wire.
    pub finished: bool,
}

/// Counts the job that runs.
#[derive(Debug, Default)]
pub struct Traffic {
    job: Mutex<Job>,
}

impl Traffic {
    /// Starts a new job, forgetting the last one.
    pub fn begin(&self, request: &str) {
        self.update(|job| *job = Job { request: request.to_owned(), ..Job::default() });
    }

    /// Changes the counts of the job.
    pub fn update(&self, change: impl FnOnce(&mut Job)) {
        change(&mut self.job.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the counts so far.
    pub fn job(&self) -> Job {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
