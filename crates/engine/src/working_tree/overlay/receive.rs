//! Receiving a file: into the working area, and from there into packs; or straight into packs.

use std::io::{self, Read as _};

use lifeboat_mobilesync::{FileId, SnapshotState, StatusPlist};
use lifeboat_repo::{Content, Cut, RepoError, Writer};
use sha1::{Digest as _, Sha1};

use super::{Arriving, Overlay, Received, Sink, Straight, Trouble, full, is_control, last};
use crate::error::{Cause, JobError};
use crate::working_tree::checked::{Checked, Sum};
use crate::working_tree::journal::{Place, Record};
use crate::working_tree::tree::{File, Origin};

/// How much is read back at a time.
const BLOCK: usize = 64 << 10;
/// Small enough that a device never sends more of it.
const STATUS_LIMIT: u64 = 1 << 20;

impl Overlay {
    /// Starts to receive a file.
    pub(in crate::working_tree) fn begin(&mut self, path: &str) -> Result<(), Trouble> {
        self.abandon();
        self.packing_failed()?;
        self.tree.check_put(path)?;
        let number = self.next;
        self.next += 1;
        let control = is_control(path);
        let may_go_straight = !control && self.settings.writer.is_some();
        let sink = if may_go_straight && !self.area_has_room(number) {
            Sink::Straight(Straight::new())
        } else {
            match self.segments.begin(control) {
                Ok(()) => Sink::Area(Sum::default()),
                Err(error) if may_go_straight && full(&error) => Sink::Straight(Straight::new()),
                Err(error) => return Err(self.area_failed(error)),
            }
        };
        self.arriving = Some(Arriving { path: path.to_owned(), number, size: 0, sink });
        Ok(())
    }

    /// Looks at the disk now and then: for each of thousands of files would cost too much. What waits to be packed wants
    /// its room a second time.
    fn area_has_room(&mut self, number: u64) -> bool {
        if self.has_room.is_none() || number.is_multiple_of(64) {
            let free = self.settings.host.free_bytes(self.area.folder()).unwrap_or(u64::MAX);
            let waiting = self.packer.as_ref().map_or(0, super::Packer::waiting);
            self.has_room = Some(free >= self.settings.area_minimum.saturating_add(waiting));
        }
        self.has_room.unwrap_or(true)
    }

    pub(super) fn area_failed(&mut self, error: io::Error) -> Trouble {
        let cause = if full(&error) { Cause::WorkingAreaFull } else { Cause::Disk };
        let what = "cannot write to the working area";
        self.failure.get_or_insert_with(|| JobError::of(cause, what, &error));
        Trouble::Io(error)
    }

    pub(super) fn repository_failed(&mut self, error: RepoError) -> Trouble {
        let trouble = if matches!(error, RepoError::NoSpace { .. }) {
            Trouble::NoSpace
        } else {
            Trouble::Io(io::Error::other("the repository cannot be written"))
        };
        let mut error = JobError::from(error);
        if error.cause == Cause::TargetFull {
            error.cause = Cause::RepositoryFull;
        }
        self.failure.get_or_insert(error);
        trouble
    }

    /// Takes the next bytes of the file.
    pub(in crate::working_tree) fn write(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let Some(mut arriving) = self.arriving.take() else {
            return Err(Trouble::Io(io::Error::other("no file is being received")));
        };
        let taken = self.take_bytes(&mut arriving, data);
        if taken.is_err() {
            self.segments.abandon();
        }
        taken?;
        self.arriving = Some(arriving);
        Ok(())
    }

    fn take_bytes(&mut self, arriving: &mut Arriving, data: &[u8]) -> Result<(), Trouble> {
        if let Sink::Area(sum) = &mut arriving.sink {
            match self.segments.write(data) {
                Ok(()) => sum.update(data),
                Err(error) if full(&error) && !is_control(&arriving.path) => {
                    let Some(writer) = self.settings.writer.clone() else {
                        return Err(self.area_failed(error));
                    };
                    let sum = std::mem::take(sum);
                    arriving.sink = Sink::Straight(self.turn(arriving.size, sum, &writer)?);
                }
                Err(error) => return Err(self.area_failed(error)),
            }
        }
        arriving.size += data.len() as u64;
        if let (Sink::Straight(straight), Some(writer)) =
            (&mut arriving.sink, self.settings.writer.clone())
        {
            straight.take(data, &writer).map_err(|error| self.repository_failed(error))?;
        }
        Ok(())
    }

