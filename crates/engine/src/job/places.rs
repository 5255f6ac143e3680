//! Opening the repository that the places name.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_host::{Host, SecretError, secret};
use lifeboat_repo::{Clock, Location, RepoError, Repository};
use secrecy::SecretString;

use super::Places;
use crate::error::{Cause, JobError};
use crate::words::ms;
use crate::working_tree::area::{private_file, private_folder};

/// What a summary says of a recovery sheet that nobody has seen.
const NOT_YET_SHOWN: &str = "not yet shown";

impl Places {
    /// Returns the repository's password: the one that was given, else the generated key.
    pub fn repository_password(&self) -> Result<SecretString, JobError> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        Ok(secret::read_password_file(&self.key_file)?.password)
    }

    /// Returns where the repository is; a scheme that is not supported is refused by name.
    fn location(&self) -> Result<Location, JobError> {
        Ok(self.repository.as_str().parse()?)
    }

    /// Returns the folder whose disk the repository fills.
    pub(crate) fn disk(&self) -> Utf8PathBuf {
        match self.location() {
            Ok(Location::Local(folder)) => folder,
            _ => self.repository.clone(),
        }
    }

    /// Opens the repository. One that was made here and is not there is told apart from one that never was.
    pub fn open(&self) -> Result<Repository, JobError> {
        let location = self.location()?;
        // An absent repository is the better message when the key is absent too.
        match Repository::find(&location) {
            Err(RepoError::Missing(_)) if self.was_made() => {
                return Err(JobError::new(Cause::RepositoryGone, self.gone()));
            }
            found => found?,
        }
        let since = Instant::now();
        let opened = Repository::open(&location, &self.repository_password()?, &self.cache)?;
        tracing::info!(ms = ms(since), "the repository is open");
        // Whoever made it may have been killed before saying so. Who only reads may do so where nothing can be noted.
        if let Err(error) = self.made() {
            tracing::warn!(%error, "the repository is open all the same");
        }
        Ok(opened)
    }

    /// Opens the repository as [`Places::open`] does, to judge by what time it is which snapshot is the latest.
    pub(crate) fn open_now(&self, host: &dyn Host) -> Result<Repository, JobError> {
        Ok(self.open()?.as_of(host.now()))
    }

    /// Opens the repository as [`Places::open_now`] does and locks it for reading: nobody removes anything from it until what this
    /// returns is gone. One that cannot be written to is read without a lock.
    pub(crate) fn open_to_read(&self, host: &Arc<dyn Host>) -> Result<Repository, JobError> {
        let host = Arc::clone(host);
        let clock: Clock = Arc::new(move || host.now());
        Ok(self.open()?.as_of(clock()).to_read(&clock)?)
    }

    /// Makes the repository; without a password with a key that is generated and kept in the key file. Its recovery sheet
    /// counts as not yet shown from before it is there.
    pub fn init(&self, host: &dyn Host) -> Result<Repository, JobError> {
        let location = self.location()?;
        // Before anything is written anywhere.
        Repository::find_room(&location)?;
        if !self.was_made() {
            mark(&self.making_mark(), "that the repository is being made")?;
        }
        mark(&self.sheet_mark(), "that the sheet was not shown")?;
        let password = match &self.password {
            Some(password) => password.clone(),
            None => self.key(host)?,
        };
        // What a person chose, be it in the key file, may be guessed.
        let init = if self.password.is_none() && secret::is_generated(&password) {
            Repository::init_generated
        } else {
            Repository::init
        };
        let made = init(&location, &password, &self.cache)?;
        self.made()?;
        Ok(made)
    }

    /// Whether a repository was made here before: its key is here, or the mark of one whose password was given; and who made it
    /// came to an end with it.
    fn was_made(&self) -> bool {
        (self.key_file.exists() || self.made_mark().exists()) && !self.making_mark().exists()
    }

    /// Says that a repository that was made here is not there.
    fn gone(&self) -> String {
        let place = &self.repository;
        if self.key_file.exists() {
            let key = &self.key_file;
            format!(
                "the repository that this key belongs to is not there: {place} (the key is {key})"
            )
        } else {
            format!("the repository that was made here is not there: {place}")
        }
    }

    /// Notes that the repository is made.
    fn made(&self) -> Result<(), JobError> {
        const WHAT: &str = "that the repository was made";
        let made = self.made_mark();
        if self.make_repository && !self.key_file.exists() && !made.exists() {
            mark(&made, WHAT)?;
        }
        unmark(&self.making_mark(), WHAT)
    }

    /// The file that says of the default repository that it was made, where no key does: its password was given.
    fn made_mark(&self) -> Utf8PathBuf {
        self.key_file.with_extension("made")
    }

    /// The file beside the key that is there while a repository is made for the first time: a run that breaks meanwhile leaves
    /// a key, and the next one may make the repository all the same.
    fn making_mark(&self) -> Utf8PathBuf {
        self.key_file.with_extension("being-made")
    }

    /// Opens the repository, or makes it where that was allowed and none was made before.
    pub fn open_or_make(&self, host: &dyn Host) -> Result<Repository, JobError> {
        match self.open() {
            Err(error) if error.cause == Cause::RepositoryMissing && self.make_repository => {
                // Another run may have made it meanwhile.
                let is_there = || self.location().is_ok_and(|location| is_there(&location));
                self.init(host).or_else(|failed| if is_there() { self.open() } else { Err(failed) })
            }
            other => other,
        }
    }

    /// Returns what a summary says of the recovery sheet: nothing, once a person has seen it.
    pub fn recovery_sheet(&self) -> Option<String> {
        let is_made = self.location().is_ok_and(|location| is_there(&location));
        (is_made && self.sheet_mark().exists()).then(|| NOT_YET_SHOWN.to_owned())
    }

    /// Notes that a person has seen the recovery sheet.
    pub fn sheet_shown(&self) -> Result<(), JobError> {
        unmark(&self.sheet_mark(), "that the sheet was shown")
    }

    /// The file beside the key that is there as long as nobody has seen the recovery sheet: a run that makes the repository
    /// may fail or be killed before it tells of it.
    fn sheet_mark(&self) -> Utf8PathBuf {
        self.key_file.with_extension("sheet-not-shown")
    }

    /// Returns the key of the key file, which is made where it is not there.
    fn key(&self, host: &dyn Host) -> Result<SecretString, JobError> {
        use secrecy::ExposeSecret as _;
        let generated = secret::generate_password(host);
        match secret::create_password_file(&self.key_file, generated.expose_secret()) {
            Ok(()) => Ok(generated),
            Err(SecretError::Exists { .. }) => {
                Ok(secret::read_password_file(&self.key_file)?.password)
            }
            Err(error) => Err(JobError::of(Cause::Disk, "the key file cannot be made", &error)),
        }
    }
}

