//! `Manifest.db` of an encrypted backup: opened piece by piece, whatever its size.

use std::io::{Read, Write as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::ManifestError;
use super::db::{MAGIC, told_length};
#[cfg(feature = "build")]
use crate::crypto::Encrypt;
use crate::crypto::{Decrypt, Ending, Key};

/// What is read and written at once.
const STEP: usize = 256 << 10;

/// As much of a file as has a database's header in it, in whole blocks.
const HEAD: u64 = 112;

const BLOCK: u64 = 16;

/// What every write-ahead log begins with; the last bit says in which order its checksums are.
const LOG_MAGIC: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];

/// What came of opening a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsealed {
    /// It was no longer encrypted: some tool has opened it in its place. It was copied.
    WasOpen,
    /// It was decrypted; how it ended. Without padding is as good as with it.
    Opened(Ending),
}

/// Decrypts the manifest at `source` to `target`, which is replaced. A write-ahead log beside it goes along. Memory is bounded.
pub fn unseal(key: &Key, source: &Utf8Path, target: &Utf8Path) -> Result<Unsealed, ManifestError> {
    let mut file = match fs_err::File::open(source) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ManifestError::Missing(source.to_owned()));
        }
        other => other?,
    };
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(HEAD).read_to_end(&mut head)?;
    if head.starts_with(MAGIC) {
        fs_err::copy(source, target)?;
        take_log_along(source, target)?;
        return Ok(Unsealed::WasOpen);
    }
    if length < HEAD {
        return Err(ManifestError::NotADatabase(source.to_owned()));
    }
    if !length.is_multiple_of(BLOCK) {
        return Err(ManifestError::CutOff(length));
    }
    let mut header = Vec::new();
    Decrypt::unpadded(key, head.as_slice()).read_to_end(&mut header)?;
    if !header.starts_with(MAGIC) {
        return Err(ManifestError::WrongKey);
    }
    // What is as long as its header says has no padding, whatever its last page ends with.
    let whole = head.as_slice().chain(file);
    let mut plain = if told_length(&header) == length {
        Decrypt::unpadded(key, whole)
    } else {
        Decrypt::new(key, whole)
    };
    write(&mut plain, target)?;
    take_log_along(source, target)?;
    Ok(Unsealed::Opened(plain.ending()))
}

/// Encrypts a manifest as a device does; without padding, as some have been seen, when `padded` says no.
#[cfg(feature = "build")]
pub fn seal(
    key: &Key,
    padded: bool,
    source: &Utf8Path,
    target: &Utf8Path,
) -> Result<(), ManifestError> {
    let file = fs_err::File::open(source)?;
    let length = if padded { u64::MAX } else { file.metadata()?.len() };
    write(&mut Encrypt::new(key, file).take(length), target)
}

fn write(from: &mut impl Read, target: &Utf8Path) -> Result<(), ManifestError> {
    let mut file = create_private(target)?;
    let mut buffer = vec![0; STEP];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        file.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

/// Makes a file that only its owner may read: what is in it was encrypted.
fn create_private(target: &Utf8Path) -> std::io::Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(target)
}

