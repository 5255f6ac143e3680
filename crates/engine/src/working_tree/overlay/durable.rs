//! What survives what: the process, or the power.

use super::{Failure, Overlay, Packed, Trouble};
use crate::error::JobError;
use crate::working_tree::journal::Record;

impl Overlay {
    /// Makes everything received so far survive a power cut.
    pub(super) fn make_durable(&mut self, number: u64) -> Result<(), Trouble> {
        if self.straight {
            self.checkpoint()?;
        }
        self.segments.sync().map_err(|error| self.area_failed(error))?;
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
            self.segments.collect();
        }
        Ok(())
    }

    /// Makes the packs durable, writes down what lies in them, and lets the bytes in the working area go.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Trouble> {
        self.pending = 0;
        let Some(writer) = self.settings.writer.clone() else { return Ok(()) };
        let done = self.packer.as_ref().map(super::Packer::take_done).unwrap_or_default();
        self.take_packed(done);
        writer.flush().map_err(|error| self.repository_failed(error))?;
        let packed = self
            .received
            .iter()
            .filter(|(_, received)| received.content.is_some() && !received.packed)
            .map(|(number, _)| *number)
            .collect();
        self.straight = false;
        self.note_packed(packed)
    }

    /// Writes down what the packer made durable.
    pub(super) fn collect_packed(&mut self) -> Result<(), Trouble> {
        let durable = self.packer.as_ref().map(super::Packer::take_durable).unwrap_or_default();
        if durable.is_empty() {
            return Ok(());
        }
        let numbers = durable.iter().map(|packed| packed.number).collect();
        self.take_packed(durable);
        self.note_packed(numbers)
    }

    /// Takes what the packer did.
    fn take_packed(&mut self, done: Vec<Packed>) {
        for Packed { number, content, sha1 } in done {
            if let Some(received) = self.received.get_mut(&number) {
                received.queued = false;
                received.content = Some(content);
                received.sha1 = Some(sha1);
            }
            self.forget(number);
        }
    }

    /// Writes down that these files lie in durable packs, and lets their bytes in the working area go.
    fn note_packed(&mut self, mut numbers: Vec<u64>) -> Result<(), Trouble> {
        numbers.sort_unstable();
        if let Some(writer) = &self.settings.writer {
            let bytes = writer.stats().bytes_added;
            self.append(&Record::Added { bytes })?;
        }
        for number in &numbers {
            let Some(received) = self.received.get(number) else { continue };
            let (Some(content), Some(sha1)) = (&received.content, received.sha1) else { continue };
            let blobs = content.blobs.iter().map(ToString::to_string).collect();
            let record = Record::Packed { number: *number, blobs, sha1: hex::encode(sha1) };
            self.append(&record)?;
        }
        self.journal.sync().map_err(|error| self.area_failed(error))?;
        for number in numbers {
            let Some(received) = self.received.get_mut(&number) else { continue };
            received.packed = true;
            if let Some((span, _)) = received.local.take() {
                self.segments.release(span);
            }
        }
        self.segments.collect();
        Ok(())
    }

    /// Waits until everything received lies in packs; `tick` is told the bytes that are left now and then, and says
    /// whether to go on. Returns whether it came to its end.
    pub(crate) fn finish_packing(
        &mut self,
        tick: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, JobError> {
        let Some(packer) = &self.packer else { return Ok(true) };
        let is_whole = packer.drain(tick);
        let (done, has_failed) = (packer.take_done(), packer.has_failed());
        self.take_packed(done);
        if has_failed {
            let trouble = self.packing_failed().err().unwrap_or(Trouble::NoSpace);
            return Err(self.take_failure().unwrap_or_else(|| trouble.into()));
        }
        Ok(is_whole)
    }

    /// Fails once the packer has failed.
    pub(super) fn packing_failed(&mut self) -> Result<(), Trouble> {
        match self.packer.as_ref().and_then(super::Packer::failure) {
            None => Ok(()),
            Some(failure) => Err(self.failed_to_pack(failure)),
        }
    }

    fn failed_to_pack(&mut self, failure: Failure) -> Trouble {
        if let Failure::Repository(error) = failure {
            return self.repository_failed(error);
        }
        let error = JobError::from(failure);
        let trouble = Trouble::Io(std::io::Error::other(error.message.clone()));
        self.failure.get_or_insert(error);
        trouble
    }

    /// Ends the run's writing: what was received stays for the next run, whatever happens to this machine.
    pub(crate) fn settle(&mut self) -> Result<(), Trouble> {
        self.abandon();
        self.segments.end();
        // What waits to be packed is as safe where it lies.
        let stopped = self.packer.as_mut().map_or(Ok(()), super::Packer::stop);
        // A repository that takes nothing more (full, gone, hung) must not keep the copies here from being made durable.
        let packed = match stopped {
            Ok(()) => self.checkpoint(),
            Err(failure) => Err(self.failed_to_pack(failure)),
        };
        self.straight = false;
        self.make_durable(self.next.saturating_sub(1))?;
        self.sync()?;
        packed
    }
}
