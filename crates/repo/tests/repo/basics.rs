//! Writing and reading back.

use std::io::{Read as _, Seek as _, SeekFrom};

use lifeboat_repo::{
    BlobId, Content, Cut, Damage, Entry, NodeKind, RepoError, Repository, Tag, TreeBuilder,
    WriteStats, WriterOptions,
    store::{FileKind, Store as _},
};

use crate::support::{
    Home, UDID, clock, commit, empty, file, files_of, ids, new_snapshot, noise, open_in, password,
    prose, some_files, unlock, writer,
};

#[test]
fn what_went_in_comes_out() {
    let home = Home::new();
    let repository = home.init();
    let id = commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    let repository = home.open();
    let snapshot = repository.resolve("latest", None).unwrap();
    assert_eq!(snapshot.id, id);
    assert!(files_of(&repository, &snapshot).unwrap() == some_files());
    // Once more, now out of the catalogue.
    assert!(files_of(&repository, &snapshot).unwrap() == some_files());
    let names = |path: &str| -> Vec<String> {
        repository
            .entries(&snapshot, path)
            .unwrap()
            .iter()
            .map(|entry| entry.name().to_owned())
            .collect()
    };
    assert_eq!(names(""), ["files", "lifeboat"]);
    assert_eq!(names("files/HomeDomain"), ["Library", "link"]);
    let library = repository.entry(&snapshot, "files/HomeDomain/Library").unwrap().unwrap();
    assert_eq!((library.node.mode, library.node.uid), (0o750, 501));
    let link = repository.entry(&snapshot, "files/HomeDomain/link").unwrap().unwrap();
    assert_eq!(link.node.kind, NodeKind::Symlink("Library/empty".into()));
    assert_eq!(repository.entry(&snapshot, "files/HomeDomain/none").unwrap(), None);
    assert!(matches!(
        repository.entries(&snapshot, "files/none"),
        Err(RepoError::NoSuchPath { .. })
    ));
    repository.forget_catalogue().unwrap();
    assert!(files_of(&repository, &snapshot).unwrap() == some_files());
    let report = repository.check(true, &mut |_| ()).unwrap();
    assert_eq!(report.damage, []);
    assert!(report.bytes_read > 3_000_000);
}

#[test]
fn the_second_time_costs_almost_nothing() {
    let (home, store) = (Home::new(), empty());
    let repository = open_in(&store, &home).unwrap();
    commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    let packs = ids(&store, FileKind::Pack).len();
    let writer = writer(&open_in(&store, &home).unwrap()).unwrap();
    commit(&writer, &some_files()).unwrap();
    let WriteStats { blobs_new, trees_new, packs: new_packs, bytes_added, .. } = writer.stats();
    assert_eq!((blobs_new, trees_new, new_packs), (0, 0, 0));
    assert!(bytes_added < 1000, "{bytes_added}");
    assert_eq!(ids(&store, FileKind::Pack).len(), packs);
    assert_eq!(ids(&store, FileKind::Snapshot).len(), 2);
}

#[test]
fn packs_then_index_then_the_snapshot_alone() {
    let (home, store) = (Home::new(), empty());
    let before = store.order().len();
    commit(&writer(&open_in(&store, &home).unwrap()).unwrap(), &some_files()).unwrap();
    let kinds: Vec<FileKind> = store.order()[before..].iter().map(|(kind, _)| *kind).collect();
    let last_pack = kinds.iter().rposition(|kind| *kind == FileKind::Pack).unwrap();
    let last_index = kinds.iter().rposition(|kind| *kind == FileKind::Index).unwrap();
    assert!(last_pack < last_index && last_index < kinds.len() - 1);
    assert_eq!(kinds.last(), Some(&FileKind::Snapshot));
    assert!(ids(&store, FileKind::Lock).is_empty(), "the lock is given back");
}

#[test]
fn pieces_of_any_size_give_the_same_blobs() {
    let (home, store) = (Home::new(), empty());
    let writer = writer(&open_in(&store, &home).unwrap()).unwrap();
    let data = noise(9, 5_000_001);
    for cut in [Cut::Whole, Cut::Content, Cut::Sqlite { page: 4096 }] {
        let whole = writer.store(data.as_slice(), Some(cut)).unwrap();
        for size in [997, 65_536, 4_000_000] {
            let mut incoming = writer.begin(cut);
            for piece in data.chunks(size) {
                incoming.write(piece).unwrap();
            }
            assert_eq!(incoming.size(), data.len() as u64);
            assert_eq!(incoming.finish().unwrap(), whole, "{cut:?} in pieces of {size}");
        }
        assert_eq!(whole.size, data.len() as u64);
    }
}