/// Copies a log in plain text, whose rows would be lost without it. One left over beside the target goes.
fn take_log_along(source: &Utf8Path, target: &Utf8Path) -> Result<(), ManifestError> {
    let log = |path: &Utf8Path| Utf8PathBuf::from(format!("{path}-wal"));
    for stale in [log(target), Utf8PathBuf::from(format!("{target}-shm"))] {
        match fs_err::remove_file(stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let mut head = Vec::new();
    match fs_err::File::open(log(source)) {
        Ok(file) => drop(file.take(4).read_to_end(&mut head)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    if LOG_MAGIC.iter().any(|magic| *magic == head.as_slice()) {
        fs_err::copy(log(source), log(target))?;
    }
    Ok(())
}

#[cfg(feature = "build")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, ManifestDbWriter, Schema};
    use crate::keybag::{ClassKey, Keybag};
    use crate::manifest::{ManifestDb, ManifestPlist};
    use crate::{EntryKind, FileId, MbFile};

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn bytes(digits: &str) -> Vec<u8> {
        hex::decode(digits).unwrap()
    }

    /// A manifest of so many rows.
    fn manifest(path: &Utf8Path, rows: u64) {
        let files: Vec<MbFile> = (0..rows)
            .map(|at| MbFile {
                relative_path: format!("f{at}"),
                mode: 0o100_644,
                size: at,
                ..MbFile::default()
            })
            .collect();
        let rows = files.iter().map(|file| ("HomeDomain", 1, file));
        build::rebuild(path, Schema::Composite, rows).unwrap();
    }

    /// The vector V5 from the password to the plain text, all ten million rounds: some seconds.
    #[test]
    fn v5_end_to_end() {
        let wrapped_key = bytes(
            "0200000097317494343807e690fd1e431413963dc0e3deb4907fb89fa36ce65126d0ea1301381fb3a2941e2f",
        );
        let class = ClassKey {
            class: 2,
            wrap: 2,
            wrapped: Some(bytes(
                "528c9c5171bf8bef1ea397cf29d2a838c90529df02a6ad2f823a1c6f3a5b2040e2a309c520c6a2ab",
            )),
            uuid: vec![2; 16],
            ..ClassKey::default()
        };
        let bag = Keybag {
            version: 5,
            kind: 1,
            uuid: vec![1; 16],
            salt: vec![0; 20],
            rounds: 10_000,
            first_rounds: Some(10_000_000),
            first_salt: Some(vec![0; 20]),
            classes: vec![class],
            ..Keybag::default()
        };
        let plist = ManifestPlist {
            version: "10.0".into(),
            system_domains_version: None,
            date: None,
            is_encrypted: true,
            was_passcode_set: true,
            keybag: Some(bag.encode()),
            manifest_key: Some(wrapped_key.clone()),
            lockdown: plist::Dictionary::new(),
            applications: plist::Dictionary::new(),
            others: plist::Dictionary::new(),
        };
        let plist = ManifestPlist::parse(&plist.encode()).unwrap();
        let bag = plist.parse_keybag().unwrap();
        let derived = bag.derivation().unwrap().derive(b"0000").unwrap();
        assert_eq!(
            hex::encode(*derived),
            "ec8edc160b5745ccae000bfb4787630f322821191fba7eea38feab2c6307cd9b"
        );
        let keys = bag.unlock_with(&derived).unwrap();
        assert_eq!(keys.class(2).map(|key| **key), Some([0; 32]));
        let manifest_key = plist.open_manifest_key(&keys).unwrap().unwrap();
        assert_eq!(*manifest_key, [0; 32]);

        let (_folder, folder) = folder();
        let (plain, sealed, opened) =
            (folder.join("plain"), folder.join("Manifest.db"), folder.join("opened"));
        let file = MbFile {
            relative_path: "Media/Test.txt".into(),
            mode: 33261,
            size: 9,
            modified: 1_628_082_463,
            changed: 1_628_082_509,
            birth: 1_627_974_948,
            encryption_key: Some(wrapped_key),
            protection_class: 2,
            ..MbFile::default()
        };
        let mut writer = ManifestDbWriter::create(&plain, Schema::Classic).unwrap();
        writer.put("MyTestDomain", 0, &file).unwrap();
        writer.finish().unwrap();
        // As in the vector: no padding.
        seal(&manifest_key, false, &plain, &sealed).unwrap();
        assert_eq!(fs_err::metadata(&sealed).unwrap().len() % 4096, 0);
        assert!(matches!(ManifestDb::open(&sealed), Err(ManifestError::NotADatabase(_))));
        unseal(&manifest_key, &sealed, &opened).unwrap();
        let (rows, _) = ManifestDb::open(&opened).unwrap().rows().unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.file_id.to_string(), "5727bd1c5fa1055e15d8b4a75a74793c84b5ffdc");
        assert_eq!(row.file_id, FileId::of("MyTestDomain", "Media/Test.txt"));
        assert_eq!((row.flags, row.kind), (0, EntryKind::File));
        let record = row.file.as_ref().unwrap();
        assert_eq!(record, &file);
        let key = crate::keybag::WrappedKey::parse(record.encryption_key.as_ref().unwrap());
        let key = keys.open(&key.unwrap()).unwrap();
        let mut text = String::new();
        let payload = bytes("78b51ca5374c3ad575174288688cda49");
        Decrypt::new(&key, payload.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "Test data");
    }

    #[test]
    fn a_manifest_comes_back_with_padding_without_and_with_too_much() {
        let (_folder, folder) = folder();
        let (plain, sealed, opened) =
            (folder.join("plain"), folder.join("sealed"), folder.join("opened"));
        let key = Key::new([5; 32]);
        // Larger than what is worked on at once.
        manifest(&plain, 3000);
        let whole = fs_err::read(&plain).unwrap();
        assert!(whole.len() > STEP);
        for (padded, more, ending) in [(true, 16, Ending::Padded), (false, 0, Ending::Unpadded)] {
            seal(&key, padded, &plain, &sealed).unwrap();
            assert_eq!(fs_err::metadata(&sealed).unwrap().len(), whole.len() as u64 + more);
            fs_err::write(format!("{opened}-wal"), b"of an older try").unwrap();
            assert_eq!(unseal(&key, &sealed, &opened).unwrap(), Unsealed::Opened(ending));
            assert!(fs_err::read(&opened).unwrap() == whole);
            assert_eq!(ManifestDb::open(&opened).unwrap().count().unwrap(), 3000);
        }
        // A last page that ends like padding is content all the same.
        let mut odd = whole.clone();
        *odd.last_mut().unwrap() = 1;
        fs_err::write(&plain, &odd).unwrap();
        seal(&key, false, &plain, &sealed).unwrap();
        unseal(&key, &sealed, &opened).unwrap();
        assert!(fs_err::read(&opened).unwrap() == odd);
        // A tool has decrypted it in its place.
        fs_err::write(&sealed, &whole).unwrap();
        assert_eq!(unseal(&key, &sealed, &opened).unwrap(), Unsealed::WasOpen);
        assert!(fs_err::read(&opened).unwrap() == whole);
    }

    #[test]
    fn damage_and_other_keys_are_told_apart() {
        let (_folder, folder) = folder();
        let (plain, sealed, opened) =
            (folder.join("plain"), folder.join("sealed"), folder.join("opened"));
        let key = Key::new([5; 32]);
        manifest(&plain, 50);
        seal(&key, true, &plain, &sealed).unwrap();
        let open = |key: &Key| unseal(key, &sealed, &opened).unwrap_err();
        assert!(matches!(open(&Key::new([6; 32])), ManifestError::WrongKey));
        let whole = fs_err::read(&sealed).unwrap();
        fs_err::write(&sealed, &whole[..whole.len() - 5]).unwrap();
        assert!(matches!(open(&key), ManifestError::CutOff(_)));
        fs_err::write(&sealed, &whole[..96]).unwrap();
        assert!(matches!(open(&key), ManifestError::NotADatabase(_)));
        fs_err::write(&sealed, &whole[..4096]).unwrap();
        unseal(&key, &sealed, &opened).unwrap();
        assert!(matches!(ManifestDb::open(&opened), Err(ManifestError::Truncated { .. })));
        fs_err::remove_file(&sealed).unwrap();
        assert!(matches!(open(&key), ManifestError::Missing(_)));
    }

    #[test]
    fn rows_in_a_log_beside_it_are_not_lost() {
        let (_folder, folder) = folder();
        let (plain, sealed, opened) =
            (folder.join("plain"), folder.join("sealed"), folder.join("opened"));
        let key = Key::new([5; 32]);
        manifest(&plain, 3);
        let db = rusqlite::Connection::open(&plain).unwrap();
        db.execute("DELETE FROM Files WHERE relativePath = 'f1'", []).unwrap();
        fs_err::copy(format!("{plain}-wal"), format!("{sealed}-wal")).unwrap();
        seal(&key, true, &plain, &sealed).unwrap();
        unseal(&key, &sealed, &opened).unwrap();
        assert_eq!(ManifestDb::open(&opened).unwrap().count().unwrap(), 2);
        fs_err::write(format!("{sealed}-wal"), b"no log").unwrap();
        unseal(&key, &sealed, &opened).unwrap();
        assert_eq!(ManifestDb::open(&opened).unwrap().count().unwrap(), 3);
        drop(db);
    }
}
