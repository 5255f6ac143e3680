//! Files that remember their names and sizes and forget their bytes, except for the control files, which a phone
//! reads back.

use std::collections::BTreeMap;
use std::io::Cursor;

use lifeboat_device::mobilebackup2::{
    DirectoryEntry, DirectoryEntryKind, FileError, FileSource, HostFiles, HostPath,
};

/// More than any job needs, so that no phone asks for room.
const FREE: u64 = 1 << 42;

/// A file.
#[derive(Clone, Default)]
struct File {
    size: u64,
    kept: Option<Vec<u8>>,
}

/// All files, by path; a folder is a path with no file.
#[derive(Default)]
pub(crate) struct Discard {
    files: BTreeMap<String, Option<File>>,
    incoming: Option<(String, File)>,
}

fn is_control(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("plist" | "db"))
}

impl Discard {
    fn below<'a>(
        &'a self,
        path: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Option<File>)> + use<'a> {
        let folder = format!("{path}/");
        // '0' is the character after '/'.
        let end = format!("{path}0");
        self.files.range(folder..end)
    }

    fn copy_tree(&self, from: &str, to: &str) -> Vec<(String, Option<File>)> {
        let mut items: Vec<_> =
            self.files.get(from).map(|file| (to.to_owned(), file.clone())).into_iter().collect();
        items.extend(self.below(from).filter_map(|(path, file)| {
            path.strip_prefix(from).map(|rest| (format!("{to}{rest}"), file.clone()))
        }));
        items
    }
}

impl HostFiles for Discard {
    fn open(&mut self, path: &HostPath) -> Result<FileSource, FileError> {
        let file = self.files.get(path.as_str()).ok_or(FileError::NotFound)?;
        let file = file.as_ref().ok_or(FileError::IsADirectory)?;
        let kept = file.kept.clone().ok_or(FileError::Unsupported)?;
        Ok(FileSource { size: file.size, reader: Box::new(Cursor::new(kept)) })
    }

    fn begin(&mut self, path: &HostPath) -> Result<(), FileError> {
        let kept = is_control(path.as_str()).then(Vec::new);
        self.incoming = Some((path.as_str().to_owned(), File { size: 0, kept }));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), FileError> {
        let (_, file) = self.incoming.as_mut().ok_or(FileError::NotFound)?;
        file.size += u64::try_from(data.len()).unwrap_or(u64::MAX);
        if let Some(kept) = &mut file.kept {
            kept.extend_from_slice(data);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), FileError> {
        let (path, file) = self.incoming.take().ok_or(FileError::NotFound)?;
        self.files.insert(path, Some(file));
        Ok(())
    }

    fn abandon(&mut self) {
        self.incoming = None;
    }

    fn list(&mut self, path: &HostPath) -> Result<Vec<DirectoryEntry>, FileError> {
        if !self.files.contains_key(path.as_str()) {
            return Err(FileError::NotFound);
        }
        let prefix = path.as_str().len() + 1;
        let entries = self.below(path.as_str()).filter_map(|(path, file)| {
            let name = path.get(prefix..).filter(|name| !name.contains('/'))?;
            let kind = if file.is_some() {
                DirectoryEntryKind::File
            } else {
                DirectoryEntryKind::Directory
            };
            let size = file.as_ref().map_or(0, |file| file.size);
            Some(DirectoryEntry { name: name.to_owned(), kind, size, modified: 0 })
        });
        Ok(entries.collect())
    }

    fn create_directory(&mut self, path: &HostPath) -> Result<(), FileError> {
        self.files.entry(path.as_str().to_owned()).or_default();
        Ok(())
    }

    fn rename(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError> {
        self.copy(from, to)?;
        self.remove(from)
    }

    fn remove(&mut self, path: &HostPath) -> Result<(), FileError> {
        let found = self.files.remove(path.as_str());
        let below: Vec<String> = self.below(path.as_str()).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.files.remove(&path);
        }
        found.map(drop).ok_or(FileError::NotFound)
    }

    fn copy(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError> {
        if !self.files.contains_key(from.as_str()) {
            return Err(FileError::NotFound);
        }
        let items = self.copy_tree(from.as_str(), to.as_str());
        self.files.extend(items);
        Ok(())
    }

    fn free_bytes(&mut self) -> Result<u64, FileError> {
        Ok(FREE)
    }

    fn purge(&mut self, _bytes: u64) -> Result<u64, FileError> {
        Err(FileError::Unsupported)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        Ok(())
    }
}
