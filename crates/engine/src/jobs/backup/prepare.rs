//! The stage *prepare*: takes the working area, opens the repository, presents the last snapshot.

use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::Timestamp;
use lifeboat_device::info_plist;
use lifeboat_device::link::Link;
use lifeboat_repo::{Repository, SnapshotId, Writer, WriterOptions};

use super::{BackupPlan, choice, damage};
use crate::error::{Cause, JobError};
use crate::event::{Event, Note};
use crate::job::{Context, Places, blocking};
use crate::jobs::password::{Before, Sealed, foresee};
use crate::keys::Keyring;
use crate::layout::About;
use crate::passwords::{self, Candidate, Question};
use crate::scratch;
use crate::verify::Told;
use crate::words::{choose, first};
use crate::working_tree::area::Area;
use crate::working_tree::base::Proven;
use crate::working_tree::overlay::{Settings, Trouble};
use crate::working_tree::{Opened, WorkingTree};

/// Bytes received after which the packs are made durable: about what a killed process costs a disk in copies.
const CHECKPOINT: u64 = 256 << 20;
/// Bytes of the disks that are not offered to the device: manifests and indexes want room too.
const RESERVE: u64 = 64 << 20;
/// With less room than this the working area gets no copies of what goes into packs.
const AREA_MINIMUM: u64 = 1 << 30;

/// What a transfer needs.
pub(super) struct Prepared {
    pub(super) tree: WorkingTree,
    pub(super) writer: Arc<Writer>,
    pub(super) opened: Opened,
    pub(super) udid: String,
    pub(super) device_name: String,
    pub(super) info: plist::Dictionary,
    pub(super) will_encrypt: bool,
    pub(super) has_base: bool,
    /// When the newest backup of the device that was there before was made.
    pub(super) newest: Option<Timestamp>,
    pub(super) notes: Vec<Note>,
    /// Files that the device told errors of.
    pub(super) told: Vec<Told>,
    /// What may open the backup, where it is encrypted.
    pub(super) ring: Keyring,
}

/// What was opened on this machine.
pub(crate) struct Local {
    pub(crate) tree: WorkingTree,
    pub(crate) writer: Arc<Writer>,
    pub(crate) repository: Repository,
    /// The newest backup, where that is sealed.
    sealed: Option<Sealed>,
    opened: Opened,
    has_base: bool,
    newest: Option<Timestamp>,
    notes: Vec<Note>,
}

/// Prepares.
pub(super) async fn prepare(
    ctx: &Context,
    plan: &BackupPlan,
    link: &Link,
) -> Result<Prepared, JobError> {
    let udid = link.device().udid.clone();
    let opening = {
        let (ctx, places, udid, full) = (ctx.clone(), plan.places.clone(), udid.clone(), plan.full);
        blocking(move || open(&ctx, &places, &udid, full))
    };
    // The device tells of its apps while the repository is opened.
    let (local, told) = tokio::join!(opening, ask(ctx, link));
    let (local, (info, will_encrypt)) = (local?, told?);
    let Local { tree, writer, repository, sealed, opened, has_base, newest, mut notes } = local;
    notes.extend(not_told(&info.missing));
    if opened.discarded {
        let message = "what an earlier run had kept rests on another snapshot and is not used";
        notes.push(Note::new("kept-not-used", message));
    }
    let device_name = info
        .keys
        .get("Device Name")
        .and_then(plist::Value::as_string)
        .unwrap_or_default()
        .to_owned();
    let ring = if will_encrypt {
        keyring(ctx, &tree, repository, &udid, &device_name).await?
    } else {
        tree.state().let_pack()?;
        Keyring::default()
    };
    let has_candidates = !ring.is_empty();
    if let Some(note) = foresee(Before { encrypts: will_encrypt, has_candidates, sealed }) {
        // Now, while somebody can still do something about it.
        ctx.events.tell(Event::Note(note.clone()));
        notes.push(note);
    }
    write_info(&tree, &udid, &info.keys).await?;
    Ok(Prepared {
        tree,
        writer,
        opened,
        udid,
        device_name,
        info: info.keys,
        will_encrypt,
        has_base,
        newest,
        notes,
        told: Vec::new(),
        ring,
    })
}

/// Gathers what may open an encrypted backup, whose files wait for their keys then; asks a person where nothing is known. Where that
/// comes to nothing files go into the repository as they come.
async fn keyring(
    ctx: &Context,
    tree: &WorkingTree,
    repository: Repository,
    udid: &str,
    device_name: &str,
) -> Result<Keyring, JobError> {
    let (ctx, tree) = (ctx.clone(), tree.clone());
    let (udid, of) = (udid.to_owned(), device_name.to_owned());
    blocking(move || {
        let mut ring = Keyring::gather(&ctx, Some(&repository), &udid)?;
        if ring.is_empty() {
            let question = Question { of: &of, was_wrong: false };
            if let Some(typed) = ctx.passwords.ask(&question) {
                ring.add(Candidate::given(typed));
            }
        }
        if ring.is_empty() {
            tree.state().let_pack()?;
        }
        Ok(ring)
    })
    .await
}