#[test]
fn a_shifted_file_and_a_changed_page_cost_little() {
    let (home, store) = (Home::new(), empty());
    let writer = writer(&open_in(&store, &home).unwrap()).unwrap();
    let media = noise(5, 12 << 20);
    writer.store(media.as_slice(), None).unwrap();
    let before = writer.stats().bytes_new;
    let shifted = [b"new head".as_slice(), &media].concat();
    writer.store(shifted.as_slice(), None).unwrap();
    let cost = writer.stats().bytes_new - before;
    assert!(cost < 5 << 20, "a shifted file cost {cost}");

    let mut database = b"SQLite format 3\0\x10\x00".to_vec();
    database.extend(noise(6, (4 << 20) - database.len()));
    writer.store(database.as_slice(), None).unwrap();
    let before = writer.stats().bytes_new;
    database[1_000_000] ^= 1;
    writer.store(database.as_slice(), None).unwrap();
    assert_eq!(writer.stats().bytes_new - before, 64 << 10);
}

#[test]
fn reading_anywhere() {
    let (home, store) = (Home::new(), empty());
    let repository = open_in(&store, &home).unwrap();
    let writer = writer(&repository).unwrap();
    let data = noise(2, 4_000_000);
    let content = writer.store(data.as_slice(), None).unwrap();
    writer.flush().unwrap();
    let mut reader = repository.reader(&content).unwrap();
    assert_eq!(reader.size(), data.len() as u64);
    let mut buffer = vec![0; 1_500_000];
    for offset in [0, 1, 999_999, 3_000_000, 3_999_999, 4_000_000, 9_000_000] {
        let length = reader.read_at(offset, &mut buffer).unwrap();
        let start = usize::try_from(offset).unwrap().min(data.len());
        assert_eq!(
            buffer[..length],
            data[start..(start + buffer.len()).min(data.len())],
            "offset {offset}"
        );
    }
    reader.seek(SeekFrom::End(-10)).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, data[data.len() - 10..]);
    // Small reads of one blob ask the store once.
    let before = store.counts().range_reads;
    let mut reader = repository.reader(&content).unwrap();
    for offset in 0..100 {
        reader.read_at(offset, &mut buffer[..10]).unwrap();
    }
    assert!(store.counts().range_reads - before <= 1);
}

#[test]
fn nothing_is_committed_with_a_hole() {
    let (home, store) = (Home::new(), empty());
    let writer = writer(&open_in(&store, &home).unwrap()).unwrap();
    let mut tree = TreeBuilder::new();
    let lost = BlobId::new([7; 32]);
    tree.add("a/b", file(Content { blobs: vec![lost], size: 3 })).unwrap();
    let error = writer.commit(tree, &new_snapshot(Tag::Complete)).unwrap_err();
    assert!(
        matches!(&error, RepoError::Damaged(Damage::MissingBlob { blob, path }) if *blob == lost && path == "a/b"),
        "{error}"
    );
    assert!(ids(&store, FileKind::Snapshot).is_empty());
}

#[test]
fn two_files_may_arrive_at_once_and_one_may_break_off() {
    let (home, store) = (Home::new(), empty());
    let repository = open_in(&store, &home).unwrap();
    let writer = writer(&repository).unwrap();
    let (one, other) = (noise(11, 2_500_000), prose(12, 2_500_000));
    let mut first = writer.begin(Cut::Content);
    let mut second = writer.begin(Cut::Content);
    let mut broken = writer.begin(Cut::Content);
    for (a, b) in one.chunks(32 << 10).zip(other.chunks(32 << 10)) {
        first.write(a).unwrap();
        second.write(b).unwrap();
        broken.write(b).unwrap();
    }
    drop(broken);
    let (first, second) = (first.finish().unwrap(), second.finish().unwrap());
    writer.flush().unwrap();
    assert!(repository.read(&first).unwrap() == one);
    assert!(repository.read(&second).unwrap() == other);
}

