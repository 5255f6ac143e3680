//! Receiving a file: into the working area and into packs in one pass.

use std::io::{self, Write as _};

use fs_err as fs;
use lifeboat_mobilesync::{FileId, SnapshotState, StatusPlist};
use lifeboat_repo::{Cut, RepoError, Writer};
use sha1::{Digest as _, Sha1};

use super::{Arriving, Feed, Overlay, Received, Trouble, full, is_control, last};
use crate::error::{Cause, JobError};
use crate::working_tree::area::private_file;
use crate::working_tree::journal::Record;
use crate::working_tree::tree::{File, Origin};

impl Overlay {
    /// Starts to receive a file.
    pub(in crate::working_tree) fn begin(&mut self, path: &str) -> Result<(), Trouble> {
        self.abandon();
        self.tree.check_put(path)?;
        let number = self.next;
        self.next += 1;
        let control = is_control(path);
        let feed = if control || self.settings.writer.is_none() {
            Feed::Off
        } else {
            Feed::Sniffing(Vec::new())
        };
        let copy = matches!(feed, Feed::Off) || self.area_has_room(number);
        let file = if copy { Some(self.create(number)?) } else { None };
        self.arriving = Some(Arriving {
            path: path.to_owned(),
            number,
            file,
            size: 0,
            sha1: Sha1::new(),
            feed,
        });
        Ok(())
    }

    /// Looks at the disk now and then: for each of thousands of files would cost too much.
    fn area_has_room(&mut self, number: u64) -> bool {
        if self.has_room.is_none() || number.is_multiple_of(64) {
            let free = self.settings.host.free_bytes(self.area.folder()).unwrap_or(u64::MAX);
            self.has_room = Some(free >= self.settings.area_minimum);
        }
        self.has_room.unwrap_or(true)
    }

    fn create(&mut self, number: u64) -> Result<fs::File, Trouble> {
        let made =
            self.area.make_folder_of(number).and_then(|()| private_file(&self.area.file(number)));
        made.map_err(|error| self.area_failed(error))
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
        self.take_bytes(&mut arriving, data)?;
        self.arriving = Some(arriving);
        Ok(())
    }

    fn take_bytes(&mut self, arriving: &mut Arriving, data: &[u8]) -> Result<(), Trouble> {
        if let Some(file) = &mut arriving.file
            && let Err(error) = file.write_all(data)
        {
            if matches!(arriving.feed, Feed::Off) || !full(&error) {
                return Err(self.area_failed(error));
            }
            // The packs have all of it: the copy is a comfort that this disk cannot give.
            arriving.file = None;
            let _gone = fs::remove_file(self.area.file(arriving.number));
        }
        arriving.sha1.update(data);
        arriving.size += data.len() as u64;
        let writer = self.settings.writer.clone();
        let (Some(writer), feed) = (writer, &mut arriving.feed) else { return Ok(()) };
        let fed = match feed {
            Feed::Off => Ok(()),
            Feed::Sniffing(first) => {
                first.extend_from_slice(data);
                if first.len() >= Cut::SNIFF { start(feed, &writer) } else { Ok(()) }
            }
            Feed::On(incoming) => incoming.write(data),
        };
        fed.map_err(|error| self.repository_failed(error))
    }

    /// Puts the received file into its place.
    pub(in crate::working_tree) fn finish(&mut self) -> Result<(), Trouble> {
        let Some(mut arriving) = self.arriving.take() else {
            return Err(Trouble::Io(io::Error::other("no file is being received")));
        };
        if let (Feed::Sniffing(_), Some(writer)) = (&arriving.feed, self.settings.writer.clone()) {
            start(&mut arriving.feed, &writer).map_err(|error| self.repository_failed(error))?;
        }
        let content = match arriving.feed {
            Feed::On(incoming) => {
                Some(incoming.finish().map_err(|error| self.repository_failed(error))?)
            }
            Feed::Off | Feed::Sniffing(_) => None,
        };
        let modified = self.settings.host.now().as_second();
        let (path, number, size) = (arriving.path, arriving.number, arriving.size);
        let sha1: [u8; 20] = arriving.sha1.finalize().into();
        let status = last(&path) == "Status.plist";
        if status {
            // Before it is journaled that the device is further, all that this rests on is durable.
            self.make_durable(number)?;
        }
        let file = File { origin: Origin::Received(number), size, modified };
        let local = arriving.file.is_some();
        drop(arriving.file);
        self.received.insert(number, Received { sha1, content, packed: false, local, names: 1 });
        let old = self.tree.put(&path, file)?;
        self.append(&Record::Put {
            path: path.clone(),
            number,
            size,
            modified,
            sha1: hex::encode(sha1),
        })?;
        if status {
            self.journal.sync().map_err(|error| self.area_failed(error))?;
            self.read_status(number);
        }
        self.release(old);
        self.straight |= !local;
        self.count(&path, size);
        if self.pending >= self.settings.checkpoint {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Counts what is the device's own; the files that steer a backup are not.
    fn count(&mut self, path: &str, size: u64) {
        self.pending += size;
        let Ok(id) = last(path).parse::<FileId>() else { return };
        self.counts.files += 1;
        self.counts.bytes += size;
        if self.earlier.get(&id) == Some(&size) {
            self.counts.bytes_again += size;
        }
    }

    fn read_status(&mut self, number: u64) {
        let status =
            fs::read(self.area.file(number)).ok().and_then(|bytes| StatusPlist::parse(&bytes).ok());
        if let Some(status) = status
            && status.snapshot_state != SnapshotState::Finished
        {
            self.was_full = Some(status.is_full_backup);
        }
    }

    /// Drops the file being received.
    pub(in crate::working_tree) fn abandon(&mut self) {
        if let Some(arriving) = self.arriving.take() {
            drop(arriving.file);
            let _gone = fs::remove_file(self.area.file(arriving.number));
        }
    }
}

fn start(feed: &mut Feed, writer: &Writer) -> Result<(), RepoError> {
    if let Feed::Sniffing(first) = feed {
        let first = std::mem::take(first);
        let mut incoming = Box::new(writer.begin(Cut::sniff(&first)));
        incoming.write(&first)?;
        *feed = Feed::On(incoming);
    }
    Ok(())
}
