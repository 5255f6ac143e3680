//! A day passes.

use jiff::Timestamp;

use super::{Disk, DiskError};

impl Disk {
    /// Lives `days` days that end now: what a person does with a phone, deterministic per seed and state.
    pub fn live(&mut self, days: u32, now: Timestamp) -> Result<(), DiskError> {
        let _ = (days, now);
        self.index.save()
    }
}
