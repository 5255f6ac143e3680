//! Opens the backup in a working tree, where something that is known opens it: its keys, its manifest, its payloads.

use std::io::{self, Read, Write as _};

use lifeboat_mobilesync::crypto::{Decrypt, Key};
use lifeboat_mobilesync::proof::{Flaw, Proof};
use lifeboat_mobilesync::{ManifestDb, ManifestPlist, Row, SnapshotState};
use lifeboat_repo::{Content, Writer};

use crate::apple::{Form, Plain};
use crate::error::{At as _, Cause, JobError};
use crate::job::Context;
use crate::keys::{Keyring, Keys, Locked};
use crate::meter::Meter;
use crate::opening::{Fates, Opener, Source, Wanted, Why};
use crate::stage::Stage;
use crate::verify;
use crate::view;
use crate::working_tree::area::private_file;
use crate::working_tree::base::Base;
use crate::working_tree::checked::{Checked, Sum};
use crate::working_tree::overlay::Overlay;
use crate::working_tree::rows::Rows;
use crate::working_tree::tree::Origin;

/// What every SQLite database begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// The size of the smallest page of a database.
const SMALLEST_PAGE: u64 = 512;
/// What is read, in errors.
const MANIFEST: &str = "Manifest.db";
/// How much is read at a time.
const BLOCK: usize = 128 << 10;

/// A manifest as plain text, on the local disk.
pub(crate) struct PlainManifest {
    pub(crate) file: Plain,
    /// How what the device sent can be made of it again; as sent where it cannot.
    pub(crate) form: Form,
    pub(crate) size: u64,
    /// CRC-32 of what was written there.
    pub(crate) sum: u32,
}

/// A backup that is open.
pub(crate) struct Unlocked {
    pub(crate) keys: Keys,
    pub(crate) manifest: PlainManifest,
    /// What became of the payloads.
    pub(crate) fates: Fates,
}

/// What became of an encrypted backup.
pub(crate) enum Lock {
    /// It is not encrypted, or not finished.
    None,
    /// It is open.
    Open(Box<Unlocked>),
    /// It stays sealed.
    Sealed(Locked),
}

/// Opens the backup in a working tree; `of_base` is what the manifest of the base says.
pub(crate) fn unlock(
    ctx: &Context,
    overlay: &Overlay,
    writer: &Writer,
    udid: &str,
    ring: &Keyring,
    of_base: &Rows,
) -> Result<Lock, JobError> {
    // What is not whole is told by the verification.
    let finished = |state| state == SnapshotState::Finished;
    if !verify::status(overlay, udid).is_ok_and(|status| finished(status.snapshot_state)) {
        return Ok(Lock::None);
    }
    let Ok(plist) = verify::manifest_plist(overlay, udid) else { return Ok(Lock::None) };
    if !plist.is_encrypted || overlay.tree().file(&format!("{udid}/Manifest.db")).is_err() {
        return Ok(Lock::None);
    }
    // A device that did not say beforehand that it encrypts.
    let gathered;
    let ring = if ring.is_empty() {
        gathered = Keyring::gather(ctx, overlay.repository(), udid).at(Stage::Verify)?;
        &gathered
    } else {
        ring
    };
    let keys = match ring.open(&plist, &|| ctx.go_on()).at(Stage::Verify)? {
        Ok(keys) => keys,
        Err(locked) => return Ok(Lock::Sealed(locked)),
    };
    let manifest = match manifest(overlay, udid, &plist, &keys).at(Stage::Verify)? {
        Ok(manifest) => manifest,
        Err(locked) => return Ok(Lock::Sealed(locked)),
    };
    let opening = Opening { ctx, overlay, writer, udid, keys: &keys, of_base };
    match opening.run(&manifest) {
        Ok(fates) => Ok(Lock::Open(Box::new(Unlocked { keys, manifest, fates }))),
        Err(error) if error.cause == Cause::VerifyFailed => {
            Ok(Lock::Sealed(Locked::Manifest(error.message)))
        }
        Err(error) => Err(error).at(Stage::Verify),
    }
}

/// Decrypts Manifest.db into the working area.
fn manifest(
    overlay: &Overlay,
    udid: &str,
    plist: &ManifestPlist,
    keys: &Keys,
) -> Result<Result<PlainManifest, Locked>, JobError> {
    let path = format!("{udid}/Manifest.db");
    let place = overlay.area().scratch("opened-manifest.db").map_err(|error| disk(&error))?;
    let file = Plain::at(place);
    let key = match &plist.manifest_key {
        Some(wrapped) => match keys.open(wrapped) {
            Ok(key) => Some(key),
            Err(error) => return Ok(Err(Locked::ManifestKey(error))),
        },
        None => None,
    };
    let open = || overlay.open(&path).map(|(_, reader)| reader).map_err(JobError::from);
    let size = overlay.tree().file(&path).map_or(0, |file| file.size);
    plain_manifest(&open, size, key.as_ref(), file)
}

/// Opens a manifest as a device sent it, again each time it is asked for.
pub(crate) type OpenManifest<'a> = &'a dyn Fn() -> Result<Box<dyn Read + Send>, JobError>;

/// Decrypts a manifest of this size into a file; says why it stays sealed where it is none.
pub(crate) fn plain_manifest(
    open: OpenManifest<'_>,
    size: u64,
    key: Option<&Key>,
    file: Plain,
) -> Result<Result<PlainManifest, Locked>, JobError> {
    let written = match write_plain(open, size, key, &file)? {
        Ok(written) => written,
        Err(flaw) => return Ok(Err(Locked::Manifest(flaw.to_string()))),
    };
    match ManifestDb::open(file.path()) {
        Ok(_) => {
            Ok(Ok(PlainManifest { form: written.form, size: written.size, sum: written.sum, file }))
        }
        Err(error) => Ok(Err(Locked::Manifest(error.to_string()))),
    }
}

