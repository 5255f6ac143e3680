//! Where a backup password is given without being asked for.

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_host::secret;
use secrecy::SecretString;

use super::Environment;

/// A backup password that somebody gives: a file, else a systemd credential, else a variable, as other programs have it.
#[derive(Debug, Clone)]
pub(crate) struct BackupPassword {
    /// The variable; with `_FILE` behind it that of the file.
    pub(crate) name: &'static str,
    /// The file, where one is named.
    pub(crate) file: Option<Utf8PathBuf>,
    /// What the variable holds, where there is no file.
    pub(crate) value: Option<SecretString>,
}

impl BackupPassword {
    pub(super) fn new(environment: &Environment, name: &'static str, credential: &str) -> Self {
        let file = environment.get(&format!("{name}_FILE")).map(Utf8PathBuf::from).or_else(|| {
            let folder = environment.get("CREDENTIALS_DIRECTORY").map(Utf8Path::new)?;
            secret::systemd_credential(folder, credential)
        });
        let value = environment.get(name).filter(|_| file.is_none());
        Self { name, file, value: value.map(|value| SecretString::from(value.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_file_comes_before_a_credential_which_comes_before_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let credentials = ("CREDENTIALS_DIRECTORY", folder.as_str());
        let variable = ("BACKUP_PASSWORD", "a word");
        let file = ("BACKUP_PASSWORD_FILE", "/a/file");
        let of = |environment: Environment| {
            let given = BackupPassword::new(&environment, "BACKUP_PASSWORD", "backup");
            assert!(!format!("{given:?}").contains("a word"));
            (given.file, given.value.map(|value| value.expose_secret().to_owned()))
        };
        assert_eq!(of([credentials].into()), (None, None));
        assert_eq!(of([credentials, variable].into()), (None, Some("a word".to_owned())));
        fs_err::write(folder.join("backup"), "x").unwrap();
        assert_eq!(of([credentials, variable].into()), (Some(folder.join("backup")), None));
        assert_eq!(of([credentials, variable, file].into()), (Some("/a/file".into()), None));
    }
}
