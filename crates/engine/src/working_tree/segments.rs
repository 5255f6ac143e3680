//! The bytes of received files: appended to a few large files, so that thousands of small ones cost no more than their bytes.
//!
//! A segment is only ever appended to, and only by the run that began it; what lies where, the journal says. It goes when
//! nothing in it is needed any more. Files that steer a backup have a segment each, so that they can be opened in place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::area::{absent_is_fine, private_file, private_folder, sync_folder};

/// A segment of at least this many bytes is ended.
const ENOUGH: u64 = 64 << 20;

/// Where the bytes of a received file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// Where in it they begin.
    pub(crate) offset: u64,
    /// How many they are.
    pub(crate) size: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct Current {
    number: u64,
    file: fs::File,
    /// Where its last whole file ends.
    end: u64,
}

/// The segments of a working area.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: Utf8PathBuf,
    current: Option<Current>,
    next: u64,
    /// How many needed files each has.
    needed: BTreeMap<u64, u64>,
    /// Written to and not yet made durable.
    dirty: BTreeSet<u64>,
    /// Nothing in them is needed.
    waste: Vec<u64>,
}

/// Returns the path of a segment.
pub(crate) fn path(folder: &Utf8Path, segment: u64) -> Utf8PathBuf {
    folder.join(segment.to_string())
}

/// Opens the bytes of a file.
pub(crate) fn open(folder: &Utf8Path, span: Span) -> io::Result<io::Take<fs::File>> {
    let mut file = fs::File::open(path(folder, span.segment))?;
    file.seek(SeekFrom::Start(span.offset))?;
    Ok(file.take(span.size))
}

