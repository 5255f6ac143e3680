//! The pair records that the simulated usbmuxd keeps for hosts, and the identifier of the
//! "computer" it runs on.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use lifeboat_wire::plist_guard;
use plist::{Dictionary, Value};

use crate::memory::{private_folder, write_private};

/// Pair records, a file each.
#[derive(Debug)]
pub(crate) struct Records {
    folder: Utf8PathBuf,
    system_buid: String,
}

impl Records {
    /// Opens the folder, making it and the computer's identifier when they are missing.
    pub(crate) fn open(folder: &Utf8Path) -> io::Result<Self> {
        private_folder(folder)?;
        let path = folder.join("SystemConfiguration.plist");
        let known = match fs::read(&path) {
            Ok(bytes) => plist_guard::parse(&bytes, &plist_guard::Limits::MESSAGE).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let known = known.as_ref().and_then(Value::as_dictionary);
        let buid = known.and_then(|keys| keys.get("SystemBUID")).and_then(Value::as_string);
        let system_buid = if let Some(buid) = buid {
            buid.to_owned()
        } else {
            let buid = uuid::Uuid::new_v4().to_string().to_uppercase();
            let keys = Dictionary::from_iter([("SystemBUID", Value::from(buid.as_str()))]);
            write_private(&path, &plist_guard::to_xml(&Value::Dictionary(keys)))?;
            buid
        };
        Ok(Self { folder: folder.to_owned(), system_buid })
    }

    /// Returns the identifier of this computer.
    pub(crate) fn system_buid(&self) -> &str {
        &self.system_buid
    }

    /// Returns a record.
    pub(crate) fn read(&self, id: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(id)?)
    }

    /// Keeps a record.
    pub(crate) fn save(&self, id: &str, data: &[u8]) -> io::Result<()> {
        write_private(&self.path(id)?, data)
    }

    /// Forgets a record.
    pub(crate) fn delete(&self, id: &str) -> io::Result<()> {
        fs::remove_file(self.path(id)?)
    }

    /// Names of records come from outside: only what an identifier of a phone may look like.
    fn path(&self, id: &str) -> io::Result<Utf8PathBuf> {
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if id.is_empty() || id.len() > 64 || !plain || id == "SystemConfiguration" {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(self.folder.join(format!("{id}.plist")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let records = Records::open(folder).unwrap();
        assert_eq!(Records::open(folder).unwrap().system_buid(), records.system_buid());
        records.save("00008110-001A", b"record").unwrap();
        assert_eq!(records.read("00008110-001A").unwrap(), b"record");
        records.delete("00008110-001A").unwrap();
        assert_eq!(records.read("00008110-001A").unwrap_err().kind(), io::ErrorKind::NotFound);
        for id in ["", "../x", "a/b", "SystemConfiguration", "..", &"a".repeat(65)] {
            assert_eq!(records.save(id, b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
