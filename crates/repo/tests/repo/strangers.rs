//! Stock restic reads what we write, and we read what it writes. `rustic_core` is asked by `Repository::check`.

use camino::Utf8Path;
use fs_err as fs;
use lifeboat_repo::{Entry, NodeKind, RepoError, Repository, Tag};
use secrecy::ExposeSecret as _;

use crate::support::{
    Files, Home, UDID, commit, files_of, noise, password, prose, real_clock, restic, some_files,
    try_restic, try_restic_with, writer,
};

/// Returns all plain files below a folder.
fn files_below(root: &Utf8Path, folder: &Utf8Path, files: &mut Files) {
    for entry in folder.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_below(root, entry.path(), files);
        } else if kind.is_file() {
            let path = entry.path().strip_prefix(root).unwrap().to_string();
            files.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn restic_checks_lists_and_restores_what_we_wrote() {
    let home = Home::new();
    let repository = home.init();
    let path = home.path("repository");
    let id = commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    // A second one, so that there is an index of several packs and a folder that both share.
    let mut more = some_files();
    more.insert("files/HomeDomain/second.txt".into(), prose(7, 70_000));
    commit(&writer(&repository).unwrap(), &more).unwrap();

    let checked = restic(&path, &home, &["check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
    let snapshots =
        restic(&path, &home, &["snapshots", "--json", "--host", UDID, "--tag", "complete"]);
    assert!(snapshots.contains(&id.to_string()), "{snapshots}");
    let listed = restic(&path, &home, &["ls", &id.to_string(), "-l"]);
    assert!(listed.contains("/files/HomeDomain/link"), "{listed}");
    assert!(listed.contains("-rw-r-----"), "{listed}");
    assert!(listed.contains("drwxr-x---   501"), "{listed}");

    let target = home.path("restored");
    restic(&path, &home, &["restore", &id.to_string(), "--target", target.as_str()]);
    let mut restored = Files::new();
    files_below(&target, &target, &mut restored);
    assert!(restored == some_files(), "{:?}", restored.keys());
    assert_eq!(
        fs::read_link(target.join("files/HomeDomain/link")).unwrap().to_str(),
        Some("Library/empty")
    );
    let metadata = fs::metadata(target.join("files/HomeDomain/Library/empty")).unwrap();
    let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!((modified.as_secs(), modified.subsec_nanos()), (1_700_000_000, 5_000_000));
}

#[test]
fn restic_takes_over_what_we_wrote() {
    let home = Home::new();
    let repository = home.init();
    let path = home.path("repository");
    commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    drop(repository);
    // Whatever restic writes anew of our trees must be what it would have written itself.
    restic(&path, &home, &["tag", "--add", "kept", "latest"]);
    restic(&path, &home, &["rebuild-index"]);
    restic(&path, &home, &["prune", "--max-unused", "0"]);
    let repository = home.open();
    let snapshot = repository.resolve("latest", Some(UDID)).unwrap();
    assert!(snapshot.is(Tag::Complete) && snapshot.tags.contains(&"kept".to_owned()));
    assert!(files_of(&repository, &snapshot).unwrap() == some_files());
    assert_eq!(repository.check(true, &mut |_| ()).unwrap().damage, []);
}

#[test]
fn restic_tidies_up_after_a_pack_was_truncated_and_stored_again() {
    let home = Home::new();
    let repository = home.init();
    let path = home.path("repository");
    commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    drop(repository);
    let mut packs = Files::new();
    files_below(&path.join("data"), &path.join("data"), &mut packs);
    for (name, data) in packs {
        let pack = path.join("data").join(name);
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, &data[..data.len() / 2]).unwrap();
    }
    commit(&writer(&home.open()).unwrap(), &some_files()).unwrap();
    restic(&path, &home, &["rebuild-index"]);
    let checked = restic(&path, &home, &["check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
    restic(&path, &home, &["prune", "--max-unused", "0"]);
    let repository = home.open();
    let snapshots = repository.snapshots().unwrap();
    assert_eq!(snapshots.len(), 2);
    for snapshot in snapshots {
        assert!(files_of(&repository, &snapshot).unwrap() == some_files());
    }
    assert_eq!(repository.check(true, &mut |_| ()).unwrap().damage, []);
}

#[test]
fn we_read_what_restic_wrote() {
    let home = Home::new();
    let path = home.path("repository");
    restic(&path, &home, &["init", "--repository-version", "2"]);
    let source = home.path("source");
    for (name, data) in some_files() {
        let file = source.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, data).unwrap();
    }
    fs::os::unix::fs::symlink("empty <target>", source.join("files/HomeDomain/Library/link"))
        .unwrap();
    let host = ["--host", UDID, "--tag", "complete"];
    restic(&path, &home, &[&["backup", "source"], host.as_slice()].concat());
    let repository = Repository::open(&home.location(), &password(), &home.cache()).unwrap();
    let snapshot = repository.resolve("latest", Some(UDID)).unwrap();
    let mut files = Files::new();
    let mut links = Vec::new();
    let mut folders = 0;
    repository
        .walk(&snapshot, |entry: &Entry| -> Result<(), RepoError> {
            let name = entry.path.strip_prefix("source/").unwrap_or(&entry.path).to_owned();
            match &entry.node.kind {
                NodeKind::File(content) => drop(files.insert(name, repository.read(content)?)),
                NodeKind::Symlink(target) => links.push((name, target.clone())),
                NodeKind::Directory => folders += 1,
            }
            Ok(())
        })
        .unwrap();
    assert!(files == some_files(), "{:?}", files.keys());
    assert_eq!(links, [("files/HomeDomain/Library/link".to_owned(), "empty <target>".to_owned())]);
    assert!(folders > 4);
    assert_eq!(repository.check(true, &mut |_| ()).unwrap().damage, []);

    // And go on writing in it: small files are the same blobs, so they are not stored again.
    let writer = writer(&repository).unwrap();
    commit(&writer, &some_files()).unwrap();
    assert!(writer.stats().blobs_known >= 3, "{:?}", writer.stats());
    drop(writer);
    assert!(restic(&path, &home, &["check", "--read-data"]).contains("no errors were found"));
}

#[test]
fn our_trees_are_to_the_byte_what_restic_writes() {
    let home = Home::new();
    let path = home.path("repository");
    restic(&path, &home, &["init", "--repository-version", "2"]);
    let source = home.path("source");
    fs::create_dir_all(&source).unwrap();
    for name in
        ["a&b", "q\"uote", "back\\slash", "ümlaut", "zero\u{200b}width", "tab\tnew\nline", "名前"]
    {
        fs::write(source.join(name), prose(1, 100)).unwrap();
    }
    restic(&path, &home, &["backup", "source", "--host", UDID]);
    let repository = Repository::open(&home.location(), &password(), &home.cache()).unwrap();
    let snapshot = repository.snapshots().unwrap().pop().unwrap();
    let names: Vec<String> = repository
        .entries(&snapshot, "source")
        .unwrap()
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect();
    assert_eq!(names.len(), 7);
    assert!(
        names.contains(&"zero\u{200b}width".to_owned())
            && names.contains(&"tab\tnew\nline".to_owned())
    );
    // The names as restic quoted them, against ours of the same files.
    let theirs = restic(&path, &home, &["cat", "blob", &tree_of(&repository, &snapshot)]);
    let writer = writer(&repository).unwrap();
    let mut tree = lifeboat_repo::TreeBuilder::new();
    for entry in repository.entries(&snapshot, "source").unwrap() {
        tree.add(entry.name(), entry.node.clone()).unwrap();
    }
    let (id, _) = writer.commit(tree, &crate::support::new_snapshot(Tag::Partial)).unwrap();
    drop(writer);
    let id = repository.resolve(&id.to_string(), None).unwrap().tree.to_string();
    let ours = restic(&path, &home, &["cat", "blob", &id]);
    let quoted = |json: &str| -> Vec<String> {
        json.split(r#"{"name":"#)
            .skip(1)
            .map(|node| node.split(r#","type""#).next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(quoted(&ours), quoted(&theirs));
}

fn tree_of(repository: &Repository, snapshot: &lifeboat_repo::Snapshot) -> String {
    repository.entry(snapshot, "source").unwrap().unwrap().tree.unwrap().to_string()
}

#[test]
fn locks_are_honoured_both_ways() {
    let home = Home::new();
    let repository = home.init();
    let path = home.path("repository");
    let writing = writer(&repository).unwrap();
    writing.store(noise(1, 1000).as_slice(), None).unwrap();
    let listed = restic(&path, &home, &["list", "locks"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let (pruned, _, error) = try_restic(&path, &home, &["prune"]);
    assert!(!pruned && error.contains("already locked"), "{error}");
    // Other writers may write beside us.
    fs::write(home.path("beside"), b"beside us").unwrap();
    restic(&path, &home, &["backup", "beside"]);
    // Restic takes our lock for that of a living process.
    restic(&path, &home, &["unlock"]);
    assert_eq!(restic(&path, &home, &["list", "locks"]).lines().count(), 1);
    // Somebody removes it all the same: then nothing is published.
    restic(&path, &home, &["unlock", "--remove-all"]);
    let error = commit(&writing, &some_files()).unwrap_err();
    assert!(matches!(error, RepoError::LockLost), "{error}");
    drop(writing);
    restic(&path, &home, &["prune"]);
}

#[test]
fn restic_does_not_prune_what_is_being_read() {
    let home = Home::new();
    let repository = home.init();
    let path = home.path("repository");
    commit(&writer(&repository).unwrap(), &some_files()).unwrap();
    let locks = || path.join("locks").read_dir_utf8().unwrap().count();

    let reading = repository.to_read(&real_clock()).unwrap();
    let beside = reading.clone();
    drop(reading);
    assert_eq!(locks(), 1, "it is held as long as one of the two is there");
    let (ok, out, err) = try_restic(&path, &home, &["prune"]);
    assert!(!ok && err.contains("repository is already locked"), "{out}\n{err}");
    assert!(err.contains("(lifeboat)"), "it says by whom\n{err}");
    // Whoever only adds is let in.
    writer(&repository).unwrap();
    beside.verify_lock().unwrap();
    drop(beside);
    assert_eq!(locks(), 0);
    restic(&path, &home, &["prune"]);
}

#[test]
fn what_restic_moved_meanwhile_is_found_where_it_is_now() {
    let home = Home::new();
    let repository = home.init();
    let path = home.path("repository");
    let mut more = some_files();
    more.insert("files/HomeDomain/goes".into(), noise(9, 300_000));
    let first = commit(&writer(&repository).unwrap(), &more).unwrap();
    let second = commit(&writer(&repository).unwrap(), &some_files()).unwrap();

    // Somebody who reads for a moment and holds no lock.
    let reader = home.open();
    let snapshot = reader.resolve(&second.to_string(), Some(UDID)).unwrap();
    reader.stats().unwrap();
    restic(&path, &home, &["forget", "--prune", "--max-unused", "0", &first.to_string()]);
    assert!(files_of(&reader, &snapshot).unwrap() == some_files());
}

#[test]
fn restic_opens_with_a_generated_password() {
    let home = Home::new();
    let generated = lifeboat_repo::generate_password();
    let made = Repository::init_generated(&home.location(), &generated, &home.cache()).unwrap();
    commit(&writer(&made).unwrap(), &some_files()).unwrap();
    drop(made);
    let check = |password: &str| {
        try_restic_with(&home.path("repository"), &home, password, &["check", "--read-data"])
    };
    let (ok, out, err) = check(generated.expose_secret());
    assert!(ok && out.contains("no errors were found"), "{out}{err}");
    let (ok, _, err) = check("another");
    assert!(!ok && err.contains("wrong password"), "{err}");
}
