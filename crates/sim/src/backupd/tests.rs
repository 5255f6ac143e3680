//! The service against a small host that is made of nothing but `lifeboat-wire`.

mod encryption;
mod errors;
mod host;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::verify::{self, Folder};
use lifeboat_mobilesync::{EntryKind, ManifestDb, SnapshotState, StatusPlist};
use sha2::{Digest as _, Sha256};

use self::host::{Host, backup};
use super::BackupdError;
use crate::cable::Hub;
use crate::disk::Profile;
use crate::options::{Ios, Knobs, ManifestKnob, PhoneSpec};
use crate::phone::Phone;

/// A phone in a folder of its own, and a host that has not seen it yet.
struct Home {
    folder: tempfile::TempDir,
    phone: Arc<Phone>,
}

const NOW: i64 = 1_790_000_000;

fn spec() -> PhoneSpec {
    let knobs = Knobs { devicelink: 400, passcode: false, ..Knobs::default() };
    PhoneSpec { ios: Ios::V26_4, profile: Profile::Tiny, knobs, ..PhoneSpec::default() }
}

impl Home {
    fn new(spec: PhoneSpec) -> Self {
        Self::asking(spec, false)
    }

    fn asking(spec: PhoneSpec, ask: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("phone");
        let clock = Arc::new(|| jiff::Timestamp::from_second(NOW).unwrap());
        let phone = Phone::open(spec, &path, Arc::new(Hub::default()), clock, ask).unwrap();
        Self { folder, phone: Arc::new(phone) }
    }

    /// The same phone after a restart of the simulator.
    fn reopened(folder: tempfile::TempDir, path: &Utf8Path, spec: PhoneSpec) -> Self {
        let clock = Arc::new(|| jiff::Timestamp::from_second(NOW).unwrap());
        let phone = Phone::open(spec, path, Arc::new(Hub::default()), clock, false).unwrap();
        Self { folder, phone: Arc::new(phone) }
    }

    fn live(&self, days: u32) {
        let now = jiff::Timestamp::from_second(NOW + 86_400 * i64::from(days)).unwrap();
        self.phone.disk().live(days, now).unwrap();
    }

    fn fault(&self, name: &str, values: &[(&str, &str)]) {
        let values =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.phone.faults.set(name, values).unwrap();
    }

    fn sent(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.phone.folder.join("backupd/sent").join(name)).unwrap()
    }

    /// Path and SHA-256 of every file a backup takes now.
    fn oracle(&self) -> BTreeMap<String, String> {
        let frozen = self.phone.freeze().unwrap();
        let encrypted = self.phone.encrypts();
        let files = frozen.taken(encrypted).filter(|entry| entry.kind == crate::disk::Kind::File);
        files
            .map(|entry| {
                let mut bytes = Vec::new();
                frozen.open(entry).unwrap().read_to_end(&mut bytes).unwrap();
                let path = format!("{}/{}", entry.domain, entry.relative_path);
                (path, hex::encode(Sha256::digest(bytes)))
            })
            .collect()
    }

    /// Writes the host's files out and holds them against manifest and oracle.
    fn check(&self, host: &Host) {
        let folder = Utf8Path::from_path(self.folder.path()).unwrap().join("host");
        drop(fs_err::remove_dir_all(&folder));
        let root = self.write_out(host, &folder);
        let keys = encryption::unlock(&self.phone, &root);
        let (rows, tally) =
            ManifestDb::open(&encryption::manifest(&root, keys.as_ref())).unwrap().rows().unwrap();
        assert_eq!(tally.rows, rows.len() as u64);
        let payloads = Folder(root.clone());
        let options = verify::Options { encrypted: keys.is_some(), digests: true };
        let mut verifier = verify::Verifier::new(&payloads, options);
        for row in &rows {
            verifier.row(row).unwrap();
        }
        let report = verifier.finish().unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.unreferenced, 0);
        let found: BTreeMap<String, String> = rows
            .iter()
            .filter(|row| row.kind == EntryKind::File)
            .map(|row| {
                let bytes = encryption::payload(&root, row, keys.as_ref());
                (
                    format!("{}/{}", row.domain, row.relative_path),
                    hex::encode(Sha256::digest(bytes)),
                )
            })
            .collect();
        let oracle = self.oracle();
        assert_eq!(found.keys().collect::<Vec<_>>(), oracle.keys().collect::<Vec<_>>());
        assert_eq!(found, oracle);
        let status = StatusPlist::parse(&host.files[&host.path("Status.plist")]).unwrap();
        assert_eq!(status.snapshot_state, SnapshotState::Finished);
        assert_eq!(host.files[&host.path("Status.plist")].len(), 189);
        for name in ["Status.plist", "Manifest.plist", "Manifest.db"] {
            assert_eq!(self.sent(name), host.files[&host.path(name)], "{name}");
        }
        assert!(host.files.keys().all(|path| !path.contains("Snapshot")), "nothing is left over");
    }

    fn write_out(&self, host: &Host, folder: &Utf8Path) -> Utf8PathBuf {
        for (path, bytes) in &host.files {
            let path = folder.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, bytes).unwrap();
        }
        folder.join(self.phone.udid())
    }
}

