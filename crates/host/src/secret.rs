//! Secrets: password files, systemd credentials, passwords that we make.

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Host;

/// Letters of a generated password: none that looks like another, for it is also written down by hand.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The longest password file that is read.
const FILE_LIMIT: u64 = 64 * 1024;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the password file {path}")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no password.
    #[error("the password file {path} is empty")]
    Empty {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The file is too large to be a password.
    #[error("the password file {path} is larger than 64 KiB")]
    TooLarge {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The file is there already.
    #[error("the password file {path} exists already")]
    Exists {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write the password file {path}")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A password that was read from a file.
#[derive(Debug, Clone)]
pub struct PasswordFile {
    /// The password: the file's first line.
    pub password: SecretString,
    /// True when users other than the owner can read the file.
    pub readable_by_others: bool,
}

/// Reads a password from a file: its first line, without the line end and without a byte order mark.
pub fn read_password_file(path: &Utf8Path) -> Result<PasswordFile, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let meta = fs_err::metadata(path).map_err(failed)?;
    let text = crate::read_text(path, FILE_LIMIT).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => SecretError::TooLarge { path: path.to_owned() },
        _ => failed(error),
    })?;
    // Some editors put a mark before the text, which nobody sees or types.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    Ok(PasswordFile {
        password: SecretString::from(line.to_owned()),
        readable_by_others: readable_by_others(&meta),
    })
}

/// Writes a password into a new file that only its owner can read; its folder is made with mode 0700. Nobody ever sees a
/// part of it, and of several who make it at once one succeeds.
pub fn create_password_file(path: &Utf8Path, password: &str) -> Result<(), SecretError> {
    let failed = |source| SecretError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        create_private_folder(parent).map_err(failed)?;
    }
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let line = format!("{password}\n");
    let made = write_private_file(&draft, line.as_bytes()).and_then(|()| {
        match fs_err::hard_link(&draft, path) {
            // Some file systems know no links.
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                write_new_file(path, line.as_bytes())
            }
            other => other,
        }
    });
    let cleared = fs_err::remove_file(&draft);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(SecretError::Exists { path: path.to_owned() });
        }
        other => other.and(cleared).map_err(failed)?,
    }
    sync_folder(path).map_err(failed)
}

fn write_new_file(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = private_options().create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns how a file that only its owner can read is opened to write it.
fn private_options() -> fs_err::OpenOptions {
    let mut options = fs_err::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Writes a file that only its owner can read, over what was there.
pub fn write_private_file(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = private_options().create(true).truncate(true).open(path)?;
    // One that was there may be open to others.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder, and those above it, that only their owner can enter; one that exists is left as it is.
pub fn create_private_folder(path: &Utf8Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Makes a password of 32 letters and digits, in groups of four: 160 bits.
pub fn generate_password(host: &dyn Host) -> SecretString {
    generate_groups(host, 8)
}

/// Makes a password of groups of four letters and digits: 20 bits each.
pub fn generate_groups(host: &dyn Host, groups: usize) -> SecretString {
    let mut bytes = vec![0; groups * 4];
    host.random(&mut bytes);
    let mut password = String::with_capacity(groups * 5);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % 4 == 0 {
            password.push('-');
        }
        password.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    SecretString::from(password)
}

/// Whether a password has the shape of those that [`generate_password`] makes: then nobody guesses it.
pub fn is_generated(password: &SecretString) -> bool {
    let groups: Vec<&str> = password.expose_secret().split('-').collect();
    let is_group =
        |group: &&str| group.len() == 4 && group.bytes().all(|sign| ALPHABET.contains(&sign));
    groups.len() == 8 && groups.iter().all(is_group)
}

/// Returns the file of a systemd credential, when the service was given one of that name.
pub fn systemd_credential(directory: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    let path = directory.join(name);
    path.is_file().then_some(path)
}

#[cfg(unix)]
fn readable_by_others(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    meta.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn readable_by_others(_meta: &std::fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn sync_folder(path: &Utf8Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_str().is_empty() => fs_err::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_path: &Utf8Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::fake::FakeHost;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    #[test]
    fn a_new_password_file_is_private_and_reads_back() {
        let (_dir, path) = folder();
        let file = path.join("config/lifeboat/key");
        create_password_file(&file, "ahoy sailor").unwrap();
        assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs_err::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let read = read_password_file(&file).unwrap();
        assert_eq!(read.password.expose_secret(), "ahoy sailor");
        assert!(!read.readable_by_others);
        assert!(matches!(create_password_file(&file, "other"), Err(SecretError::Exists { .. })));
    }

    #[test]
    fn only_the_first_line_counts_and_others_are_noticed() {
        let (_dir, path) = folder();
        let file = path.join("key");
        fs_err::write(&file, "first\r\nsecond\n").unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let read = read_password_file(&file).unwrap();
        assert_eq!(read.password.expose_secret(), "first");
        assert!(read.readable_by_others);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_password() {
        let (_dir, path) = folder();
        let file = path.join("key");
        fs_err::write(&file, "\u{feff}ahoy\u{feff}\n").unwrap();
        let read = read_password_file(&file).unwrap();
        assert_eq!(read.password.expose_secret(), "ahoy\u{feff}");
        fs_err::write(&file, "\u{feff}\n").unwrap();
        assert!(matches!(read_password_file(&file), Err(SecretError::Empty { .. })));
    }

    #[test]
    fn empty_missing_and_huge_files_are_named() {
        let (_dir, path) = folder();
        let file = path.join("key");
        assert!(matches!(read_password_file(&file), Err(SecretError::Read { .. })));
        fs_err::write(&file, "\n").unwrap();
        assert!(matches!(read_password_file(&file), Err(SecretError::Empty { .. })));
        fs_err::write(&file, vec![b'x'; 65537]).unwrap();
        assert!(matches!(read_password_file(&file), Err(SecretError::TooLarge { .. })));
        let endless = read_password_file(Utf8Path::new("/dev/zero"));
        assert!(matches!(endless, Err(SecretError::TooLarge { .. })));
    }

    #[test]
    fn generated_passwords_can_be_written_down() {
        let host = FakeHost::default();
        let password = generate_password(&host);
        assert!(is_generated(&password));
        for chosen in ["", "ahoy sailor", "aaaa-aaaa", "aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaa1"] {
            assert!(!is_generated(&chosen.into()), "{chosen}");
        }
        let password = password.expose_secret();
        assert_eq!(password.len(), 39);
        assert!(password.split('-').all(|group| group.len() == 4));
        assert!(!password.contains(['l', 'o', '0', '1']));
        assert_ne!(password, generate_password(&host).expose_secret());
        let shorter = generate_groups(&host, 6);
        assert_eq!(shorter.expose_secret().len(), 29);
    }

    #[test]
    fn a_credential_is_found_by_its_name() {
        let (_dir, path) = folder();
        fs_err::write(path.join("lifeboat-repo-password"), "x\n").unwrap();
        assert!(systemd_credential(&path, "lifeboat-repo-password").is_some());
        assert!(systemd_credential(&path, "other").is_none());
    }
}
