//! What is damaged × where × what then; and a machine that dies after any write.

use lifeboat_repo::{
    Damage, Flaw, Healing, RepoError, SnapshotId,
    store::{FileKind, MemoryStore, Store as _},
};

use crate::support::{
    Files, Home, commit, empty, files_of, ids, noise, open_in, prose, some_files, unlock, writer,
};

fn filled(home: &Home) -> MemoryStore {
    let store = empty();
    commit(&writer(&open_in(&store, home).unwrap()).unwrap(), &some_files()).unwrap();
    store
}

/// Returns the largest pack: the one with the files.
fn data_pack(store: &MemoryStore) -> lifeboat_repo::FileId {
    store.list(FileKind::Pack).unwrap().into_iter().max_by_key(|(_, size)| *size).unwrap().0
}

fn tree_pack(store: &MemoryStore) -> lifeboat_repo::FileId {
    store.list(FileKind::Pack).unwrap().into_iter().min_by_key(|(_, size)| *size).unwrap().0
}

fn check(store: &MemoryStore, read_data: bool) -> Vec<Damage> {
    open_in(store, &Home::new()).unwrap().check(read_data, &mut |_| ()).unwrap().damage
}

/// The next backup works, and after it everything can be read again.
fn heals(store: &MemoryStore) {
    let home = Home::new();
    let repository = open_in(store, &home).unwrap();
    commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    let repository = open_in(store, &home).unwrap();
    let snapshot = repository.snapshots().unwrap().pop().unwrap();
    assert!(files_of(&repository, &snapshot).unwrap() == some_files());
}

#[test]
fn a_truncated_pack() {
    let home = Home::new();
    for pack in [data_pack, tree_pack] {
        let store = filled(&home);
        let pack = pack(&store);
        store.damage(FileKind::Pack, pack, |data| data.truncate(data.len() / 2));
        let short = Damage::File { kind: FileKind::Pack, id: pack, why: Flaw::Length };
        assert!(check(&store, false).contains(&short));
        assert!(check(&store, true).contains(&short));
    }
}