impl PlainManifest {
    /// Stores it as plain text, where what the device sent can be made of it.
    pub(crate) fn store(&self, writer: &Writer) -> Result<Option<Content>, JobError> {
        if self.form == Form::AsSent {
            return Ok(None);
        }
        let failed =
            |error: io::Error| JobError::of(Cause::Disk, "the manifest cannot be read", &error);
        let file = fs_err::File::open(self.file.path()).map_err(failed)?;
        let mut reader = Checked::new(file);
        let content = writer.store(reader.by_ref(), None)?;
        let passed = reader.passed();
        if (passed.size, passed.sum) == (self.size, self.sum) {
            Ok(Some(content))
        } else {
            Err(JobError::new(Cause::Disk, "the manifest in the working area has lost bytes"))
        }
    }
}

struct Written {
    form: Form,
    size: u64,
    sum: u32,
}

fn write_plain(
    open: OpenManifest<'_>,
    size: u64,
    key: Option<&Key>,
    to: &Plain,
) -> Result<Result<Written, Flaw>, JobError> {
    let mut begins = Vec::new();
    let read = open()?.take(SQLITE.len() as u64).read_to_end(&mut begins);
    read.map_err(|error| view::unreadable(MANIFEST, error))?;
    // Backups of iOS 10.0 and 10.1 have it as plain text, and so have those that a tool decrypted in place.
    let Some(key) = key.filter(|_| begins != SQLITE) else {
        return copy(open()?, to, Form::AsSent);
    };
    // A database is a number of pages long: so is what has no padding, whatever its last page ends with.
    let proved = if size.is_multiple_of(SMALLEST_PAGE) {
        copy(Proof::unpadded(key, open()?), to, Form::Unpadded)?
    } else {
        copy(Proof::new(key, open()?), to, Form::Opened)?
    };
    match proved {
        Err(Flaw::Padding | Flaw::Differs) => copy(Decrypt::new(key, open()?), to, Form::AsSent),
        other => Ok(other),
    }
}

fn disk(error: &io::Error) -> JobError {
    JobError::of(Cause::Disk, "a copy of the manifest", error)
}

/// Copies to a file that only its owner can read.
fn copy(mut from: impl Read, to: &Plain, form: Form) -> Result<Result<Written, Flaw>, JobError> {
    let mut file = private_file(to.path()).map_err(|error| disk(&error))?;
    let (mut block, mut sum, mut size) = (vec![0; BLOCK], Sum::default(), 0);
    loop {
        let count = match from.read(&mut block) {
            Ok(count) => count,
            Err(error) => match Flaw::of(&error) {
                Some(flaw) => return Ok(Err(flaw)),
                // The reader that proves nothing says it in its own words.
                None if error.kind() == io::ErrorKind::InvalidData => {
                    return Ok(Err(Flaw::Truncated));
                }
                None => return Err(view::unreadable(MANIFEST, error)),
            },
        };
        let bytes = block.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Ok(Written { form, size, sum: sum.value() }));
        }
        file.write_all(bytes).map_err(|error| disk(&error))?;
        sum.update(bytes);
        size += bytes.len() as u64;
    }
}

/// What opening the payloads of a working tree needs.
struct Opening<'a> {
    ctx: &'a Context,
    overlay: &'a Overlay,
    writer: &'a Writer,
    udid: &'a str,
    keys: &'a Keys,
    of_base: &'a Rows,
}

impl Opening<'_> {
    fn run(&self, manifest: &PlainManifest) -> Result<Fates, JobError> {
        let database = ManifestDb::open(manifest.file.path())
            .map_err(|error| crate::opening::manifest_error(&error))?;
        let opener = Opener {
            ctx: self.ctx,
            repository: self.overlay.repository(),
            writer: self.writer,
            segments: self.overlay.segments(),
            keys: self.keys,
        };
        let (_, total) = self.overlay.kept();
        let mut meter = Meter::new(self.ctx, Stage::Verify, None);
        let wanted = &mut |row: &Row| self.wanted(row);
        opener.open_all(&database, wanted, &mut |done| meter.set_bytes(done.min(total), total))
    }

    fn wanted(&self, row: &Row) -> Result<Wanted, JobError> {
        let path = format!("{}/{}", self.udid, row.file_id.path());
        let Ok(file) = self.overlay.tree().file(&path) else { return Ok(Wanted::Nothing) };
        match file.origin {
            Origin::Received(number) => {
                Ok(self.overlay.source(number).map_or(Wanted::Nothing, Wanted::Open))
            }
            Origin::Base(number) => {
                let base = self.overlay.base();
                let kept = base.and_then(|base| Some((base, base.content(number)?)));
                self.of_base(row, kept.map(|(base, (content, form))| (base, content.clone(), form)))
            }
        }
    }

    /// What is opened in the base stays so where its key is the one that the row has now.
    fn of_base(&self, row: &Row, kept: Option<(&Base, Content, Form)>) -> Result<Wanted, JobError> {
        match kept {
            None => Ok(Wanted::Nothing),
            Some((_, content, Form::AsSent)) => Ok(Wanted::Open(Source::Stored(content))),
            Some((base, _, Form::Opened | Form::Unpadded)) => {
                let same = base.has_key_of(self.of_base, row, self.keys)?;
                Ok(if same { Wanted::Nothing } else { Wanted::Seal(Why::OtherKey) })
            }
        }
    }
}