async fn succeeds(home: &Home, host: &mut Host) {
    let (served, answer) = backup(&home.phone, host).await;
    served.unwrap();
    assert_eq!(answer, Some((0, String::new())));
}

/// Runs a backup that fails, and returns what the phone says of it.
async fn fails(home: &Home, host: &mut Host) -> (i64, String) {
    let (served, answer) = backup(&home.phone, host).await;
    served.unwrap();
    answer.unwrap()
}

#[tokio::test]
async fn a_full_backup_has_the_known_number_of_messages_and_everything_in_it() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    home.check(&host);
    let files = home.oracle().len() as u64;
    let job = home.phone.traffic.job();
    assert_eq!(job.kind.as_deref(), Some("full"));
    assert_eq!(job.messages_sent, 790 + 2 * files.div_ceil(128));
    assert_eq!((job.files_sent, job.files_sent_again, job.control_files_sent), (files, 0, 6));
    assert!(job.finished);
}

#[tokio::test]
async fn a_backup_without_changes_sends_no_file() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    let before = host.files[&host.path("Manifest.db")].clone();
    succeeds(&home, &mut host).await;
    home.check(&host);
    let job = home.phone.traffic.job();
    assert_eq!(job.kind.as_deref(), Some("incremental"));
    assert_eq!((job.files_sent, job.messages_sent), (0, 790 + 259));
    assert_eq!(host.files[&host.path("Manifest.db")].len(), before.len());
}

#[tokio::test]
async fn a_day_costs_what_changed_and_drops_what_is_gone() {
    for manifest in [ManifestKnob::InPlace, ManifestKnob::Rebuilt] {
        let mut spec = spec();
        spec.knobs.manifest = manifest;
        let home = Home::new(spec);
        let mut host = Host::new(&home.phone);
        succeeds(&home, &mut host).await;
        let before = home.oracle();
        home.live(3);
        succeeds(&home, &mut host).await;
        home.check(&host);
        let changed =
            home.oracle().into_iter().filter(|(path, hash)| before.get(path) != Some(hash)).count()
                as u64;
        let job = home.phone.traffic.job();
        assert_eq!(job.kind.as_deref(), Some("incremental"));
        assert!(
            job.files_sent >= changed && job.files_sent < before.len() as u64 / 2,
            "{changed} {job:?}"
        );
        let list = String::from_utf8(home.sent("files.txt")).unwrap();
        assert_eq!(list.lines().count() as u64, job.files_sent);
    }
}

#[tokio::test]
async fn chunks_of_any_size_bring_the_same() {
    for chunk in [1, 1000, 1 << 20] {
        let mut spec = spec();
        spec.knobs.chunk = chunk;
        spec.knobs.devicelink = 300;
        spec.knobs.directory_order = 0;
        let home = Home::new(spec);
        let mut host = Host::new(&home.phone);
        succeeds(&home, &mut host).await;
        home.check(&host);
        assert!(host.largest_chunk <= chunk);
    }
}

#[tokio::test]
async fn a_break_at_any_point_is_made_good_by_the_next_try() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    let all = home.phone.traffic.job().messages_sent;
    let batches = (home.oracle().len() as u64).div_ceil(128);
    let upload = 520;
    let ending = upload + 2 * batches;
    let cuts = (3..6).chain([300]).chain(upload - 2..ending + 12).chain([all - 1]);
    for cut in cuts {
        let mut host = Host::new(&home.phone);
        home.fault("drop", &[("after", &cut.to_string()), ("times", "1")]);
        let (served, answer) = backup(&home.phone, &mut host).await;
        assert!(matches!(served, Err(BackupdError::Dropped)), "{cut}: {served:?}");
        assert_eq!(answer, None);
        succeeds(&home, &mut host).await;
        home.check(&host);
        let job = home.phone.traffic.job();
        assert_eq!(job.files_sent_again, 0, "cut after {cut}: {job:?}");
    }
}

#[tokio::test]
async fn a_break_of_an_incremental_backup_is_made_good_too() {
    let home = Home::new(spec());
    let mut first = Host::new(&home.phone);
    succeeds(&home, &mut first).await;
    home.live(2);
    let mut host = first.clone();
    succeeds(&home, &mut host).await;
    let all = home.phone.traffic.job().messages_sent;
    // The second half: from the status "uploading" on.
    for cut in all - 275..all - 255 {
        let mut host = first.clone();
        home.fault("drop", &[("after", &cut.to_string()), ("times", "1")]);
        let (served, _) = backup(&home.phone, &mut host).await;
        assert!(matches!(served, Err(BackupdError::Dropped)), "{cut}");
        succeeds(&home, &mut host).await;
        home.check(&host);
    }
}

