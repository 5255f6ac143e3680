//! The journal of a run: every change to the working tree, one line each, so that a run that breaks goes on where it stopped.
//!
//! A line is a checksum and a JSON object. A line that is torn ends the journal: what stands before it happened, what
//! stands after it did not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, Read as _, Seek as _, SeekFrom, Write};

use camino::Utf8Path;
use fs_err::File;
use serde::{Deserialize, Serialize};

use crate::layout::CONTROL;

/// The version of the journal's format.
pub(crate) const FORMAT: u32 = 2;

/// Where the bytes of a received file lie in the working area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// Where in it they begin.
    pub(crate) offset: u64,
    /// Their CRC-32.
    pub(crate) sum: u32,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(crate) enum Record {
    /// The first line: what the tree stood on when the run began.
    Begin {
        /// The version of the format.
        format: u32,
        /// The device.
        udid: String,
        /// The snapshot that was presented; `None` for an empty tree.
        base: Option<String>,
        /// The machine's boot, to know whether the system was restarted meanwhile.
        boot: String,
    },
    /// A later run goes on here.
    Resume {
        /// The machine's boot.
        boot: String,
    },
    /// A file arrived whole.
    Put {
        /// Where.
        path: String,
        /// Its number in the working area.
        number: u64,
        /// Its size.
        size: u64,
        /// When, Unix seconds.
        modified: i64,
        /// Where its bytes lie in the working area; `None` where they went straight into packs.
        place: Option<Place>,
    },
    /// A folder was made.
    Mkdir {
        /// Where.
        path: String,
    },
    /// Something was moved.
    Move {
        /// From where.
        from: String,
        /// Where to.
        to: String,
    },
    /// Something was removed.
    Remove {
        /// Where.
        path: String,
    },
    /// Something was copied.
    Copy {
        /// From where.
        from: String,
        /// Where to.
        to: String,
    },
    /// A received file lies in the repository's packs for good; the working area may forget its bytes.
    Packed {
        /// Its number.
        number: u64,
        /// The blobs, in order.
        blobs: Vec<String>,
        /// SHA-1 of its bytes.
        sha1: String,
    },
    /// The repository grew by so many bytes for this snapshot, those of earlier parts of the run included.
    Added {
        /// The bytes.
        bytes: u64,
    },
    /// What came is no whole backup: a run that is told to start over does not go on with it.
    Refused,
    /// Every file in the working area up to this number is on the disk for good.
    Synced {
        /// The highest number.
        number: u64,
    },
}

impl Record {
    /// Returns the number of a received file that it speaks of.
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Put { number, .. } | Self::Packed { number, .. } | Self::Synced { number } => {
                Some(*number)
            }
            _ => None,
        }
    }

    /// Whether it says that something of a backup arrived: Info.plist is the host's own, and `Manifest.plist` comes straight to its
    /// place only where the device changes its password.
    fn is_arrival(&self) -> bool {
        let Self::Put { path, .. } = self else { return false };
        let mut parts = path.rsplit('/');
        match parts.next() {
            Some("Info.plist") => false,
            Some("Manifest.plist") => parts.next() == Some("Snapshot"),
            _ => true,
        }
    }
}

/// Whether a journal tells of something that a device sent, were it only its status; looks only as far as it must, and changes
/// nothing.
pub(crate) fn tells_of_the_device(path: &Utf8Path) -> bool {
    records(path).is_some_and(|mut records| records.any(|record| record.is_arrival()))
}

/// Whether a journal still has a file of the device's; changes nothing.
pub(crate) fn keeps_something(path: &Utf8Path, boot: &str) -> bool {
    let Some(records) = records(path) else { return false };
    let mut payloads = Payloads::default();
    records.for_each(|record| payloads.take(&record));
    payloads.is_some_left(boot)
}

/// Reads the whole records of a journal, one after the other.
fn records(path: &Utf8Path) -> Option<impl Iterator<Item = Record>> {
    let mut lines = std::io::BufReader::new(File::open(path).ok()?);
    let mut line = Vec::new();
    Some(std::iter::from_fn(move || {
        line.clear();
        lines.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
        parse_line(&line)
    }))
}

/// The device's files that a journal tells of, without those that steer a backup.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    /// By path their numbers.
    names: BTreeMap<String, u64>,
    /// Those that lie in the repository's packs for good.
    packed: BTreeSet<u64>,
    /// Up to here a power cut takes none.
    synced: u64,
    boots: BTreeSet<String>,
}

