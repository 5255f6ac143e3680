//! The files of a backup that just arrived: those of the working tree, opened where it was opened.

use lifeboat_mobilesync::FileId;
use lifeboat_repo::{Content, Writer};

use super::{Backup, Own, Piece, Pieces, Run, Stored};
use crate::apple::Form;
use crate::error::{Cause, JobError};
use crate::opening::{Fate, Fates};
use crate::unlock::{Lock, Unlocked};
use crate::verify::{Verified, for_each_payload};
use crate::working_tree::checked::Checked;
use crate::working_tree::overlay::{Overlay, Received, Trouble};
use crate::working_tree::tree::{File, Origin};

/// The largest Info.plist that is read.
const INFO_LIMIT: u64 = 64 << 20;

/// The files of a working tree.
struct Arrived<'a> {
    /// The tree.
    overlay: &'a Overlay,
    /// What takes files that are not in the repository yet.
    writer: &'a Writer,
    /// The device.
    udid: &'a str,
    /// What opened it.
    unlocked: Option<&'a Unlocked>,
    /// Whether the device encrypted it.
    encrypted: bool,
}

/// Writes the snapshot of what arrived.
pub(crate) fn store(
    overlay: &Overlay,
    writer: &Writer,
    verified: &Verified,
    run: &Run<'_>,
) -> Result<Stored, JobError> {
    let unlocked = match &verified.lock {
        Lock::Open(unlocked) => Some(&**unlocked),
        Lock::None | Lock::Sealed(_) => None,
    };
    let (udid, encrypted) = (run.udid, verified.manifest.is_encrypted);
    let info = overlay.read(&format!("{udid}/Info.plist"), INFO_LIMIT).unwrap_or_default();
    let backup = Backup {
        pieces: &Arrived { overlay, writer, udid, unlocked, encrypted },
        keys: unlocked.map(|unlocked| &unlocked.keys),
        verified,
        info: &info,
        keep_unclaimed: false,
    };
    let parent = overlay.base().map(|base| base.snapshot.id);
    super::store(&backup, writer, parent, run)
}

fn unreadable(trouble: Trouble) -> JobError {
    match trouble {
        Trouble::Io(error) => {
            JobError::of(Cause::Disk, "a received file cannot be read back", &error)
        }
        other => JobError::new(Cause::Internal, format!("a received file is gone ({other:?})")),
    }
}

impl Arrived<'_> {
    fn file(&self, path: &str) -> Option<File> {
        self.overlay.tree().file(path).ok()
    }

    fn fates(&self) -> Option<&Fates> {
        self.unlocked.map(|unlocked| &unlocked.fates)
    }

    fn path(&self, id: &FileId) -> String {
        format!("{}/{}", self.udid, id.path())
    }

    /// Returns the content of a file of the tree as the device sent it: by reference where the repository has it so, else it is
    /// stored now.
    fn content(&self, path: &str, file: File) -> Result<Content, JobError> {
        let content = match file.origin {
            Origin::Base(number) => {
                match self.overlay.base().and_then(|base| base.content(number)) {
                    Some((content, Form::AsSent)) => Some(content.clone()),
                    Some((_, Form::Opened | Form::Unpadded)) => {
                        let (_, reader) = self.overlay.open(path).map_err(unreadable)?;
                        Some(self.writer.store(reader, None)?)
                    }
                    None => None,
                }
            }
            Origin::Received(number) => match self.overlay.received(number) {
                Some(Received { content: Some(content), .. }) => Some(content.clone()),
                Some(received) => Some(self.store_received(number, received)?),
                None => None,
            },
        };
        match content {
            Some(content) if content.size == file.size => Ok(content),
            _ => Err(JobError::new(Cause::Internal, format!("{path} is not what was received"))),
        }
    }

    /// Stores a file that lies in the working area only.
    fn store_received(&self, number: u64, received: &Received) -> Result<Content, JobError> {
        let reader = self.overlay.open_received(number).map_err(unreadable)?;
        let mut reader = Checked::new(reader);
        let content = self.writer.store(&mut reader, None)?;
        let passed = reader.passed();
        if received.local.is_some_and(|(span, sum)| (span.size, sum) == (passed.size, passed.sum)) {
            Ok(content)
        } else {
            Err(JobError::new(Cause::Disk, "a file in the working area has lost bytes"))
        }
    }
}

impl Pieces for Arrived<'_> {
    fn payload(&self, id: &FileId) -> Result<Option<Piece>, JobError> {
        let path = self.path(id);
        let Some(file) = self.file(&path) else { return Ok(None) };
        let modified = file.modified;
        let opened = |content| Piece { content, form: Form::Opened, why: None, modified };
        let why = match self.fates().and_then(|fates| fates.get(id)) {
            Some(Fate::Opened { content, .. }) if Form::Opened.size(content) == file.size => {
                return Ok(Some(opened(content.clone())));
            }
            Some(Fate::Opened { .. }) => {
                let message = format!("{path} is not what was received");
                return Err(JobError::new(Cause::Internal, message));
            }
            Some(Fate::Sealed(why)) => Some(*why),
            None => None,
        };
        // What the base has as plain text stays so, unless another key is needed to make it again.
        if let (Origin::Base(number), true, None) = (file.origin, self.unlocked.is_some(), why)
            && let Some((content, Form::Opened)) =
                self.overlay.base().and_then(|base| base.content(number))
        {
            return Ok(Some(opened(content.clone())));
        }
        let content = self.content(&path, file)?;
        Ok(Some(Piece { content, form: Form::AsSent, why, modified }))
    }

    fn as_sent(&self, id: &FileId) -> Result<Option<Piece>, JobError> {
        let path = self.path(id);
        let Some(file) = self.file(&path) else { return Ok(None) };
        let content = self.content(&path, file)?;
        Ok(Some(Piece { content, form: Form::AsSent, why: None, modified: file.modified }))
    }

    fn aside(&self, id: &FileId) -> Result<Option<Piece>, JobError> {
        let Some(base) = self.overlay.base() else { return Ok(None) };
        let Some((content, form)) = base.damaged(id) else { return Ok(None) };
        // Nothing says that the row's key makes it again: it is kept as it was sent.
        // A backup that is not encrypted any more has plain text under every name.
        let content = match form {
            Form::AsSent => content.clone(),
            Form::Opened if !self.encrypted => content.clone(),
            Form::Opened | Form::Unpadded => {
                self.writer.store(base.as_sent(Some(id), content, form)?, None)?
            }
        };
        let why = self.encrypted.then_some(crate::opening::Why::OtherKey);
        Ok(Some(Piece { content, form: Form::AsSent, why, modified: 0 }))
    }

    fn each(&self, visit: &mut dyn FnMut(FileId) -> Result<(), JobError>) -> Result<(), JobError> {
        for_each_payload(self.overlay, self.udid, &mut |id, _| visit(id))
    }

    fn own(&self, name: &str) -> Result<Option<(Own, Form)>, JobError> {
        let path = format!("{}/{name}", self.udid);
        let Some(file) = self.file(&path) else { return Ok(None) };
        let modified = file.modified;
        if name == "Manifest.db"
            && let Some(unlocked) = self.unlocked
            && let Some(content) = unlocked.manifest.store(self.writer)?
        {
            return Ok(Some((Own { content, modified }, unlocked.manifest.form)));
        }
        let content = self.content(&path, file)?;
        Ok(Some((Own { content, modified }, Form::AsSent)))
    }
}