/// Returns the numbers of the segments that are there.
pub(crate) fn numbers(folder: &Utf8Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Segments {
    /// Makes the table of a folder's segments; what is there already is never appended to.
    pub(crate) fn new(folder: Utf8PathBuf) -> io::Result<Self> {
        let next = numbers(&folder)?.last().map_or(1, |last| last + 1);
        Ok(Self {
            folder,
            current: None,
            next,
            needed: BTreeMap::new(),
            dirty: BTreeSet::new(),
            waste: Vec::new(),
        })
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Makes ready for the bytes of a file; `alone` gives it a segment of its own.
    pub(crate) fn begin(&mut self, alone: bool) -> io::Result<()> {
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.end > 0 && (alone || current.end >= ENOUGH))
        {
            self.end();
        }
        if self.current.is_none() {
            private_folder(&self.folder)?;
            let file = private_file(&path(&self.folder, self.next))?;
            self.current = Some(Current { number: self.next, file, end: 0 });
            self.next += 1;
        }
        Ok(())
    }

    /// Appends bytes of the file.
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let current = self.current.as_mut().ok_or(io::ErrorKind::NotFound)?;
        self.dirty.insert(current.number);
        current.file.write_all(data)
    }

    /// Opens what came so far of the file that is being received.
    pub(crate) fn unfinished(&self, size: u64) -> io::Result<impl Read + use<>> {
        let current = self.current.as_ref().ok_or(io::ErrorKind::NotFound)?;
        open(&self.folder, Span { segment: current.number, offset: current.end, size })
    }

    /// Ends a file of this size; it is needed until it is released.
    pub(crate) fn finish(&mut self, size: u64, alone: bool) -> io::Result<Span> {
        let current = self.current.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let span = Span { segment: current.number, offset: current.end, size };
        current.end += size;
        self.keep(span);
        if alone {
            self.end();
        }
        Ok(span)
    }

    /// Forgets what came of a file that is not whole.
    pub(crate) fn abandon(&mut self) {
        let Some(current) = &mut self.current else { return };
        let cut = current.file.set_len(current.end);
        if cut.and_then(|()| current.file.seek(SeekFrom::Start(current.end))).is_err() {
            // Whatever lies at its end, nothing comes after it.
            self.end();
        }
    }

    /// Ends the segment that is being written.
    pub(crate) fn end(&mut self) {
        let Some(current) = self.current.take() else { return };
        if !self.needed.contains_key(&current.number) {
            self.waste.push(current.number);
        }
    }

    /// Takes a file that lies here for needed.
    pub(crate) fn keep(&mut self, span: Span) {
        *self.needed.entry(span.segment).or_default() += 1;
    }

    /// A file is needed no more.
    pub(crate) fn release(&mut self, span: Span) {
        let Some(count) = self.needed.get_mut(&span.segment) else { return };
        *count = count.saturating_sub(1);
        if *count > 0 {
            return;
        }
        self.needed.remove(&span.segment);
        if self.current.as_ref().is_none_or(|current| current.number != span.segment) {
            self.waste.push(span.segment);
        }
    }

    /// Removes what is not needed.
    pub(crate) fn collect(&mut self) {
        for number in std::mem::take(&mut self.waste) {
            self.dirty.remove(&number);
            let _gone = fs::remove_file(path(&self.folder, number));
        }
    }

    /// Removes every segment of earlier runs that nothing needs.
    pub(crate) fn collect_leftovers(&mut self) -> io::Result<()> {
        for number in numbers(&self.folder)? {
            if !self.needed.contains_key(&number) {
                absent_is_fine(fs::remove_file(path(&self.folder, number)))?;
            }
        }
        Ok(())
    }

    /// Waits until everything that was written survives a power cut.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        for number in &self.dirty {
            match &self.current {
                Some(current) if current.number == *number => current.file.sync_data()?,
                _ => absent_is_fine(
                    fs::OpenOptions::new()
                        .write(true)
                        .open(path(&self.folder, *number))
                        .and_then(|file| file.sync_data()),
                )?,
            }
        }
        sync_folder(&self.folder)?;
        self.dirty.clear();
        Ok(())
    }

    /// Returns the path of a file's bytes where nothing else lies beside them.
    pub(crate) fn alone(&self, span: Span) -> Option<Utf8PathBuf> {
        let path = path(&self.folder, span.segment);
        let length = fs::metadata(&path).ok()?.len();
        (span.offset == 0 && length == span.size).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(segments: &mut Segments, bytes: &[u8], alone: bool) -> Span {
        segments.begin(alone).unwrap();
        segments.write(bytes).unwrap();
        segments.finish(bytes.len() as u64, alone).unwrap()
    }

    fn bytes(segments: &Segments, span: Span) -> Vec<u8> {
        let mut bytes = Vec::new();
        open(segments.folder(), span).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn files_share_a_segment_and_it_goes_with_the_last_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap().join("files");
        let mut segments = Segments::new(folder.clone()).unwrap();
        let first = put(&mut segments, b"first", false);
        segments.begin(false).unwrap();
        segments.write(b"torn").unwrap();
        segments.abandon();
        let second = put(&mut segments, b"second", false);
        let alone = put(&mut segments, b"alone", true);
        let third = put(&mut segments, b"", false);
        assert_eq!((first.segment, second.offset), (second.segment, 5));
        for (span, expected) in
            [(first, &b"first"[..]), (second, b"second"), (alone, b"alone"), (third, b"")]
        {
            assert_eq!(bytes(&segments, span), expected);
        }
        assert_eq!(segments.alone(alone), Some(path(&folder, 2)));
        assert_eq!(segments.alone(first), None);
        segments.sync().unwrap();
        segments.release(first);
        segments.collect();
        assert_eq!(numbers(&folder).unwrap(), [1, 2, 3]);
        segments.release(second);
        segments.release(third);
        segments.collect();
        // The one being written stays.
        assert_eq!(numbers(&folder).unwrap(), [2, 3]);
        drop(segments);
        let mut segments = Segments::new(folder.clone()).unwrap();
        segments.keep(alone);
        segments.collect_leftovers().unwrap();
        assert_eq!(put(&mut segments, b"next", false).segment, 4);
        assert_eq!(numbers(&folder).unwrap(), [2, 4]);
    }
}
