use std::collections::BTreeMap;

use super::*;
use crate::file::MbFile;

#[derive(Default)]
struct Memory(BTreeMap<FileId, Vec<u8>>);

impl Payloads for Memory {
    fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        Ok(self.0.get(id).map(|bytes| bytes.len() as u64))
    }

    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.0.get(id).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }

    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()> {
        self.0.iter().for_each(|(id, bytes)| visit(*id, bytes.len() as u64));
        Ok(())
    }
}

fn row(path: &str, kind: EntryKind, content: &[u8]) -> Row {
    let mode = match kind {
        EntryKind::File => 0o100_644,
        EntryKind::Directory => 0o040_755,
        EntryKind::Symlink => 0o120_755,
    };
    let file = MbFile {
        relative_path: path.into(),
        mode,
        size: content.len() as u64,
        digest: (kind == EntryKind::File).then(|| Sha1::digest(content).to_vec()),
        ..MbFile::default()
    };
    Row {
        file_id: FileId::of("HomeDomain", path),
        domain: "HomeDomain".into(),
        relative_path: path.into(),
        flags: kind.flags(),
        kind,
        raw: file.encode(),
        file: Some(file),
    }
}

fn sound() -> (Vec<Row>, Memory) {
    let rows = vec![
        row("Library/a", EntryKind::File, b"content"),
        row("Library/empty", EntryKind::File, b""),
        row("", EntryKind::Directory, b""),
        row("Library", EntryKind::Directory, b""),
        row("Library/link", EntryKind::Symlink, b""),
    ];
    let mut payloads = Memory::default();
    payloads.0.insert(rows[0].file_id, b"content".to_vec());
    payloads.0.insert(rows[1].file_id, Vec::new());
    (rows, payloads)
}

fn problems(rows: &[Row], payloads: &Memory) -> Vec<Problem> {
    verify(rows, payloads).unwrap().findings.into_iter().map(|finding| finding.problem).collect()
}

#[test]
fn a_sound_backup_is_sound() {
    let (rows, mut payloads) = sound();
    payloads.0.insert(FileId::of("HomeDomain", "gone"), vec![1; 9]);
    let report = verify(&rows, &payloads).unwrap();
    assert!(report.is_sound());
    assert_eq!((report.rows, report.files, report.bytes, report.digests), (5, 2, 7, 2));
    assert_eq!((report.unreferenced, report.unreferenced_bytes), (1, 9));
    assert_eq!(report.findings, []);
}

#[test]
fn every_damage_is_told() {
    let (rows, mut payloads) = sound();
    let content = payloads.0.get_mut(&rows[0].file_id).unwrap();
    content[3] ^= 1;
    assert_eq!(problems(&rows, &payloads), [Problem::Digest]);
    payloads.0.insert(rows[0].file_id, b"conten".to_vec());
    assert_eq!(
        problems(&rows, &payloads),
        [Problem::Size { expected: 7, found: 6 }, Problem::Digest]
    );
    payloads.0.remove(&rows[0].file_id);
    assert_eq!(problems(&rows, &payloads), [Problem::Missing]);
    let mut excused = rows.clone();
    excused[0].flags |= INCOMPLETE;
    assert_eq!(problems(&excused, &payloads), [Problem::KnownIncomplete]);
    // What is left of an earlier backup is not what the device holds either.
    payloads.0.insert(rows[0].file_id, b"older".to_vec());
    assert_eq!(problems(&excused, &payloads), [Problem::KnownIncomplete]);
}

/// Payloads of which one is known not to be what its row means.
struct Aged(Memory, Freshness);

impl Payloads for Aged {
    fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        self.0.size(id)
    }

    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>> {
        self.0.open(id)
    }

    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()> {
        self.0.each(visit)
    }

    fn freshness(&self, row: &Row) -> io::Result<Freshness> {
        Ok(if row.relative_path == "Library/a" { self.1 } else { Freshness::Current })
    }
}

#[test]
fn a_payload_of_an_earlier_backup_is_damage_and_told_once() {
    let (rows, mut payloads) = sound();
    payloads.0.insert(rows[0].file_id, b"SQLite format 3\0".to_vec());
    let report = verify(&rows, &Aged(payloads, Freshness::Stale)).unwrap();
    let told: Vec<_> = report.findings.iter().map(|finding| finding.problem.clone()).collect();
    assert_eq!((told, report.damages()), (vec![Problem::Stale], 1));
    let (rows, payloads) = sound();
    let report = verify(&rows, &Aged(payloads, Freshness::NotSentAgain)).unwrap();
    assert!(report.is_sound() && report.findings[0].problem == Problem::NotSentAgain);
    assert_eq!(report.digests, 2, "and it is compared as any other");
}

#[test]
fn odd_rows_are_told() {
    let (rows, payloads) = sound();
    let mut odd = rows.clone();
    odd.remove(3);
    assert_eq!(problems(&odd, &payloads), [Problem::NoParent]);
    let mut odd = rows.clone();
    odd[4].file_id = FileId::of("HomeDomain", "other");
    assert_eq!(problems(&odd, &payloads), [Problem::FileId]);
    let mut odd = rows.clone();
    odd[4].file = None;
    assert_eq!(problems(&odd, &payloads), [Problem::Record]);
    let mut odd = rows;
    odd[4] = row("../link", EntryKind::Symlink, b"");
    assert_eq!(problems(&odd, &payloads), [Problem::Escapes, Problem::NoParent]);
}

#[test]
fn a_database_may_have_another_size() {
    let (mut rows, mut payloads) = sound();
    let content = b"SQLite format 3\0 and more".to_vec();
    rows[0].file.as_mut().unwrap().digest = None;
    payloads.0.insert(rows[0].file_id, content);
    assert_eq!(problems(&rows, &payloads), [Problem::DatabaseSize { expected: 7, found: 25 }]);
    assert!(verify(&rows, &payloads).unwrap().is_sound());
}

#[test]
fn encrypted_payloads_are_padded_and_need_keys() {
    let (mut rows, mut payloads) = sound();
    rows.truncate(1);
    payloads.0.clear();
    payloads.0.insert(rows[0].file_id, vec![7; 16]);
    let check = |rows: &[Row]| {
        let mut verifier = Verifier::new(&payloads, Options { encrypted: true, digests: false });
        verifier.row(&rows[0]).unwrap();
        verifier.report.findings.iter().map(|finding| finding.problem.clone()).collect::<Vec<_>>()
    };
    assert_eq!(check(&rows), [Problem::NoKey]);
    rows[0].file.as_mut().unwrap().encryption_key = Some(vec![0; 44]);
    assert_eq!(check(&rows), []);
}