impl Payloads {
    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &Record) {
        match record {
            Record::Begin { boot, .. } | Record::Resume { boot } => {
                self.boots.insert(boot.clone());
            }
            Record::Put { path, .. } if is_control(path) => {}
            Record::Put { path, number, .. } => {
                self.names.insert(path.clone(), *number);
            }
            Record::Move { from, to } => {
                let moved = self.below(from);
                self.remove(from);
                self.put(from, to, moved);
            }
            Record::Copy { from, to } => {
                let copied = self.below(from);
                self.put(from, to, copied);
            }
            Record::Remove { path } => self.remove(path),
            Record::Packed { number, .. } => {
                self.packed.insert(*number);
            }
            Record::Synced { number } => self.synced = *number,
            Record::Mkdir { .. } | Record::Added { .. } | Record::Refused => {}
        }
    }

    /// Whether one of them still has its bytes, as far as the journal knows; `boot` is the machine's boot now.
    pub(crate) fn is_some_left(&self, boot: &str) -> bool {
        // A machine that does not tell its boots may have been restarted.
        let same_boot = !boot.is_empty() && self.boots.iter().all(|then| then == boot);
        self.names
            .values()
            .any(|number| same_boot || *number <= self.synced || self.packed.contains(number))
    }

    /// Returns what lies at a path and below it.
    fn below(&self, path: &str) -> Vec<(String, u64)> {
        let folder = format!("{path}/");
        let inside = self.names.range(folder.clone()..);
        let inside = inside.take_while(|(name, _)| name.starts_with(&folder));
        let found = self.names.get_key_value(path).into_iter().chain(inside);
        found.map(|(name, number)| (name.clone(), *number)).collect()
    }

    fn remove(&mut self, path: &str) {
        for (name, _) in self.below(path) {
            self.names.remove(&name);
        }
    }

    fn put(&mut self, from: &str, to: &str, names: Vec<(String, u64)>) {
        if from != to {
            self.remove(to);
        }
        for (name, number) in names {
            let rest = name.strip_prefix(from).unwrap_or_default();
            self.names.insert(format!("{to}{rest}"), number);
        }
    }
}

/// Whether a path names a file that steers a backup.
pub(crate) fn is_control(path: &str) -> bool {
    CONTROL.contains(&path.rsplit('/').next().unwrap_or_default())
}

/// A file that can be cut off.
pub(crate) trait Cut {
    /// Takes away what stands behind so many bytes, and goes on writing there.
    fn cut(&mut self, length: u64) -> std::io::Result<()>;
}

impl Cut for File {
    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }
}

/// A journal open for writing.
#[derive(Debug)]
pub(crate) struct Journal<F = File> {
    file: F,
    /// How many bytes its whole lines take.
    whole: u64,
    /// Whether something stands behind them: a line that could not be written to its end.
    torn: bool,
}

impl Journal {
    /// Opens a journal, or makes one; returns it with the records that are whole. A torn end is cut off.
    pub(crate) fn open(path: &Utf8Path) -> std::io::Result<(Self, Vec<Record>)> {
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).create(true);
        #[cfg(unix)]
        {
            use fs_err::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (records, whole) = parse(&bytes);
        let whole = whole as u64;
        if whole < bytes.len() as u64 {
            file.cut(whole)?;
        }
        file.seek(SeekFrom::Start(whole))?;
        Ok((Self { file, whole, torn: false }, records))
    }

    /// Waits until everything written so far survives a power cut.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }
}

impl<F: Write + Cut> Journal<F> {
    /// Writes one record; it survives the end of this process from here on. Of one that cannot be written to its end (a full
    /// disk) nothing stays: it would end the journal for all that come later.
    pub(crate) fn append(&mut self, record: &Record) -> std::io::Result<()> {
        let line = line(record)?;
        if self.torn {
            self.file.cut(self.whole)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(&line) {
            // Where even that fails, it is tried again before the next line.
            self.torn = self.file.cut(self.whole).is_err();
            return Err(error);
        }
        self.whole += line.len() as u64;
        Ok(())
    }
}

/// FNV-1a: finds a torn line; it is not meant against malice.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn line(record: &Record) -> std::io::Result<Vec<u8>> {
    let json = serde_json::to_vec(record)?;
    let mut line = format!("{:016x} ", checksum(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

/// Returns the whole records and how many bytes they take.
fn parse(bytes: &[u8]) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let mut whole = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(record) = parse_line(line) else { break };
        records.push(record);
        whole += line.len();
    }
    (records, whole)
}

/// Hands bytes to the reader, as they are and as a line whose checksum is right; what was read is written and comes back.
/// For the fuzz target.
pub(crate) fn try_read(bytes: &[u8]) {
    let checked = [format!("{:016x} ", checksum(bytes)).as_bytes(), bytes, b"\n"].concat();
    for bytes in [bytes, &checked] {
        let (records, whole) = parse(bytes);
        assert!(whole <= bytes.len(), "no more is read than there is");
        let again: Vec<u8> =
            records.iter().filter_map(|record| line(record).ok()).flatten().collect();
        assert_eq!(parse(&again), (records, again.len()), "a journal comes back");
    }
}

fn parse_line(line: &[u8]) -> Option<Record> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(16)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if sum != checksum(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> Vec<Record> {
        vec![
            Record::Begin { format: FORMAT, udid: "u".into(), base: None, boot: "b".into() },
            Record::Mkdir { path: "u/Snapshot".into() },
            Record::Put {
                path: "u/ä\n\"".into(),
                number: 1,
                size: 2,
                modified: -3,
                place: Some(Place { segment: 1, offset: 5, sum: 7 }),
            },
            Record::Put { path: "u/straight".into(), number: 2, size: 2, modified: 3, place: None },
            Record::Packed { number: 1, blobs: vec!["00".into()], sha1: "00".into() },
            Record::Move { from: "a".into(), to: "b".into() },
            Record::Synced { number: 1 },
        ]
    }

    #[test]
    fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("journal");
        let lines: Vec<Vec<u8>> = records().iter().map(|record| line(record).unwrap()).collect();
        let all = lines.concat();
        for cut in 0..=all.len() {
            fs_err::write(&path, &all[..cut]).unwrap();
            let (mut journal, found) = Journal::open(&path).unwrap();
            let mut whole = 0;
            let count = lines
                .iter()
                .take_while(|line| {
                    whole += line.len();
                    whole <= cut
                })
                .count();
            assert_eq!(
                found,
                records().into_iter().take(count).collect::<Vec<_>>(),
                "cut at {cut}"
            );
            journal.append(&Record::Mkdir { path: "after".into() }).unwrap();
            let (_, again) = Journal::open(&path).unwrap();
            assert_eq!(again.len(), count + 1);
        }
    }