#[test]
fn a_pack_of_a_wrong_size_is_not_built_upon() {
    let home = Home::new();
    for pack in [data_pack, tree_pack] {
        for change in [
            (|data| data.truncate(data.len() / 2)) as fn(&mut Vec<u8>),
            |data| data.truncate(0),
            |data| data.truncate(data.len() - 1),
            |data| data.push(0),
        ] {
            let store = filled(&home);
            let pack = pack(&store);
            store.damage(FileKind::Pack, pack, change);
            heals(&store);
            // The snapshot of before is made of the same blobs: it is whole again, too.
            let fresh = Home::new();
            let repository = open_in(&store, &fresh).unwrap();
            let snapshots = repository.snapshots().unwrap();
            assert_eq!(snapshots.len(), 2);
            for snapshot in snapshots {
                assert!(files_of(&repository, &snapshot).unwrap() == some_files());
            }
            // What was stored again is found by the next one: nothing is stored a third time.
            let packs = ids(&store, FileKind::Pack).len();
            heals(&store);
            assert_eq!(ids(&store, FileKind::Pack).len(), packs);
            for read_data in [false, true] {
                let found = check(&store, read_data);
                assert_eq!(found, [Damage::ReplacedPack(pack.into())]);
                assert!(!found[0].is_serious(), "a healed pack is a note");
            }
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_pack() {
    let home = Home::new();
    let store = filled(&home);
    let pack = data_pack(&store);
    let size =
        store.list(FileKind::Pack).unwrap().into_iter().find(|(id, _)| *id == pack).unwrap().1;
    let size = usize::try_from(size).unwrap();
    for at in [0, 20, size / 2, size - 40, size - 5, size - 1] {
        let store = store.fork();
        store.damage(FileKind::Pack, pack, |data| data[at] ^= 0x10);
        let found = check(&store, true);
        let digest = Damage::File { kind: FileKind::Pack, id: pack, why: Flaw::Digest };
        assert!(found.contains(&digest), "byte {at}: {found:?}");
        if at < size / 2 + 1 {
            let named =
                |damage: &Damage| matches!(damage, Damage::Blob { why: Flaw::Unauthentic, .. });
            assert!(found.iter().any(named), "byte {at}: {found:?}");
        }
    }
}

/// Opens the repository in the same home and stores the files once more.
fn store_again(store: &MemoryStore, home: &Home, files: &Files) -> Healing {
    let writer = writer(&open_in(store, home).unwrap()).unwrap();
    commit(&writer, files).unwrap();
    writer.healing()
}

#[test]
fn a_pack_that_was_damaged_in_place_is_stored_again_once_it_is_known() {
    for found_by_check in [true, false] {
        let home = Home::new();
        let store = filled(&home);
        let pack = data_pack(&store);
        store.damage(FileKind::Pack, pack, |data| data[100] ^= 1);
        // Its length tells nothing.
        let whole = writer(&open_in(&store, &home).unwrap()).unwrap().healing();
        assert_eq!(whole, Healing::default());
        let repository = open_in(&store, &home).unwrap();
        if found_by_check {
            assert!(!repository.check(true, &mut |_| ()).unwrap().is_ok());
        } else {
            let snapshot = repository.resolve("latest", None).unwrap();
            files_of(&repository, &snapshot).unwrap_err();
        }
        let healed = store_again(&store, &home, &some_files());
        assert_eq!(
            (healed.packs.as_slice(), healed.lost, healed.brought),
            (&[pack.into()][..], 0, 1)
        );
        let repository = open_in(&store, &Home::new()).unwrap();
        for snapshot in repository.snapshots().unwrap() {
            assert!(files_of(&repository, &snapshot).unwrap() == some_files());
        }
        assert_eq!(check(&store, true), [Damage::ReplacedPack(pack.into())]);
        // There is nothing more to do.
        let packs = ids(&store, FileKind::Pack).len();
        assert_eq!(store_again(&store, &home, &some_files()), Healing::default());
        assert_eq!(ids(&store, FileKind::Pack).len(), packs);
    }
}

#[test]
fn what_can_be_read_of_a_damaged_pack_is_carried_over_and_the_rest_is_known_to_be_lost() {
    let home = Home::new();
    let store = filled(&home);
    let pack = data_pack(&store);
    store.damage(FileKind::Pack, pack, |data| data[100] ^= 1);
    let repository = open_in(&store, &home).unwrap();
    repository.check(true, &mut |_| ()).unwrap();
    let next = writer(&repository).unwrap();
    assert_eq!(next.healing().lost, 1);
    let snapshot = repository.resolve("latest", None).unwrap();
    let mut lost = Vec::new();
    repository
        .walk(&snapshot, |entry| -> Result<(), RepoError> {
            lost.extend(
                entry
                    .node
                    .content()
                    .filter(|content| !next.holds(content))
                    .map(|_| entry.path.clone()),
            );
            Ok(())
        })
        .unwrap();
    assert_eq!(lost.len(), 1, "{lost:?}");
    drop(next);
    // All others are whole without the pack.
    store.remove(FileKind::Pack, pack).unwrap();
    let repository = open_in(&store, &Home::new()).unwrap();
    for (path, data) in some_files().iter().filter(|(path, _)| **path != lost[0]) {
        let entry = repository.entry(&snapshot, path).unwrap().unwrap();
        assert!(repository.read(entry.node.content().unwrap()).unwrap() == *data, "{path}");
    }
}

#[test]
fn a_pack_that_is_whole_again_is_built_upon() {
    let home = Home::new();
    let store = filled(&home);
    let pack = data_pack(&store);
    for damaged in [true, false] {
        store.damage(FileKind::Pack, pack, |data| data[100] ^= 1);
        let repository = open_in(&store, &home).unwrap();
        assert_eq!(repository.check(true, &mut |_| ()).unwrap().is_ok(), !damaged);
    }
    assert_eq!(store_again(&store, &home, &some_files()), Healing::default());
}

#[test]
fn reading_a_damaged_file_names_the_pack_and_spares_the_others() {
    let home = Home::new();
    let store = filled(&home);
    let pack = data_pack(&store);
    store.damage(FileKind::Pack, pack, |data| data[100] ^= 1);
    let repository = open_in(&store, &home).unwrap();
    let snapshot = repository.resolve("latest", None).unwrap();
    let mut failed = 0;
    for path in some_files().keys() {
        let entry = repository.entry(&snapshot, path).unwrap().unwrap();
        match repository.read(entry.node.content().unwrap()) {
            Ok(data) => assert_eq!(data, some_files()[path]),
            Err(RepoError::Damaged(Damage::Blob {
                pack: named, why: Flaw::Unauthentic, ..
            })) => {
                assert_eq!(named, pack.into());
                failed += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(failed, 1);
}

#[test]
fn a_missing_pack_is_named_and_healed_by_the_next_backup() {
    let home = Home::new();
    for pack in [data_pack, tree_pack] {
        let store = filled(&home);
        let pack = pack(&store);
        store.remove(FileKind::Pack, pack).unwrap();
        let missing = Damage::MissingFile { kind: FileKind::Pack, id: pack };
        assert!(check(&store, false).contains(&missing));
        heals(&store);
        assert_eq!(check(&store, true), [Damage::ReplacedPack(pack.into())]);
    }
}

#[test]
fn a_pack_that_was_stored_again_only_in_part_is_still_damage() {
    let home = Home::new();
    let store = filled(&home);
    let pack = data_pack(&store);
    store.damage(FileKind::Pack, pack, |data| data.truncate(data.len() / 2));
    let mut fewer = some_files();
    fewer.pop_first();
    let repository = open_in(&store, &home).unwrap();
    commit(&writer(&repository).unwrap(), &fewer).unwrap();
    let short = Damage::File { kind: FileKind::Pack, id: pack, why: Flaw::Length };
    assert!(check(&store, false).contains(&short));
}

#[test]
fn a_missing_or_damaged_index_is_made_again() {
    let home = Home::new();
    let store = filled(&home);
    let index = ids(&store, FileKind::Index)[0];
    let lost = store.fork();
    lost.remove(FileKind::Index, index).unwrap();
    assert!(check(&lost, false).iter().any(|damage| matches!(damage, Damage::MissingBlob { .. })));
    let packs = ids(&lost, FileKind::Pack).len();
    heals(&lost);
    assert_eq!(ids(&lost, FileKind::Pack).len(), packs, "what was there is not stored again");
    assert!(check(&lost, true).is_empty());

    store.damage(FileKind::Index, index, |data| data[30] ^= 1);
    let broken = Damage::File { kind: FileKind::Index, id: index, why: Flaw::Unauthentic };
    assert!(check(&store, false).contains(&broken));
    let repository = open_in(&store, &home).unwrap();
    let snapshot = repository.resolve("latest", None).unwrap();
    let fresh = Home::new();
    let unread = files_of(&open_in(&store, &fresh).unwrap(), &snapshot).unwrap_err();
    assert!(matches!(unread, RepoError::Damaged(named) if named == broken));
    heals(&store);
}

#[test]
fn where_the_only_snapshot_file_is_damaged_latest_names_it() {
    let home = Home::new();
    let store = filled(&home);
    let snapshot = ids(&store, FileKind::Snapshot)[0];
    store.damage(FileKind::Snapshot, snapshot, |data| data[40] ^= 1);
    let broken = Damage::File { kind: FileKind::Snapshot, id: snapshot, why: Flaw::Unauthentic };
    assert!(check(&store, false).contains(&broken));
    let repository = open_in(&store, &home).unwrap();
    assert!(repository.snapshots().unwrap().is_empty());
    assert!(
        matches!(repository.resolve("latest", None), Err(RepoError::Damaged(named)) if named == broken)
    );
    heals(&store);
    // A newer one that can be read is the latest; who asks by time learns what cannot.
    let (latest, unread) =
        open_in(&store, &home).unwrap().resolve_and_damage("latest", None).unwrap();
    assert_eq!(unread, [broken]);
    let named = latest.id.to_string();
    let (found, unread) = open_in(&store, &home).unwrap().resolve_and_damage(&named, None).unwrap();
    assert_eq!((found.id, unread), (latest.id, Vec::new()));
}

#[test]
fn removed_keys_and_a_damaged_configuration() {
    let home = Home::new();
    let store = filled(&home);
    let bare = store.fork();
    bare.remove(FileKind::Key, ids(&store, FileKind::Key)[0]).unwrap();
    assert!(matches!(unlock(&bare, &home), Err(RepoError::NoKey)));
    store.damage(FileKind::Config, ids(&store, FileKind::Config)[0], |data| data[40] ^= 1);
    assert!(unlock(&store, &home).is_err());
}

#[test]
fn leftovers_of_a_killed_run_go_away() {
    let home = Home::new();
    let repository = home.init();
    let leftover = home.path("repository/tmp/0123456789abcdef");
    fs_err::create_dir_all(leftover.parent().unwrap()).unwrap();
    fs_err::write(&leftover, b"half a pack").unwrap();
    let first = writer(&repository).unwrap();
    assert!(!leftover.exists());
    // Not while somebody else writes: it could be theirs.
    fs_err::write(&leftover, b"half a pack").unwrap();
    drop(writer(&home.open()).unwrap());
    assert!(leftover.exists());
    drop(first);
    drop(writer(&repository).unwrap());
    assert!(!leftover.exists());
}

#[test]
fn a_run_that_is_dropped_keeps_what_arrived() {
    let (home, store) = (Home::new(), empty());
    let data = noise(21, 5_000_000);
    let first = writer(&open_in(&store, &home).unwrap()).unwrap();
    first.store(data.as_slice(), None).unwrap();
    drop(first);
    let next = writer(&open_in(&store, &home).unwrap()).unwrap();
    next.store(data.as_slice(), None).unwrap();
    assert_eq!(next.stats().blobs_new, 0);
}

#[test]
fn a_full_disk_is_an_error_of_its_own() {
    let home = Home::new();
    let store = filled(&home);
    let repository = open_in(&store, &home).unwrap();
    let writer = writer(&repository).unwrap();
    store.fill_up();
    let mut files = Files::new();
    files.insert("new".into(), noise(30, 3_000_000));
    let error = commit(&writer, &files);
    assert!(matches!(error, Err(RepoError::NoSpace { .. })), "{error:?}");
    assert!(matches!(writer.flush(), Err(RepoError::Stopped(_))));
    drop(writer);
    store.heal();
    heals(&store);
}

/// The machine dies after the n-th write, for every n. Afterwards the snapshots of before can be read, the next run
/// works, and what was stored is not stored again.
#[test]
fn a_machine_that_dies_after_any_write() {
    let home = Home::new();
    let before = filled(&home);
    let old: SnapshotId = ids(&before, FileKind::Snapshot)[0].into();
    let mut more = some_files();
    more.insert("files/HomeDomain/new.bin".into(), noise(40, 2_000_000));
    more.insert("files/HomeDomain/new.txt".into(), prose(41, 100_000));
    let mut writes = 0;
    loop {
        let store = before.fork();
        store.fail_after(writes);
        let committed = open_in(&store, &home)
            .and_then(|repository| writer(&repository).and_then(|writer| commit(&writer, &more)))
            .is_ok();
        store.heal();
        let repository = open_in(&store, &home).unwrap();
        let snapshots = repository.snapshots().unwrap();
        assert_eq!(snapshots.len(), 1 + usize::from(committed), "{writes} writes");
        let first = snapshots.iter().find(|snapshot| snapshot.id == old).unwrap();
        assert!(files_of(&repository, first).unwrap() == some_files(), "{writes} writes");
        let packs = ids(&store, FileKind::Pack).len();
        let next = writer(&repository).unwrap();
        commit(&next, &more).unwrap();
        drop(next);
        assert!(
            ids(&store, FileKind::Pack).len()
                <= packs.max(before.list(FileKind::Pack).unwrap().len() + 2) + 2
        );
        let repository = open_in(&store, &home).unwrap();
        for snapshot in repository.snapshots().unwrap().iter().filter(|snapshot| snapshot.id != old)
        {
            assert!(files_of(&repository, snapshot).unwrap() == more, "{writes} writes");
        }
        assert!(repository.check(true, &mut |_| ()).unwrap().damage.is_empty(), "{writes} writes");
        if committed {
            break;
        }
        writes += 1;
    }
    assert!(writes >= 5, "lock, packs, index and snapshot are writes: {writes}");
}

/// Another program prunes beside whoever reads without a lock, or before that lock is taken.
#[test]
fn what_went_away_between_listing_and_reading_is_passed_over_and_is_no_damage() {
    let home = Home::new();
    let store = filled(&home);
    let old = ids(&store, FileKind::Snapshot)[0];
    commit(&writer(&open_in(&store, &home).unwrap()).unwrap(), &some_files()).unwrap();
    for kind in [FileKind::Snapshot, FileKind::Index] {
        let store = store.fork();
        let gone = match kind {
            FileKind::Snapshot => old,
            _ => lifeboat_repo::FileId::new([7; 32]),
        };
        store.vanish(kind, gone);
        let repository = open_in(&store, &Home::new()).unwrap();
        let (snapshots, damage) = repository.snapshots_and_damage().unwrap();
        assert_eq!(damage, []);
        assert_eq!(snapshots.len(), if kind == FileKind::Snapshot { 1 } else { 2 });
        let report = repository.check(true, &mut |_| ()).unwrap();
        assert_eq!(report.damage, [], "{kind}");
        assert!(files_of(&repository, &snapshots[0]).unwrap() == some_files());
        // A writer does not take it for damage either.
        assert_eq!(writer(&repository).unwrap().unread_indexes(), []);
    }
    // One that is there and cannot be read is damage all the same.
    for kind in [FileKind::Snapshot, FileKind::Index] {
        let store = store.fork();
        store.damage(kind, ids(&store, kind)[0], |data| data[20] ^= 1);
        assert!(!open_in(&store, &home).unwrap().check(false, &mut |_| ()).unwrap().is_ok());
    }
}

/// A snapshot that says nothing of itself is what a broken run left; one that cannot be asked may be a backup.
#[test]
fn a_partial_snapshot_that_cannot_be_looked_into_counts_as_a_backup() {
    let home = Home::new();
    let store = empty();
    let write = |files: &Files| {
        let writer = writer(&open_in(&store, &home).unwrap()).unwrap();
        crate::support::commit_as(&writer, files, lifeboat_repo::Tag::Partial).unwrap()
    };
    let mut files = some_files();
    files.remove(lifeboat_repo::ABOUT);
    let left = write(&files);
    let repository = open_in(&store, &home).unwrap();
    assert!(!repository.is_backup(&repository.resolve(&left.to_string(), None).unwrap()));
    assert!(matches!(repository.resolve("latest", None), Err(RepoError::NoSuchSnapshot(_))));
    let packs = ids(&store, FileKind::Pack);
    // A name that no other blob has: the folder is in the new packs alone.
    files.insert("lifeboat/ids.json".into(), b"{}".to_vec());
    files.insert(lifeboat_repo::ABOUT.into(), b"{}".to_vec());
    let backup = write(&files);
    for is_damaged in [false, true] {
        if is_damaged {
            for pack in ids(&store, FileKind::Pack).iter().filter(|pack| !packs.contains(pack)) {
                store.damage(FileKind::Pack, *pack, |data| data.iter_mut().for_each(|b| *b ^= 1));
            }
        }
        let repository = open_in(&store, &Home::new()).unwrap();
        let found = repository.resolve("latest", None).unwrap();
        assert_eq!(found.id, backup, "damaged: {is_damaged}");
        assert!(repository.is_backup(&found), "damaged: {is_damaged}");
        assert_eq!(repository.entry(&found, lifeboat_repo::ABOUT).is_err(), is_damaged);
    }
}