#[tokio::test]
async fn a_break_inside_a_file_is_made_good_and_the_phone_goes_on_where_it_stopped() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("truncated-upload", &[("after", "130"), ("times", "1")]);
    let (served, _) = backup(&home.phone, &mut host).await;
    assert!(matches!(served, Err(BackupdError::Dropped)));
    succeeds(&home, &mut host).await;
    home.check(&host);
    let job = home.phone.traffic.job();
    assert_eq!(
        job.files_sent,
        home.oracle().len() as u64 - 128,
        "the first batch was not sent again"
    );
}

#[tokio::test]
async fn what_lies_on_the_host_decides() {
    let home = Home::new(spec());
    let mut first = Host::new(&home.phone);
    succeeds(&home, &mut first).await;
    let kind = || home.phone.traffic.job().kind.unwrap();
    let status = StatusPlist::parse(&first.files[&first.path("Status.plist")]).unwrap();

    // pymobiledevice3 forces a full backup with a status of its own and an empty manifest.
    let mut host = first.clone();
    host.put("Manifest.plist", Vec::new());
    host.put("Status.plist", StatusPlist { is_full_backup: true, ..status.clone() }.encode());
    succeeds(&home, &mut host).await;
    assert_eq!(kind(), "full");

    // The same without the flag is damage.
    let mut host = first.clone();
    host.put("Manifest.plist", Vec::new());
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(code, 205);
    assert!(text.starts_with("Error reading backup properties (MBErrorDomain/205). Underlying error: Cannot parse a NULL or zero-length data"), "{text}");

    let mut host = first.clone();
    host.remove("Manifest.db");
    assert_eq!(fails(&home, &mut host).await.0, 205);
    let mut host = first.clone();
    host.put("Status.plist", Vec::new());
    assert_eq!(fails(&home, &mut host).await.0, 205);

    // These lead to a full backup without a word.
    let damaged = |change: &dyn Fn(&mut Host)| {
        let mut host = first.clone();
        change(&mut host);
        host
    };
    let payload =
        first.files.keys().find(|path| path.len() == first.path("00/").len() + 40).unwrap().clone();
    for mut host in [
        damaged(&|host| host.remove("Status.plist")),
        damaged(&|host| host.put("Manifest.db", vec![0x5a; 9000])),
        damaged(&|host| drop(host.files.remove(&payload))),
        damaged(&|host| {
            host.put(
                "Status.plist",
                StatusPlist { version: "9.0".into(), ..status.clone() }.encode(),
            );
        }),
    ] {
        succeeds(&home, &mut host).await;
        assert_eq!(kind(), "full");
        home.check(&host);
    }

    // An older format is set aside, and removed in the end.
    let mut host = first.clone();
    host.put("Status.plist", StatusPlist { version: "2.4".into(), ..status.clone() }.encode());
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert!(
        host.log.iter().any(|line| line.starts_with("move") && line.contains("-2026")),
        "{:?}",
        host.log.first()
    );
    assert!(host.files.keys().all(|path| path.starts_with(&host.path(""))));

    // A name that is no UUID never names a folder on the phone.
    let mut host = first.clone();
    host.put("Status.plist", StatusPlist { uuid: "../../../x".into(), ..status }.encode());
    succeeds(&home, &mut host).await;
    home.check(&host);
}

#[tokio::test]
async fn space_is_asked_for_and_purged() {
    let mut spec = spec();
    let home = Home::new(spec.clone());
    let mut host = Host::new(&home.phone);
    host.free = 100 << 20;
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(
        (code, text.as_str()),
        (105, "Insufficient free disk space on drive to back up (MBErrorDomain/105)")
    );
    assert!(host.log.iter().any(|line| line.starts_with("purge")));
    host.purges = true;
    succeeds(&home, &mut host).await;
    home.fault("purge", &[("bytes", "5000"), ("times", "1")]);
    host.purges = false;
    assert_eq!(fails(&home, &mut host).await.0, 105);
    assert_eq!(
        host.log.iter().filter(|line| *line == &format!("purge {}", 5000_u64 + (2 << 30))).count(),
        1
    );

    spec.knobs.devicelink = 300;
    let home = Home::new(spec);
    let mut host = Host::new(&home.phone);
    home.fault("space-demand", &[("bytes", "99999999999999")]);
    host.purges = true;
    assert_eq!(fails(&home, &mut host).await.0, 105);
    assert!(!host.log.iter().any(|line| line.starts_with("purge")), "version 300 knows no purge");
}