#[test]
fn a_file_is_not_taken_for_a_folder_of_the_same_bytes() {
    let (home, store) = (Home::new(), empty());
    let repository = open_in(&store, &home).unwrap();
    let writer = writer(&repository).unwrap();
    let content = writer.store(&b"{\"nodes\":[]}\n"[..], None).unwrap();
    let mut tree = TreeBuilder::new();
    tree.add("d", lifeboat_repo::Node::directory(jiff::Timestamp::UNIX_EPOCH)).unwrap();
    tree.add("f", file(content.clone())).unwrap();
    writer.commit(tree, &new_snapshot(Tag::Complete)).unwrap();
    assert_eq!(writer.stats().blobs_new, 1);
    assert_eq!(writer.stats().trees_new, 2);
    let again = open_in(&store, &home).unwrap();
    assert_eq!(again.read(&content).unwrap(), b"{\"nodes\":[]}\n");
    assert!(again.check(true, &mut |_| ()).unwrap().is_ok());
}

#[test]
fn who_may_enter() {
    let home = Home::new();
    let missing = Repository::open(&home.location(), &password(), &home.cache());
    assert!(matches!(missing, Err(RepoError::Missing(_))));
    let repository = home.init();
    let again = Repository::init(&home.location(), &password(), &home.cache());
    assert!(matches!(again, Err(RepoError::AlreadyExists(_))));
    let wrong = Repository::open(&home.location(), &"wrong".into(), &home.cache());
    assert!(matches!(wrong, Err(RepoError::WrongPassword)));
    repository.add_key(&"second".into()).unwrap();
    for password in ["second".into(), password()] {
        let opened = Repository::open(&home.location(), &password, &home.cache()).unwrap();
        assert_eq!(opened.id(), repository.id());
    }
}

/// Returns N, r and p of the one key of a repository.
fn cost(home: &Home) -> [u64; 3] {
    let keys: Vec<_> = home.path("repository/keys").read_dir_utf8().unwrap().collect();
    assert_eq!(keys.len(), 1);
    let file = fs_err::read(keys[0].as_ref().unwrap().path()).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["kdf"], "scrypt");
    ["N", "r", "p"].map(|name| file[name].as_u64().unwrap())
}

#[test]
fn a_generated_password_opens_cheaply_and_a_chosen_one_costs_who_guesses() {
    let home = Home::new();
    let generated = lifeboat_repo::generate_password();
    let made = Repository::init_generated(&home.location(), &generated, &home.cache()).unwrap();
    assert_eq!(cost(&home), [1 << 15, 8, 1]);
    // The key is found by `rustic_core`.
    let opened = Repository::open(&home.location(), &generated, &home.cache()).unwrap();
    assert_eq!(opened.id(), made.id());
    commit(&writer(&opened).unwrap(), &some_files()).unwrap();
    let wrong = Repository::open(&home.location(), &password(), &home.cache());
    assert!(matches!(wrong, Err(RepoError::WrongPassword)));

    let home = Home::new();
    home.init();
    let [n, r, p] = cost(&home);
    assert!(n >= 1 << 17 && r >= 8 && p >= 1, "{n} {r} {p}");
}

#[test]
fn nothing_is_made_among_other_files() {
    let home = Home::new();
    let folder = home.path("repository");
    fs_err::create_dir_all(folder.join("lost+found")).unwrap();
    fs_err::create_dir_all(folder.join("keys")).unwrap();
    for name in ["thesis.odt", ".profile"] {
        fs_err::write(folder.join(name), "mine").unwrap();
    }
    let refused = Repository::init(&home.location(), &password(), &home.cache());
    let Err(RepoError::NotEmpty { place, found }) = refused else { panic!("{:?}", refused.err()) };
    assert_eq!((place.as_str(), found.as_str()), (folder.as_str(), ".profile"));
    let left = folder.read_dir_utf8().unwrap().count();
    assert_eq!(left, 4, "nothing was made");
    // What a disk has of itself, and what an `init` that broke off left, is in nobody's way.
    for name in ["thesis.odt", ".profile"] {
        fs_err::remove_file(folder.join(name)).unwrap();
    }
    Repository::init(&home.location(), &password(), &home.cache()).unwrap();
}

