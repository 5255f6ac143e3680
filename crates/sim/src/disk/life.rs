//! A day passes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::Content;
use super::index::Index;
use super::maker::Maker;
use super::prng::Rng;
use super::{Disk, DiskError, apps, content};

/// The most days that are lived at once: ten years.
pub const MOST_DAYS: u32 = 3650;

/// What happens on a phone's days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// All that a phone of its profile lives through.
    #[default]
    Whole,
    /// Messages with their attachments and photos come, and nothing else: so that what they cost can be measured alone.
    MessagesAndPhotos,
}

impl Disk {
    /// Lives `days` whole days that end now: messages and photos come, notes and settings change, apps are updated, files
    /// go. What happens depends on the seed and on what the phone has lived through, never on chance.
    pub fn live(&mut self, days: u32, now: Timestamp) -> Result<(), DiskError> {
        self.live_so(Life::Whole, days, now)
    }

    /// Lives `days` days of this kind.
    pub fn live_so(&mut self, life: Life, days: u32, now: Timestamp) -> Result<(), DiskError> {
        if days == 0 {
            return Ok(());
        }
        if days > MOST_DAYS {
            return Err(DiskError::TooManyDays(days));
        }
        let lived: u64 = match self.index.property("lived")? {
            Some(text) => text.parse().map_err(|_| DiskError::Property("lived"))?,
            None => 0,
        };
        let mut rng = Rng::new(self.seed, &format!("life {lived}"));
        self.index.set_property(LIVING, "1")?;
        let when = (days, now.as_second());
        let mut maker =
            Maker::resume(&self.folder, &mut self.index, self.profile, self.seed, self.ios, when)?;
        let number = u64::from(days);
        match life {
            Life::Whole => content::live(&mut maker, &mut self.apps, number, &mut rng)?,
            Life::MessagesAndPhotos => content::live_on(&mut maker, number, &mut rng)?,
        }
        maker.finish()?;
        self.index.set_property("lived", &(lived + 1).to_string())?;
        apps::save(&self.index, &self.apps)?;
        self.index.save()?;
        self.index.set_property(LIVING, "0")
    }
}

impl Disk {
    /// Keeps a file of the owner's preferences; a file that says the same already is left alone.
    pub(crate) fn keep_preference(
        &mut self,
        name: &str,
        settings: &plist::Value,
        now: Timestamp,
    ) -> Result<(), DiskError> {
        let when = (0, now.as_second());
        let mut maker =
            Maker::resume(&self.folder, &mut self.index, self.profile, self.seed, self.ios, when)?;
        content::keep_preference(&mut maker, name, settings);
        maker.finish()?;
        self.index.save()
    }
}

/// Set while databases may be ahead of the index.
const LIVING: &str = "living";

/// Gives every database a later time if the program ended in the middle of a day: some of them have changed, and the
/// index does not know which.
pub(crate) fn recover(index: &mut Index) -> Result<(), DiskError> {
    if index.property(LIVING)?.as_deref() != Some("1") {
        return Ok(());
    }
    let databases: Vec<(String, String)> = index
        .iter()
        .filter(|entry| matches!(entry.content, Content::File(_)))
        .map(|entry| (entry.domain.clone(), entry.relative_path.clone()))
        .collect();
    for (domain, path) in databases {
        if let Some(entry) = index.change(&domain, &path) {
            entry.modified += 1;
            entry.changed = entry.modified;
        }
    }
    index.save()?;
    index.set_property(LIVING, "0")
}