/// Notes what the device did not tell for Info.plist: one note, whatever is missing.
fn not_told(missing: &[String]) -> Option<Note> {
    let message = format!("the device did not tell {}", missing.join(" and "));
    (!missing.is_empty()).then(|| Note::new("info-incomplete", message))
}

async fn ask(ctx: &Context, link: &Link) -> Result<(info_plist::InfoPlist, bool), JobError> {
    let mut session = link.session().await?;
    let encrypted = session.value(Some("com.apple.mobile.backup"), Some("WillEncrypt")).await?;
    session.close().await;
    let will_encrypt = encrypted.and_then(|value| value.as_boolean()).unwrap_or(false);
    Ok((info_plist::collect(link, ctx.host.now()).await?, will_encrypt))
}

/// Takes the working area of a device, opens the repository, and presents the newest snapshot that serves.
pub(crate) fn open(
    ctx: &Context,
    places: &Places,
    udid: &str,
    full: bool,
) -> Result<Local, JobError> {
    let area = Area::take(&places.working_area, udid)?;
    scratch::sweep(places);
    let repository = places.open_or_make(&*ctx.host)?.as_of(ctx.host.now());
    let host = ctx.host.clone();
    let options = WriterOptions {
        workers: workers(),
        announce: Some(area.announce()),
        ..WriterOptions::new(Arc::new(move || host.now()))
    };
    let (writer, chosen) = choice::open(&repository, &options, &area, udid)?;
    let writer = Arc::new(writer);
    let mut notes = damage::notes(&writer, &chosen.unreadable);
    notes.extend(ahead_note(&chosen.ahead));
    let newest = chosen.newest;
    notes.extend(chosen.note().filter(|_| !full));
    let settings = Settings {
        host: ctx.host.clone(),
        writer: Some(writer.clone()),
        repository: Some(repository.clone()),
        repository_place: places.disk(),
        checkpoint: CHECKPOINT,
        reserve: RESERVE,
        area_minimum: AREA_MINIMUM,
        hold: true,
    };
    let is_sealed = |base: &&Proven| base.about.as_ref().is_some_and(About::is_sealed);
    let sealed = match chosen.base.as_ref().filter(is_sealed).map(|base| base.snapshot.time) {
        Some(made) => {
            let kept = passwords::kept(&repository, udid)?;
            let newest = kept.first().filter(|kept| !kept.is_refused());
            let newest = newest.map(|kept| kept.password.created);
            Some(Sealed { made, newest })
        }
        None => None,
    };
    let (tree, opened) = WorkingTree::open(area, settings, udid, chosen.base, full)?;
    let has_base = tree.state().base().is_some();
    Ok(Local { tree, writer, repository, sealed, opened, has_base, newest, notes })
}

/// Says that snapshots are dated in the future; nothing where none are.
fn ahead_note(ahead: &[SnapshotId]) -> Option<Note> {
    const NAMED: usize = 5;
    let number = ahead.len() as u64;
    let message = format!(
        "{} dated more than a day in the future ({}): the clock was wrong then, or is now; they count as older than the others",
        choose(number, "a snapshot is", "snapshots are"),
        first(ahead.iter().map(SnapshotId::short), NAMED)
    );
    (number > 0).then(|| Note::new("dated-in-the-future", message))
}

fn workers() -> NonZeroUsize {
    std::thread::available_parallelism()
        .unwrap_or(NonZeroUsize::MIN)
        .min(NonZeroUsize::MIN.saturating_add(3))
}

/// Writes Info.plist, the host's own file.
pub(super) async fn write_info(
    tree: &WorkingTree,
    udid: &str,
    keys: &plist::Dictionary,
) -> Result<(), JobError> {
    let bytes = lifeboat_mobilesync::InfoPlist::new(keys.clone()).encode();
    let (tree, path) = (tree.clone(), format!("{udid}/Info.plist"));
    blocking(move || {
        let mut state = tree.state();
        state.write_own(&path, &bytes).map_err(|trouble| {
            let failure = state.take_failure();
            failure.unwrap_or_else(|| own_file(trouble))
        })
    })
    .await
}

fn own_file(trouble: Trouble) -> JobError {
    match trouble {
        Trouble::Io(error) => JobError::of(Cause::Disk, "Info.plist cannot be written", &error),
        other => {
            JobError::new(Cause::Internal, format!("Info.plist cannot be written ({other:?})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_device_did_not_tell_is_one_note() {
        assert_eq!(not_told(&[]), None);
        let note = not_told(&["its apps".to_owned(), "its settings".to_owned()]).unwrap();
        assert_eq!(note.message, "the device did not tell its apps and its settings");
    }
}