    /// The disk is full in the middle of a file: what came of it goes into packs, and so will the rest.
    fn turn(&mut self, size: u64, sum: Sum, writer: &Writer) -> Result<Straight, Trouble> {
        let mut straight = Straight::new();
        let unfinished = self.segments.unfinished(size).map_err(|error| self.area_failed(error))?;
        let mut reader = Checked::new(unfinished);
        let mut block = vec![0; BLOCK];
        loop {
            let count = reader.read(&mut block).map_err(|error| self.area_failed(error))?;
            let Some(data) = block.get(..count).filter(|data| !data.is_empty()) else { break };
            straight.take(data, writer).map_err(|error| self.repository_failed(error))?;
        }
        let passed = reader.passed();
        if (passed.size, passed.sum) != (size, sum.value()) {
            return Err(self.area_failed(io::ErrorKind::InvalidData.into()));
        }
        self.segments.abandon();
        Ok(straight)
    }

    /// Puts the received file into its place.
    pub(in crate::working_tree) fn finish(&mut self) -> Result<(), Trouble> {
        let Some(Arriving { path, number, size, sink }) = self.arriving.take() else {
            return Err(Trouble::Io(io::Error::other("no file is being received")));
        };
        let control = is_control(&path);
        let received = self.end_of_bytes(sink, size, control)?;
        let status = last(&path) == "Status.plist";
        if status {
            // Before it is journaled that the device is further, all that this rests on is durable.
            self.make_durable(number)?;
        }
        let modified = self.settings.host.now().as_second();
        let place = received.local.map(|(span, sum)| Place {
            segment: span.segment,
            offset: span.offset,
            sum,
        });
        self.received.insert(number, received);
        let file = File { origin: Origin::Received(number), size, modified };
        let old = self.tree.put(&path, file)?;
        self.append(&Record::Put { path: path.clone(), number, size, modified, place })?;
        if status {
            self.journal.sync().map_err(|error| self.area_failed(error))?;
            self.read_status(&path);
        }
        self.release(old);
        self.count(&path, size);
        if place.is_none() {
            self.straight = true;
            self.pending += size;
        } else if !control {
            self.pack(number).map_err(|error| self.area_failed(error))?;
        }
        if self.pending >= self.settings.checkpoint {
            self.checkpoint()?;
        }
        self.collect_packed()
    }

    fn end_of_bytes(&mut self, sink: Sink, size: u64, control: bool) -> Result<Received, Trouble> {
        let mut received = Received { names: 1, ..Received::default() };
        match (sink, self.settings.writer.clone()) {
            (Sink::Straight(straight), Some(writer)) => {
                let (content, sha1) =
                    straight.finish(&writer).map_err(|error| self.repository_failed(error))?;
                received.content = Some(content);
                received.sha1 = Some(sha1);
            }
            (Sink::Straight(_), None) => return Err(Trouble::Unsupported),
            (Sink::Area(sum), _) => {
                let span = self.segments.finish(size, control);
                let span = span.map_err(|error| self.area_failed(error))?;
                received.local = Some((span, sum.value()));
            }
        }
        Ok(received)
    }

    /// Counts what is the device's own; the files that steer a backup are not.
    fn count(&mut self, path: &str, size: u64) {
        let Ok(id) = last(path).parse::<FileId>() else { return };
        self.counts.files += 1;
        self.counts.bytes += size;
        if self.earlier.get(&id) == Some(&size) {
            self.counts.bytes_again += size;
        }
    }

    fn read_status(&mut self, path: &str) {
        let bytes = self.read(path, STATUS_LIMIT).ok();
        if let Some(status) = bytes.and_then(|bytes| StatusPlist::parse(&bytes).ok())
            && status.snapshot_state != SnapshotState::Finished
        {
            self.was_full = Some(status.is_full_backup);
        }
    }

    /// Drops the file being received.
    pub(in crate::working_tree) fn abandon(&mut self) {
        if let Some(Arriving { sink: Sink::Area(_), .. }) = self.arriving.take() {
            self.segments.abandon();
        }
    }
}

impl Straight {
    fn new() -> Self {
        Self { first: Vec::new(), incoming: None, sha1: Sha1::new() }
    }

    /// Takes the next bytes.
    fn take(&mut self, data: &[u8], writer: &Writer) -> Result<(), RepoError> {
        self.sha1.update(data);
        if let Some(incoming) = &mut self.incoming {
            return incoming.write(data);
        }
        self.first.extend_from_slice(data);
        if self.first.len() >= Cut::SNIFF { self.start(writer) } else { Ok(()) }
    }

    fn start(&mut self, writer: &Writer) -> Result<(), RepoError> {
        let first = std::mem::take(&mut self.first);
        let mut incoming = Box::new(writer.begin(Cut::sniff(&first)));
        incoming.write(&first)?;
        self.incoming = Some(incoming);
        Ok(())
    }

    fn finish(mut self, writer: &Writer) -> Result<(Content, [u8; 20]), RepoError> {
        if self.incoming.is_none() {
            self.start(writer)?;
        }
        let content = match self.incoming {
            Some(incoming) => incoming.finish()?,
            None => Content::default(),
        };
        Ok((content, self.sha1.finalize().into()))
    }
}
