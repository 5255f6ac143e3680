//! What survives what: the process, or the power.

use fs_err as fs;

use super::{Overlay, Trouble};
use crate::working_tree::journal::Record;

impl Overlay {
    /// Makes everything received so far survive a power cut.
    pub(super) fn make_durable(&mut self, number: u64) -> Result<(), Trouble> {
        if self.straight {
            self.checkpoint()?;
        }
        let from = self.synced;
        self.area.sync_files((from + 1)..=number).map_err(|error| self.area_failed(error))?;
        self.synced = number;
        self.append(&Record::Synced { number })?;
        self.unsynced_status = true;
        Ok(())
    }

    /// Called before the device is told that something is done.
    pub(in crate::working_tree) fn sync(&mut self) -> Result<(), Trouble> {
        if self.unsynced_status {
            self.journal.sync().map_err(|error| self.area_failed(error))?;
            self.unsynced_status = false;
            self.collect_garbage();
        }
        Ok(())
    }

    pub(super) fn collect_garbage(&mut self) {
        for number in std::mem::take(&mut self.garbage) {
            let _gone = fs::remove_file(self.area.file(number));
        }
    }

    /// Makes the packs durable, writes down what lies in them, and lets the copies go.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Trouble> {
        self.pending = 0;
        let Some(writer) = self.settings.writer.clone() else { return Ok(()) };
        writer.flush().map_err(|error| self.repository_failed(error))?;
        let mut packed: Vec<u64> = self
            .received
            .iter()
            .filter(|(_, received)| received.content.is_some() && !received.packed)
            .map(|(number, _)| *number)
            .collect();
        packed.sort_unstable();
        for number in &packed {
            let Some(content) =
                self.received.get(number).and_then(|received| received.content.as_ref())
            else {
                continue;
            };
            let blobs = content.blobs.iter().map(ToString::to_string).collect();
            self.append(&Record::Packed { number: *number, blobs })?;
        }
        self.journal.sync().map_err(|error| self.area_failed(error))?;
        for number in packed {
            if let Some(received) = self.received.get_mut(&number) {
                received.packed = true;
                if std::mem::take(&mut received.local) {
                    self.garbage.push(number);
                }
            }
        }
        self.straight = false;
        self.collect_garbage();
        Ok(())
    }

    /// Ends the run's writing: what was received stays for the next run, whatever happens to this machine.
    pub(crate) fn settle(&mut self) -> Result<(), Trouble> {
        self.abandon();
        // A repository that takes nothing more (full, gone) must not keep the copies here from being made durable.
        let packed = self.checkpoint();
        self.straight = false;
        self.make_durable(self.next.saturating_sub(1))?;
        self.sync()?;
        packed
    }
}
