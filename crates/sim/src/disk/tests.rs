//! Tests of the disk as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use camino::Utf8PathBuf;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::*;

const NOW: &str = "2026-03-01T12:00:00Z";

struct Phone {
    disk: Disk,
    folder: TempDir,
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

fn path_of(folder: &TempDir) -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(folder.path().join("phone")).unwrap()
}

fn phone(profile: Profile, seed: u64, ios: &str) -> Phone {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::create(&path_of(&folder), profile, seed, ios, now()).unwrap();
    Phone { disk, folder }
}

fn digest_of(frozen: &Frozen, encrypted: bool) -> String {
    let mut out = Vec::new();
    digest(frozen, encrypted, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn bytes_of(frozen: &Frozen, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    frozen.open(entry).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn find<'a>(frozen: &'a Frozen, domain: &str, path: &str) -> &'a Entry {
    frozen
        .entries
        .iter()
        .find(|entry| entry.domain == domain && entry.relative_path == path)
        .unwrap()
}

fn database(frozen: &Frozen, entry: &Entry) -> (TempDir, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("copy.sqlite");
    fs_err::write(&place, bytes_of(frozen, entry)).unwrap();
    let address = format!("file:{}?immutable=1", place.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    (folder, Connection::open_with_flags(address, flags).unwrap())
}

fn count(connection: &Connection, query: &str) -> i64 {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_phone() {
    let (mut one, mut two) = (phone(Profile::Tiny, 7, "17.5"), phone(Profile::Tiny, 7, "17.5"));
    let mut other = phone(Profile::Tiny, 8, "17.5");
    for hours in [24, 48] {
        let (left, right) = (one.disk.freeze().unwrap(), two.disk.freeze().unwrap());
        assert_eq!(left.entries, right.entries);
        assert_eq!(left.apps, right.apps);
        assert_eq!(left.containers, right.containers);
        assert_eq!(digest_of(&left, true), digest_of(&right, true));
        assert_ne!(digest_of(&left, true), digest_of(&other.disk.freeze().unwrap(), true));
        one.disk.live(1, later(hours)).unwrap();
        two.disk.live(1, later(hours)).unwrap();
    }
}

#[test]
fn a_restart_gives_the_same_phone() {
    let Phone { mut disk, folder } = phone(Profile::Tiny, 3, "18.1");
    disk.live(1, later(24)).unwrap();
    let before = disk.freeze().unwrap();
    let (entries, lines) = (before.entries.clone(), digest_of(&before, true));
    let apps = disk.apps();
    drop((disk, before));
    let mut disk = Disk::open(&path_of(&folder)).unwrap();
    let after = disk.freeze().unwrap();
    assert_eq!(after.entries, entries);
    assert_eq!(digest_of(&after, true), lines);
    assert_eq!(disk.apps(), apps);
    assert_eq!((disk.profile(), disk.seed()), (Profile::Tiny, 3));
}

#[test]
fn profiles_are_about_as_large_as_they_say() {
    for (profile, files, bytes) in
        [(Profile::Tiny, 150, 2_000_000), (Profile::Small, 2_000, 60_000_000)]
    {
        let frozen = phone(profile, 1, "16.1").disk.freeze().unwrap();
        let (real_files, real_bytes) = frozen.totals(true);
        assert!(real_files.abs_diff(files) * 10 < files, "{profile}: {real_files} files");
        assert!(real_bytes.abs_diff(bytes) * 8 < bytes, "{profile}: {real_bytes} bytes");
    }
}

#[test]
fn every_entry_has_its_parents_and_a_plausible_head() {
    for ios in ["15.7", "26.4"] {
        let mut phone = phone(Profile::Tiny, 5, ios);
        let frozen = phone.disk.freeze().unwrap();
        let mut directories = BTreeSet::new();
        let mut inodes: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
        for entry in &frozen.entries {
            let name = format!("{}/{}", entry.domain, entry.relative_path);
            match entry.relative_path.rsplit_once('/') {
                _ if entry.relative_path.is_empty() => {
                    assert_eq!(entry.kind, Kind::Directory, "{name}");
                }
                Some((parent, _)) => {
                    assert!(directories.contains(&(&*entry.domain, parent)), "{name}");
                }
                None => assert!(directories.contains(&(&*entry.domain, "")), "{name}"),
            }
            if entry.kind == Kind::Directory {
                directories.insert((&*entry.domain, &*entry.relative_path));
            }
            assert_eq!(entry.mode & 0o170_000, entry.kind.mode_bits(), "{name}");
            assert_eq!(entry.target.is_some(), entry.kind == Kind::Symlink, "{name}");
            assert!(entry.birth <= entry.modified && entry.modified < now().as_second(), "{name}");
            assert!(entry.kind == Kind::File || entry.size == 0, "{name}");
            assert!(!entry.digest_wanted || entry.kind == Kind::File, "{name}");
            assert_eq!(
                u64::try_from(bytes_of(&frozen, entry).len()).unwrap(),
                entry.size,
                "{name}"
            );
            inodes.entry(entry.inode).or_default().push(entry);
        }
        let linked: Vec<_> = inodes.values().filter(|entries| entries.len() > 1).collect();
        assert_eq!(linked.len(), 1, "one pair of hard links");
        assert_eq!(linked[0][0].content, linked[0][1].content);
    }
}

#[test]
fn databases_are_whole_and_without_log() {
    let mut phone = phone(Profile::Tiny, 11, "18.0");
    for hours in [0, 24, 48] {
        if hours > 0 {
            phone.disk.live(1, later(hours)).unwrap();
        }
        let frozen = phone.disk.freeze().unwrap();
        let mut databases = 0;
        for entry in frozen.entries.iter().filter(|entry| matches!(entry.content, Content::File(_)))
        {
            let (_folder, connection) = database(&frozen, entry);
            let verdict: String =
                connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(verdict, "ok", "{}", entry.relative_path);
            databases += 1;
        }
        assert!(databases >= 25, "{databases}");
    }
}

#[test]
fn an_unchanged_phone_freezes_to_the_same_bytes() {
    let Phone { mut disk, folder } = phone(Profile::Tiny, 13, "17.0");
    disk.live(1, later(1)).unwrap();
    let first = disk.freeze().unwrap();
    let lines = digest_of(&first, true);
    let second = disk.freeze().unwrap();
    assert_eq!(first.entries, second.entries);
    // A checkpoint in between, as the phone makes them, changes the files but not what is in them.
    for entry in first.entries.iter().filter(|entry| matches!(entry.content, Content::File(_))) {
        let place =
            path_of(&folder).join("databases").join(&entry.domain).join(&entry.relative_path);
        let connection = Connection::open(place).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
    drop(disk);
    let third = Disk::open(&path_of(&folder)).unwrap().freeze().unwrap();
    assert_eq!(third.entries, first.entries);
    assert_eq!(digest_of(&third, true), lines);
}

#[test]
fn a_day_changes_what_it_should_and_little_else() {
    let mut phone = phone(Profile::Small, 17, "26.4");
    let before = phone.disk.freeze().unwrap();
    phone.disk.live(1, later(24)).unwrap();
    let after = phone.disk.freeze().unwrap();
    let key = |entry: &Entry| (entry.domain.clone(), entry.relative_path.clone());
    let old: BTreeMap<_, _> = before.entries.iter().map(|entry| (key(entry), entry)).collect();
    let new: BTreeMap<_, _> = after.entries.iter().map(|entry| (key(entry), entry)).collect();
    let removed = old.keys().filter(|key| !new.contains_key(*key)).count();
    let added = new.keys().filter(|key| !old.contains_key(*key)).count();
    let changed: Vec<_> =
        new.iter().filter(|(key, entry)| old.get(*key).is_some_and(|was| was != *entry)).collect();
    assert!((2..20).contains(&removed), "{removed} removed");
    assert!((10..80).contains(&added), "{added} added");
    assert!((20..80).contains(&changed.len()), "{} changed", changed.len());
    for (key, entry) in &changed {
        assert!(entry.modified > old[*key].modified, "{key:?} has a later time");
        assert_eq!((entry.inode, entry.birth), (old[*key].inode, old[*key].birth), "{key:?}");
        assert!(entry.modified < later(24).as_second(), "{key:?} lies before now");
    }
    let sms = (String::from("HomeDomain"), String::from("Library/SMS/sms.db"));
    assert!(changed.iter().any(|(key, _)| **key == sms));
    assert_ne!(before.apps, after.apps, "an app was updated");
    // The first view still shows the first day.
    let lines = digest_of(&before, true);
    assert_eq!(lines.lines().count(), usize::try_from(before.totals(true).0).unwrap());
}

#[test]
fn a_day_of_messages_and_photos_brings_nothing_else() {
    let mut phone = phone(Profile::Tiny, 19, "18.0");
    let all = |disk: &mut Disk| -> BTreeSet<(String, String, i64)> {
        let frozen = disk.freeze().unwrap();
        let entry =
            |entry: &Entry| (entry.domain.clone(), entry.relative_path.clone(), entry.modified);
        frozen.taken(true).filter(|entry| entry.kind == Kind::File).map(entry).collect()
    };
    let before = all(&mut phone.disk);
    phone.disk.live_so(Life::MessagesAndPhotos, 1, later(24)).unwrap();
    let after = all(&mut phone.disk);
    let strange: Vec<_> = after
        .difference(&before)
        .map(|(_, path, _)| path)
        .filter(|path| {
            !["Library/SMS/", "Media/DCIM/", "Media/PhotoData/"]
                .iter()
                .any(|known| path.starts_with(known))
        })
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let came = |part: &str| after.difference(&before).any(|(_, path, _)| path.contains(part));
    assert!(came("sms.db") && came("DCIM/") && came("Photos.sqlite"));
}

#[test]
fn a_small_change_touches_few_pages() {
    let mut phone = phone(Profile::Small, 19, "18.0");
    let pages = |frozen: &Frozen| {
        bytes_of(frozen, find(frozen, "HomeDomain", "Library/SMS/sms.db"))
            .chunks(4096)
            .map(<[u8]>::to_vec)
            .collect::<BTreeSet<_>>()
    };
    let before = pages(&phone.disk.freeze().unwrap());
    phone.disk.live(1, later(24)).unwrap();
    let after = pages(&phone.disk.freeze().unwrap());
    let fresh = after.difference(&before).count();
    assert!(fresh > 5 && fresh * 4 < after.len(), "{fresh} of {} pages", after.len());
}

#[test]
fn more_days_than_ten_years_are_refused_and_nothing_changes() {
    let mut phone = phone(Profile::Tiny, 1, "18.0");
    let before = digest_of(&phone.disk.freeze().unwrap(), false);
    for days in [MOST_DAYS + 1, 99_999_999, u32::MAX] {
        let refused = phone.disk.live(days, now());
        assert!(matches!(refused, Err(DiskError::TooManyDays(told)) if told == days));
    }
    assert_eq!(digest_of(&phone.disk.freeze().unwrap(), false), before);
}

#[test]
fn lives_within_one_second_are_seen_by_their_times() {
    let mut phone = phone(Profile::Tiny, 23, "16.1");
    let mut last = find(&phone.disk.freeze().unwrap(), "HomeDomain", "Library/SMS/sms.db").modified;
    for _ in 0..3 {
        phone.disk.live(1, now()).unwrap();
        let modified =
            find(&phone.disk.freeze().unwrap(), "HomeDomain", "Library/SMS/sms.db").modified;
        assert!(modified > last && modified < now().as_second());
        last = modified;
    }
}

#[test]
fn content_is_coherent() {
    let mut phone = phone(Profile::Tiny, 29, "17.5");
    phone.disk.live(3, later(72)).unwrap();
    let frozen = phone.disk.freeze().unwrap();
    let has = |domain: &str, path: &str| {
        frozen.entries.iter().any(|entry| entry.domain == domain && entry.relative_path == path)
    };
    let (_folder, photos) =
        database(&frozen, find(&frozen, "CameraRollDomain", "Media/PhotoData/Photos.sqlite"));
    let mut query =
        photos.prepare("SELECT 'Media/' || ZDIRECTORY || '/' || ZFILENAME FROM ZASSET").unwrap();
    let paths: Vec<String> =
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(paths.len() >= 8);
    assert!(paths.iter().all(|path| has("CameraRollDomain", path)), "every asset has its file");
    for path in &paths {
        let name = path.rsplit_once('/').unwrap().1;
        let query = format!(
            "SELECT ZORIGINALFILESIZE FROM ZADDITIONALASSETATTRIBUTES WHERE ZORIGINALFILENAME = '{name}'"
        );
        let size = find(&frozen, "CameraRollDomain", path).size;
        assert_eq!(count(&photos, &query).unsigned_abs(), size, "{path}");
    }
    assert_eq!(
        count(
            &photos,
            "SELECT count(*) FROM Z_28ASSETS WHERE Z_3ASSETS NOT IN (SELECT Z_PK FROM ZASSET)"
        ),
        0
    );
    let dates =
        "SELECT count(*) FROM ZASSET WHERE ZDATECREATED > (SELECT max(ZADDEDDATE) FROM ZASSET)";
    assert_eq!(count(&photos, dates), 0);

    let (_folder, sms) = database(&frozen, find(&frozen, "HomeDomain", "Library/SMS/sms.db"));
    let mut query = sms
        .prepare("SELECT substr(filename, 3) FROM attachment WHERE filename IS NOT NULL")
        .unwrap();
    let paths: Vec<String> =
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(
        !paths.is_empty() && paths.iter().all(|path| has("MediaDomain", path)),
        "every attachment has its file"
    );
    assert_eq!(count(&sms, "SELECT count(*) FROM message"), 60 + 18);
    assert_eq!(count(&sms, "SELECT count(*) FROM chat_recoverable_message_join"), 1);
    let strays = "SELECT count(*) FROM chat_message_join
                  WHERE chat_id NOT IN (SELECT ROWID FROM chat) OR message_id NOT IN (SELECT ROWID FROM message)";
    assert_eq!(count(&sms, strays), 0);
    let newest = count(&sms, "SELECT max(date) / 1000000000 + 978307200 FROM message");
    assert!(newest < later(72).as_second() && newest > later(48).as_second());
}

#[test]
fn only_encrypted_backups_take_health() {
    let mut phone = phone(Profile::Tiny, 31, "16.1");
    let frozen = phone.disk.freeze().unwrap();
    let (plain, encrypted) = (digest_of(&frozen, false), digest_of(&frozen, true));
    assert!(encrypted.contains("  HealthDomain/Health/healthdb_secure.sqlite\n"));
    assert!(
        !plain.contains("HealthDomain/")
            && !plain.contains("known-networks")
            && !plain.contains("SafariTabs")
    );
    assert!(
        frozen
            .taken(false)
            .any(|entry| entry.domain == "HealthDomain" && entry.relative_path.is_empty())
    );
    assert!(
        plain.contains("Documents/Names/line\\nfeed.txt\n")
            && plain.contains("Documents/Names/back\\\\slash.txt\n")
    );
    let names: Vec<&str> = encrypted.lines().filter_map(|line| line.get(66..)).collect();
    assert!(names.len() > 100 && encrypted.len() > plain.len());
}

#[test]
fn shapes_follow_the_version_of_ios() {
    let path = |ios| {
        let frozen = phone(Profile::Tiny, 37, ios).disk.freeze().unwrap();
        let found = frozen
            .entries
            .iter()
            .find(|entry| entry.relative_path.contains("Data-local.sqlite"))
            .unwrap();
        found.domain.clone()
    };
    assert_eq!(path("16.1"), "HomeDomain");
    assert_eq!(path("17.0"), "AppDomainGroup-group.com.apple.reminders");
    let folder = tempfile::tempdir().unwrap();
    let wrong = Disk::create(&path_of(&folder), Profile::Tiny, 1, "seventeen", now());
    assert!(matches!(wrong, Err(DiskError::UnusableVersion(_))));
}

#[test]
fn apps_have_what_services_ask_for() {
    let phone = phone(Profile::Tiny, 41, "18.0");
    let apps = phone.disk.apps();
    let users: Vec<_> = apps.iter().filter(|app| app.kind == AppKind::User).collect();
    assert_eq!(users.len(), 3);
    for app in users {
        assert_eq!(&app.sinf[4..8], b"sinf");
        let metadata: plist::Dictionary = plist::from_bytes(&app.itunes_metadata).unwrap();
        assert_eq!(metadata["softwareVersionBundleId"].as_string(), Some(&*app.bundle_id));
        assert!(app.icon.starts_with(b"\x89PNG") && app.icon.len() < 2_000);
    }
    let containers = phone.disk.containers();
    for class in [
        "Data/Application",
        "Shared/AppGroup",
        "Data/PluginKitPlugin",
        "Data/System",
        "Shared/SystemGroup",
    ] {
        assert!(containers.iter().any(|container| container.class == class), "{class}");
    }
    assert!(containers.iter().any(|container| container.identifier == "group.com.apple.notes"));
}

#[test]
fn afc_shows_media_and_takes_small_files() {
    let Phone { mut disk, folder } = phone(Profile::Tiny, 43, "18.0");
    let root = disk.afc_list("/").unwrap();
    for name in ["DCIM", "PhotoData", "iTunes_Control", "Books"] {
        assert!(root.iter().any(|found| found == name), "{name} in {root:?}");
    }
    let photo = disk.afc_list("/DCIM/100APPLE").unwrap().remove(0);
    let photo = format!("/DCIM/100APPLE/{photo}");
    let stat = disk.afc_stat(&photo).unwrap();
    assert_eq!(stat.kind, Kind::File);
    let mut buffer = vec![0; usize::try_from(stat.size).unwrap() + 10];
    assert_eq!(u64::try_from(disk.afc_read(&photo, 0, &mut buffer).unwrap()).unwrap(), stat.size);
    assert!(matches!(disk.afc_create(&photo, true, now()), Err(AfcError::Denied)));

    let lock = "/com.apple.itunes.lock_sync";
    assert!(matches!(disk.afc_stat(lock), Err(AfcError::NotFound)));
    disk.afc_create(lock, false, now()).unwrap();
    disk.afc_write(lock, 2, b"xyz", now()).unwrap();
    disk.afc_make_directory("/iTunesRestore/a", now()).unwrap();
    disk.afc_rename(lock, "/iTunesRestore/a/lock").unwrap();
    assert!(matches!(disk.afc_remove("/iTunesRestore", false), Err(AfcError::NotEmpty)));
    assert!(matches!(disk.afc_create("/no/such/folder", false, now()), Err(AfcError::NotFound)));
    assert!(matches!(disk.afc_read("/../../etc/passwd", 0, &mut buffer), Err(AfcError::Denied)));
    drop(disk);
    let mut disk = Disk::open(&path_of(&folder)).unwrap();
    assert_eq!(disk.afc_read("iTunesRestore/a/lock", 0, &mut buffer).unwrap(), 5);
    assert_eq!(&buffer[..5], b"\0\0xyz");
    assert!(disk.afc_read("/Books/iBooksData2.plist", 0, &mut buffer).unwrap() > 100);
    disk.afc_remove("/iTunesRestore", true).unwrap();
    assert!(disk.afc_list("/").unwrap().iter().all(|name| name != "iTunesRestore"));
    assert!(
        disk.freeze()
            .unwrap()
            .entries
            .iter()
            .all(|entry| !entry.relative_path.contains("lock_sync"))
    );
}

#[test]
fn a_day_cut_short_makes_every_database_look_changed() {
    let Phone { mut disk, folder } = phone(Profile::Tiny, 47, "18.0");
    let before = disk.freeze().unwrap();
    disk.index.set_property("living", "1").unwrap();
    drop(disk);
    let mut disk = Disk::open(&path_of(&folder)).unwrap();
    let after = disk.freeze().unwrap();
    for (old, new) in before.entries.iter().zip(&after.entries) {
        let later = i64::from(matches!(old.content, Content::File(_)));
        assert_eq!(new.modified, old.modified + later, "{}", old.relative_path);
    }
    drop(disk);
    assert_eq!(Disk::open(&path_of(&folder)).unwrap().freeze().unwrap().entries, after.entries);
}

/// Prints what a profile costs.
fn cost(profile: Profile) {
    let start = std::time::Instant::now();
    let mut phone = phone(profile, 1, "17.5");
    let created = start.elapsed();
    let start = std::time::Instant::now();
    let frozen = phone.disk.freeze().unwrap();
    let froze = start.elapsed();
    let start = std::time::Instant::now();
    phone.disk.live(1, later(24)).unwrap();
    let lived = start.elapsed();
    let (files, bytes) = frozen.totals(true);
    let rows = frozen.entries.len();
    let messages = find(&frozen, "HomeDomain", "Library/SMS/sms.db").size;
    println!("{profile}: {files} files, {rows} rows, {bytes} bytes, {messages} bytes of messages");
    println!("    create {created:?}, freeze {froze:?}, live {lived:?}");
}

#[test]
#[ignore = "prints costs: run it in a release build"]
fn costs() {
    for profile in [Profile::Tiny, Profile::Small, Profile::Ordinary] {
        cost(profile);
    }
}

#[test]
#[ignore = "prints costs: run it in a release build"]
fn costs_of_large_phones() {
    for profile in [Profile::Media, Profile::Large] {
        cost(profile);
    }
    let file = Generated { seed: 1, id: 1, length: 2_000_000_000, shape: Shape::Movie };
    let mut buffer = vec![0; 1 << 17];
    let start = std::time::Instant::now();
    let mut reader = file.reader();
    while reader.read(&mut buffer).unwrap() > 0 {}
    println!("media: {:.2} GB/s", 2.0 / start.elapsed().as_secs_f64());
}
