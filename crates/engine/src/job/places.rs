//! Opening the repository that the places name.

use std::io;

use camino::Utf8PathBuf;
use lifeboat_host::{Host, SecretError, secret};
use lifeboat_repo::{Location, RepoError, Repository};
use secrecy::SecretString;

use super::Places;
use crate::error::{Cause, JobError};
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

    /// Opens the repository.
    pub fn open(&self) -> Result<Repository, JobError> {
        let location = self.location()?;
        // An absent repository is the better message when the key is absent too.
        if !is_there(&location) {
            return Err(RepoError::Missing(self.repository.to_string()).into());
        }
        Ok(Repository::open(&location, &self.repository_password()?, &self.cache)?)
    }

    /// Makes the repository; without a password with a key that is generated and kept in the key file. Its recovery sheet
    /// counts as not yet shown from before it is there.
    pub fn init(&self, host: &dyn Host) -> Result<Repository, JobError> {
        let location = self.location()?;
        if is_there(&location) {
            return Err(RepoError::AlreadyExists(self.repository.to_string()).into());
        }
        self.sheet_not_yet_shown()?;
        let password = match &self.password {
            Some(password) => password.clone(),
            None => self.key(host)?,
        };
        Ok(Repository::init(&location, &password, &self.cache)?)
    }

    /// Opens the repository, or makes it where that was allowed.
    pub fn open_or_make(&self, host: &dyn Host) -> Result<Repository, JobError> {
        match self.open() {
            Err(error) if error.cause == Cause::RepositoryMissing && self.make_repository => {
                self.init(host)
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
        match fs_err::remove_file(self.sheet_mark()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(JobError::of(Cause::Disk, "cannot note that the sheet was shown", &error))
            }
            _ => Ok(()),
        }
    }

    /// The file beside the key that is there as long as nobody has seen the recovery sheet: a run that makes the repository
    /// may fail or be killed before it tells of it.
    fn sheet_mark(&self) -> Utf8PathBuf {
        self.key_file.with_extension("sheet-not-shown")
    }

    fn sheet_not_yet_shown(&self) -> Result<(), JobError> {
        let mark = self.sheet_mark();
        let made = mark.parent().map_or(Ok(()), private_folder).and_then(|()| private_file(&mark));
        made.map(drop).map_err(|error: io::Error| {
            JobError::of(Cause::Disk, "cannot note that the sheet was not shown", &error)
        })
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

fn is_there(location: &Location) -> bool {
    match location {
        Location::Local(folder) => folder.join("config").exists(),
        // Whoever opens it will see.
        _ => true,
    }
}