/// Several runs find no repository and make one, all at once.
#[test]
fn of_several_who_make_a_repository_at_once_one_does() {
    let home = Home::new();
    let gate = std::sync::Barrier::new(4);
    let made: Vec<Result<Repository, RepoError>> = std::thread::scope(|scope| {
        let one = || {
            gate.wait();
            Repository::init(&home.location(), &password(), &home.cache())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let opened = Repository::open(&home.location(), &password(), &home.cache()).unwrap();
    for other in &made {
        match other {
            Ok(made) => assert_eq!(made.id(), opened.id()),
            Err(error) => assert!(matches!(error, RepoError::AlreadyExists(_)), "{error}"),
        }
    }
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    assert_eq!(home.path("repository/keys").read_dir_utf8().unwrap().count(), 1);
}

#[test]
fn what_a_broken_init_left_does_no_harm() {
    let (home, store) = (Home::new(), empty());
    let config = ids(&store, FileKind::Config)[0];
    store.remove(FileKind::Config, config).unwrap();
    let opened = unlock(&store, &home);
    assert!(matches!(opened, Err(RepoError::Missing(_))));
    Repository::init_in(std::sync::Arc::new(store.clone()), &password(), &home.cache()).unwrap();
    assert_eq!(ids(&store, FileKind::Key).len(), 1);
    unlock(&store, &home).unwrap();
}

#[test]
fn a_lost_config_is_named_and_nothing_is_made_in_its_place() {
    let (home, store) = (Home::new(), empty());
    let repository = open_in(&store, &home).unwrap();
    commit(&repository.writer(&WriterOptions::new(clock())).unwrap(), &some_files()).unwrap();
    store.remove(FileKind::Config, ids(&store, FileKind::Config)[0]).unwrap();
    let keys = ids(&store, FileKind::Key);
    assert!(matches!(unlock(&store, &home), Err(RepoError::NoConfig(_))));
    let again = Repository::init_in(std::sync::Arc::new(store.clone()), &password(), &home.cache());
    assert!(matches!(again, Err(RepoError::NoConfig(_))));
    assert_eq!(ids(&store, FileKind::Key), keys);
    assert!(ids(&store, FileKind::Config).is_empty());
}

#[test]
fn a_damaged_config_is_damage_of_the_repository() {
    let (home, store) = (Home::new(), empty());
    let config = ids(&store, FileKind::Config)[0];
    let whole = store.read(FileKind::Config, config).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        store.remove(FileKind::Config, config).unwrap();
        store.write(FileKind::Config, config, &bytes).unwrap();
        let opened = unlock(&store, &home);
        assert!(matches!(opened, Err(RepoError::Damaged(_))), "{:?}", opened.err());
    }
}

#[test]
fn numbers() {
    let (home, store) = (Home::new(), empty());
    let repository = open_in(&store, &home).unwrap();
    let options =
        WriterOptions { workers: std::num::NonZeroUsize::MIN, ..WriterOptions::new(clock()) };
    let writer = repository.writer(&options).unwrap();
    commit(&writer, &some_files()).unwrap();
    let raw: u64 = some_files().values().map(|data| data.len() as u64).sum();
    drop(writer);
    let stats = repository.stats().unwrap();
    assert_eq!((stats.snapshots, stats.packs), (1, 2));
    assert!(stats.raw_bytes > raw && stats.raw_bytes < raw + 10_000);
    assert!(stats.bytes > 3_000_000 && stats.bytes < raw);
    let snapshot = repository.resolve("latest", None).unwrap();
    assert_eq!(snapshot.summary.unwrap().files, some_files().len() as u64);
    assert_eq!(snapshot.summary.unwrap().bytes, raw);
    assert_eq!(snapshot.label.as_deref(), Some("Ann's iPhone"));
}

#[test]
fn what_is_below_a_folder_is_shown_as_a_walk_shows_it() {
    let (store, home) = (empty(), Home::new());
    let repository = open_in(&store, &home).unwrap();
    commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    let snapshot = repository.resolve("latest", Some(UDID)).unwrap();
    let mut all = Vec::new();
    repository
        .walk(&snapshot, |entry| {
            all.push(entry.path.clone());
            Ok::<(), RepoError>(())
        })
        .unwrap();
    all.retain(|path| path.starts_with("files/HomeDomain/"));
    assert!(!all.is_empty());
    // With a catalogue and without one.
    fs_err::write(home.path("no-folder"), "").unwrap();
    let without =
        repository.reopen_in(std::sync::Arc::new(store), &home.path("no-folder")).unwrap();
    for repository in [repository, without] {
        let folder = repository.entry(&snapshot, "files/HomeDomain").unwrap().unwrap();
        let mut below = Vec::new();
        let show = |entry: &Entry| {
            below.push(entry.path.clone());
            Ok(())
        };
        repository.walk_below(&folder, show, |_, error| Err(error)).unwrap();
        assert_eq!(below, all);
        let file = repository.entry(&snapshot, "files/HomeDomain/link").unwrap().unwrap();
        repository
            .walk_below::<RepoError>(
                &file,
                |_| panic!("nothing is below it"),
                |_, error| Err(error),
            )
            .unwrap();
    }
}
