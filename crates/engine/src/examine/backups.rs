//! The backups that are there, for the doctor's probes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifeboat_doctor::Why;
use lifeboat_doctor::probe::{BackupPassword, Backups, Existing};
use lifeboat_host::Host;
use lifeboat_repo::Tag;

use crate::error::{Cause, JobError};
use crate::event::EventSink;
use crate::job::Places;
use crate::jobs::password::Standing;
use crate::jobs::password::sight::{self, Sight};
use crate::passwords::Passwords;
use crate::view::{self, BackupView as _, SnapshotView};
use crate::working_tree::area::Area;

/// No steering file is longer.
const LONGEST: usize = 16 << 20;

/// How long passwords are tried against the newest backup, each of which costs seconds.
const TRIAL: Duration = Duration::from_secs(8);

/// The backups of the repository, and what a broken run left in the working area.
pub(crate) struct Kept {
    places: Places,
    /// What somebody gives.
    passwords: Arc<dyn Passwords>,
    host: Arc<dyn Host>,
    /// The last snapshot of each device: to open a repository takes a second or two, and several probes look into it.
    opened: Mutex<BTreeMap<String, Opened>>,
}

type Opened = Result<Option<Arc<SnapshotView>>, Why>;

impl Kept {
    /// Looks where the places say.
    pub(crate) fn new(places: Places, host: Arc<dyn Host>, passwords: Arc<dyn Passwords>) -> Self {
        Self { places, passwords, host, opened: Mutex::default() }
    }

    fn open(&self, udid: &str) -> Opened {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.entry(udid.to_owned()).or_insert_with(|| self.open_anew(udid)).clone()
    }

    fn open_anew(&self, udid: &str) -> Opened {
        // Without a lock: a look changes nothing.
        let looked = self.places.open_now(&*self.host).and_then(|repository| {
            view::in_repository(&EventSink::silent(), repository, "latest", Some(udid))
        });
        match looked {
            Ok(view) => Ok(Some(Arc::new(view))),
            Err(error)
                if matches!(error.cause, Cause::NoSuchSnapshot | Cause::RepositoryMissing) =>
            {
                Ok(None)
            }
            Err(error) => Err(why(&error)),
        }
    }
}

impl Backups for Kept {
    fn last(&self, udid: &str) -> Result<Option<Existing>, Why> {
        let left_over = Area::is_left(&self.places.working_area, udid);
        let being_written = Area::is_taken(&self.places.working_area, udid);
        let view = match self.open(udid) {
            // A repository that cannot be opened because it is damaged is a backup that is there and broken.
            Err(why) if !left_over && !being_written => return Err(why),
            Err(_) => None,
            Ok(view) => view,
        };
        let Some(view) = view else {
            let left = Existing { left_over, being_written, ..Existing::default() };
            return Ok((left_over || being_written).then_some(left));
        };
        let about = view::about(&view.repository, &view.snapshot).map_err(|error| why(&error))?;
        let own = |name: &str| read(&view, &format!("backup/{name}"), LONGEST);
        Ok(Some(Existing {
            made: Some(view.snapshot.time),
            bytes: about.as_ref().map(|about| about.bytes),
            being_written,
            left_over,
            complete: view.snapshot.is(Tag::Complete),
            status: own("Status.plist")?,
            manifest: own("Manifest.plist")?,
            ios: about.and_then(|about| about.ios),
            rows_missing: None,
            database_broken: false,
        }))
    }

    fn file(
        &self,
        udid: &str,
        domain: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Why> {
        match self.open(udid)? {
            Some(view) => read(&view, &format!("{domain}/{path}"), limit),
            None => Ok(None),
        }
    }

    fn password(&self, udid: &str, encrypts: Option<bool>) -> Result<BackupPassword, Why> {
        let view = self.open(udid)?;
        // A password is kept before there is any backup.
        let opened = match view.is_none().then(|| self.places.open()) {
            None => None,
            Some(Ok(repository)) => Some(repository),
            Some(Err(error)) if error.cause == Cause::RepositoryMissing => None,
            Some(Err(error)) => return Err(why(&error)),
        };
        let repository = view.as_ref().map(|view| &view.repository).or(opened.as_ref());
        let snapshot = view.as_ref().map(|view| &view.snapshot);
        let look = sight::look(&*self.passwords, repository, snapshot, udid, encrypts, TRIAL);
        let standing = match look.map_err(|error| why(&error))?.ok_or(Why::TimedOut)? {
            Sight::Damaged(_) => return Ok(BackupPassword::Damaged),
            Sight::Standing(standing) => standing,
        };
        match standing {
            Standing::Off => Ok(BackupPassword::None),
            Standing::Known | Standing::Proved => Ok(BackupPassword::Known),
            Standing::NotProved => Ok(BackupPassword::NotProved),
            Standing::ChangedElsewhere => Ok(BackupPassword::Differs),
            Standing::Unknown => Ok(BackupPassword::Unknown),
            Standing::CannotTell => Err(Why::NotThere(standing.words().to_owned())),
        }
    }
}

fn read(view: &SnapshotView, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Why> {
    let reader = match view.open(path) {
        Ok(reader) => reader,
        Err(error) if error.cause == Cause::NoSuchPath => return Ok(None),
        Err(error) => return Err(why(&error)),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    reader.take(limit).read_to_end(&mut bytes).map_err(|error| Why::Garbled(error.to_string()))?;
    Ok(Some(bytes))
}

fn why(error: &JobError) -> Why {
    match error.cause {
        Cause::RepositoryDamaged => Why::Garbled(error.message.clone()),
        _ => Why::Refused(error.message.clone()),
    }
}