    /// A disk with so many bytes of room, that refuses to be cut for a while.
    struct Small {
        bytes: Vec<u8>,
        room: usize,
        stubborn: u32,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let count = bytes.len().min(self.room - self.bytes.len());
            if count == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Cut for Small {
        fn cut(&mut self, length: u64) -> std::io::Result<()> {
            if self.stubborn > 0 {
                self.stubborn -= 1;
                return Err(std::io::ErrorKind::Other.into());
            }
            self.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_tore_does_not_hide_what_comes_after_it() {
        let all = records();
        let first = line(&all[0]).unwrap().len();
        let long = Record::Mkdir { path: "x".repeat(100) };
        for (room, stubborn) in (0..120).flat_map(|room| [(room, 0), (room, 1)]) {
            let file = Small { bytes: Vec::new(), room: first + room, stubborn };
            let mut journal = Journal { file, whole: 0, torn: false };
            journal.append(&all[0]).unwrap();
            journal.append(&long).unwrap_err();
            // Something was thrown away, and there is room again.
            journal.file.room = 10_000;
            for record in &all[1..] {
                journal.append(record).unwrap();
            }
            assert_eq!(
                parse(&journal.file.bytes),
                (all.clone(), journal.file.bytes.len()),
                "{room}"
            );
        }
    }

    fn record() -> impl Strategy<Value = Record> {
        let text = || "\\PC{0,20}";
        let place = (any::<u64>(), any::<u64>(), any::<u32>())
            .prop_map(|(segment, offset, sum)| Place { segment, offset, sum });
        prop_oneof![
            (any::<u32>(), text(), prop::option::of(text()), text())
                .prop_map(|(format, udid, base, boot)| Record::Begin { format, udid, base, boot }),
            text().prop_map(|boot| Record::Resume { boot }),
            (text(), any::<u64>(), any::<u64>(), any::<i64>(), prop::option::of(place)).prop_map(
                |(path, number, size, modified, place)| Record::Put {
                    path,
                    number,
                    size,
                    modified,
                    place
                }
            ),
            text().prop_map(|path| Record::Mkdir { path }),
            (text(), text()).prop_map(|(from, to)| Record::Move { from, to }),
            text().prop_map(|path| Record::Remove { path }),
            (text(), text()).prop_map(|(from, to)| Record::Copy { from, to }),
            (any::<u64>(), prop::collection::vec(text(), 0..3), text())
                .prop_map(|(number, blobs, sha1)| Record::Packed { number, blobs, sha1 }),
            Just(Record::Refused),
            any::<u64>().prop_map(|number| Record::Synced { number }),
        ]
    }

    proptest! {
        #[test]
        fn every_journal_comes_back(records in prop::collection::vec(record(), 0..10)) {
            let bytes: Vec<u8> = records.iter().flat_map(|record| line(record).unwrap()).collect();
            prop_assert_eq!(parse(&bytes), (records, bytes.len()));
        }

        #[test]
        fn noise_behind_a_right_checksum_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            try_read(&noise);
        }

        #[test]
        fn noise_never_panics_and_a_flipped_bit_ends_it(noise in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8u32) {
            drop(parse(&noise));
            let mut bytes = records().iter().flat_map(|record| line(record).unwrap()).collect::<Vec<_>>();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let (found, whole) = parse(&bytes);
            prop_assert!(whole <= at || found.len() == records().len());
            prop_assert_eq!(&found[..], &records()[..found.len()]);
        }
    }
}
