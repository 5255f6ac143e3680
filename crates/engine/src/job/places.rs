//! Opening the repository that the places name.

use camino::Utf8PathBuf;
use lifeboat_host::{Host, SecretError, secret};
use lifeboat_repo::{Location, RepoError, Repository};
use secrecy::SecretString;

use super::Places;
use crate::error::{Cause, JobError};

/// A repository, and whether this made it.
pub struct OpenedRepository {
    /// The repository.
    pub repository: Repository,
    /// Whether it was made just now.
    pub made: bool,
}

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

    /// Makes the repository; without a password with a key that is generated and kept in the key file.
    pub fn init(&self, host: &dyn Host) -> Result<Repository, JobError> {
        let location = self.location()?;
        if is_there(&location) {
            return Err(RepoError::AlreadyExists(self.repository.to_string()).into());
        }
        let password = match &self.password {
            Some(password) => password.clone(),
            None => self.key(host)?,
        };
        Ok(Repository::init(&location, &password, &self.cache)?)
    }

    /// Opens the repository, or makes it where that was allowed.
    pub fn open_or_make(&self, host: &dyn Host) -> Result<OpenedRepository, JobError> {
        match self.open() {
            Ok(repository) => Ok(OpenedRepository { repository, made: false }),
            Err(error) if error.cause == Cause::RepositoryMissing && self.make_repository => {
                Ok(OpenedRepository { repository: self.init(host)?, made: true })
            }
            Err(error) => Err(error),
        }
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
