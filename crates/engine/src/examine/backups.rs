//! The backups that are there, for the doctor's probes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use lifeboat_doctor::Why;
use lifeboat_doctor::probe::{Backups, Existing};
use lifeboat_host::Host;
use lifeboat_repo::Tag;

use crate::error::{Cause, JobError};
use crate::event::EventSink;
use crate::job::Places;
use crate::view::{self, BackupView as _, SnapshotView};
use crate::working_tree::area::Area;

/// No steering file is longer.
const LONGEST: usize = 16 << 20;

/// The backups of the repository, and what a broken run left in the working area.
pub(crate) struct Kept {
    places: Places,
    host: Arc<dyn Host>,
    /// The last snapshot of each device: to open a repository takes a second or two, and several probes look into it.
    opened: Mutex<BTreeMap<String, Opened>>,
}

type Opened = Result<Option<Arc<SnapshotView>>, Why>;

impl Kept {
    /// Looks where the places say.
    pub(crate) fn new(places: Places, host: Arc<dyn Host>) -> Self {
        Self { places, host, opened: Mutex::default() }
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