#[tokio::test]
async fn bad_phones_send_what_they_are_told_to() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("unknown-message", &[("times", "1")]);
    succeeds(&home, &mut host).await;
    assert!(host.log.contains(&"unknown DLMessageFoldLaundry".to_owned()));

    for (name, part) in
        [("path-traversal", "../lifeboat-was-here"), ("absolute-path", "/tmp/lifeboat-was-here")]
    {
        let mut host = Host::new(&home.phone);
        home.fault(name, &[("times", "1")]);
        assert_eq!(fails(&home, &mut host).await.0, 104);
        assert!(host.refused.iter().any(|path| path.ends_with(part)), "{:?}", host.refused);
        home.phone.faults.clear();
    }
    for name in ["plist-bomb", "huge-frame"] {
        let mut host = Host::new(&home.phone);
        home.fault(name, &[("times", "1")]);
        let (served, answer) = backup(&home.phone, &mut host).await;
        assert!(served.is_err() && answer.is_none(), "{name}");
    }
    home.fault(
        "error",
        &[("code", "25"), ("at", "scan"), ("text", "A restore is running"), ("times", "1")],
    );
    let (code, text) = fails(&home, &mut Host::new(&home.phone)).await;
    assert_eq!((code, text.as_str()), (25, "A restore is running (MBErrorDomain/25)"));
}

#[tokio::test]
async fn files_that_cannot_be_read_or_vanish_are_told() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    let path = home.oracle().into_keys().find(|path| path.contains("DCIM")).unwrap();
    home.fault("read-error", &[("file", &path), ("times", "1")]);
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!((code, text.as_str()), (104, "Multiple errors uploading files (MBErrorDomain/104)"));
    assert_eq!(host.broken, ["Input/output error (5)"]);
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(home.phone.traffic.job().files_sent, 1, "only the broken file was missing");

    let mut host = Host::new(&home.phone);
    home.fault("vanish", &[("file", &path)]);
    succeeds(&home, &mut host).await;
    let folder = Utf8Path::from_path(home.folder.path()).unwrap().join("vanished");
    let root = home.write_out(&host, &folder);
    let (rows, _) = ManifestDb::open(&root.join("Manifest.db")).unwrap().rows().unwrap();
    let row =
        rows.iter().find(|row| format!("{}/{}", row.domain, row.relative_path) == path).unwrap();
    assert_eq!(row.flags, 17);
    assert!(!root.join(row.file_id.path()).exists());
}

#[tokio::test]
async fn the_host_refuses_and_the_phone_says_so() {
    let home = Home::new(spec());
    for (status, code) in [(-15, 105), (-1, 104), (-6, 205)] {
        let mut host = Host::new(&home.phone);
        host.refuse = Some(("Snapshot/Manifest.db", status));
        assert_eq!(fails(&home, &mut host).await.0, code, "{status}");
    }
    let mut host = Host::new(&home.phone);
    host.loses = true;
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(
        (code, text.as_str()),
        (205, "Manifest references files not in backup (MBErrorDomain/205)")
    );
}

#[tokio::test]
async fn the_passcode_sheet_can_be_sent_away() {
    let mut spec = spec();
    spec.knobs.passcode = true;
    let home = Home::asking(spec, true);
    let mut host = Host::new(&home.phone);
    let mut notices = home.phone.notices();
    let owner = async {
        while notices.recv().await.unwrap()
            != lifeboat_wire::lockdown::notification::AUTHENTICATION_PRESENTED
        {}
        home.phone.answer_passcode(false).unwrap();
    };
    let (answer, ()) = tokio::join!(fails(&home, &mut host), owner);
    assert_eq!((answer.0, answer.1.as_str()), (208, "Device locked (MBErrorDomain/208)"));
    assert!(host.log.is_empty(), "nothing was asked of the host");
}

#[tokio::test]
async fn requests_that_only_look_and_those_not_played() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    host.request = "Info";
    assert_eq!(fails(&home, &mut host).await.0, 0);
    assert!(host.content.as_deref().unwrap().contains("Snapshot State: finished"));
    host.request = "List";
    assert_eq!(fails(&home, &mut host).await.0, 0);
    let is_id = |word: &str| word.parse::<lifeboat_mobilesync::FileId>().is_ok();
    let ends = |line: &&str| line.rsplit(',').next().is_some_and(is_id);
    let listed = host.content.as_deref().unwrap().lines().filter(ends).count();
    assert_eq!(listed, home.oracle().len());
    for request in ["Restore", "Remove", "CancelBackup"] {
        host.request = request;
        assert_eq!(fails(&home, &mut host).await.0, 1, "{request}");
    }
    host.request = "Backup";
    host.target = "another".to_owned();
    let (served, _) = backup(&home.phone, &mut host).await;
    assert!(matches!(served, Err(BackupdError::WrongTarget)));
}