/// Makes a file whose being there says something.
fn mark(file: &Utf8Path, what: &str) -> Result<(), JobError> {
    let made = file.parent().map_or(Ok(()), private_folder).and_then(|()| private_file(file));
    let failed =
        |error: io::Error| JobError::of(Cause::Disk, &format!("cannot note {what}"), &error);
    made.map(drop).map_err(failed)
}

/// Removes such a file; one that is not there is fine.
fn unmark(file: &Utf8Path, what: &str) -> Result<(), JobError> {
    // A disk that can only be read refuses to remove even what is not there.
    if !file.is_symlink() && !file.exists() {
        return Ok(());
    }
    match fs_err::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(JobError::of(Cause::Disk, &format!("cannot note {what}"), &error))
        }
        _ => Ok(()),
    }
}

fn is_there(location: &Location) -> bool {
    match location {
        Location::Local(folder) => folder.join("config").exists(),
        // Whoever opens it will see.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_host::fake::FakeHost;

    use super::*;

    fn places(root: &Utf8Path) -> Places {
        Places {
            repository: root.join("disk/repository"),
            password: None,
            key_file: root.join("config/key"),
            make_repository: true,
            working_area: root.join("work"),
            cache: root.join("cache"),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_repository_that_is_gone_is_not_made_anew_and_one_that_never_came_about_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let (places, host) = (places(root), FakeHost::default());
        let cause = |places: &Places| places.open_or_make(&host).err().map(|error| error.cause);
        let missing = places.open().err().map(|error| error.cause);
        assert_eq!(missing, Some(Cause::RepositoryMissing));
        // The first run gets as far as the key.
        fs_err::os::unix::fs::symlink(root.join("nowhere"), root.join("disk")).unwrap();
        assert_eq!(cause(&places), Some(Cause::Disk));
        assert!(places.key_file.exists());
        fs_err::remove_file(root.join("disk")).unwrap();
        assert_eq!(cause(&places), None);
        // From now on it is expected to be there.
        fs_err::rename(root.join("disk"), root.join("away")).unwrap();
        assert_eq!(cause(&places), Some(Cause::RepositoryGone));
        fs_err::create_dir_all(&places.repository).unwrap();
        assert_eq!(cause(&places), Some(Cause::RepositoryGone));
        assert_eq!(places.repository.read_dir_utf8().unwrap().count(), 0);
        // Whoever wants a new one says so; it has the same key, so that the old one stays open to it.
        let key = fs_err::read(&places.key_file).unwrap();
        places.init(&host).unwrap();
        assert_eq!(fs_err::read(&places.key_file).unwrap(), key);
        assert_eq!(cause(&places), None);
        assert_eq!(cause(&Places { repository: root.join("away/repository"), ..places }), None);
    }

    #[test]
    fn where_nothing_can_be_noted_a_repository_opens_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let places = Places { password: Some("given".into()), ..places(root) };
        places.open_or_make(&FakeHost::default()).unwrap();
        fs_err::write(root.join("file"), "in its way").unwrap();
        let places = Places { key_file: root.join("file/key"), ..places };
        assert!(places.made().is_err(), "nothing can be noted");
        assert!(places.open().is_ok());
        assert!(places.sheet_shown().is_ok(), "there is nothing to remove");
        let places = Places { make_repository: false, ..places };
        assert!(places.made().is_ok());
    }

    #[test]
    fn a_repository_whose_password_was_given_is_missed_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let places = Places { password: Some("given".into()), ..places(root) };
        places.open_or_make(&FakeHost::default()).unwrap();
        places.sheet_shown().unwrap();
        assert!(!places.key_file.exists());
        fs_err::rename(root.join("disk"), root.join("away")).unwrap();
        let error = places.open_or_make(&FakeHost::default()).err().unwrap();
        assert_eq!(error.cause, Cause::RepositoryGone, "{error}");
        assert!(!root.join("disk").exists());
    }
}
