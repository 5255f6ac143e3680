//! What `check` says of snapshots that were not whole when they were made, and of those that are not any more.

use lifeboat_mobilesync::Tally;
use lifeboat_mobilesync::verify::Report;

use super::whole::{end, end_with, manifest, open_on_newest};
use super::*;
use crate::event::{Event, EventSink, Note};
use crate::job::{Context, Outcome, Places};
use crate::jobs::check::{self, CheckSummary};

/// Checks; returns what was found and the notes.
async fn checked(root: &Utf8Path) -> (CheckSummary, Vec<Note>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let told = notes.clone();
    let sink = EventSink::new(move |event| {
        if let Event::Note(note) = event {
            told.lock().unwrap().push(note);
        }
    });
    let places = Places {
        repository: root.join("repository"),
        password: Some("a password".to_owned().into()),
        key_file: root.join("key"),
        make_repository: false,
        working_area: root.join("work"),
        cache: root.join("cache"),
    };
    let ctx = Context::new(Arc::new(FakeHost::default()), sink);
    let summary = check::run(&ctx, places, true).await.unwrap();
    let notes = notes.lock().unwrap().clone();
    (summary, notes)
}

/// What a device sends: a good file, one that is not what its row says, and a row that nobody can read.
fn odd_backup(root: &Utf8Path) -> (WorkingTree, Vec<u8>) {
    let (mut tree, _) = open_on_newest(root);
    for (name, bytes) in [("good", b"good!"), ("bad", b"wrong")] {
        put(&mut tree, &FileId::of("HomeDomain", name).path(), bytes).unwrap();
    }
    let files: [(&str, &[u8]); 2] = [("good", b"good!"), ("bad", b"right")];
    (tree, manifest(root, &files, &[FileId::of("HomeDomain", "odd")]))
}

#[tokio::test]
async fn what_was_known_when_it_was_made_is_a_note() {
    let (_dir, root) = folder();
    let (mut tree, manifest) = odd_backup(&root);
    let (_, stored) = end(&mut tree, &manifest);
    assert_eq!((stored.about.known_damage.len(), stored.about.unreadable_rows), (1, 1));
    drop(tree);
    let (summary, notes) = checked(&root).await;
    assert_eq!((summary.outcome, summary.known_incomplete), (Outcome::Done, 1), "{summary:?}");
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!(note.id, "known-incomplete");
    assert!(note.message.contains("1970-01-01T00:00:00Z"), "{note:?}");
    assert!(note.message.contains("2 files are missing"), "{note:?}");
    assert!(note.message.contains("(1 row of its manifest cannot be read)"), "{note:?}");
    assert!(note.message.contains("HomeDomain/bad"), "{note:?}");
}

#[tokio::test]
async fn what_was_not_known_is_damage() {
    let (_dir, root) = folder();
    let (mut tree, manifest) = odd_backup(&root);
    // As if all had been well when it was made.
    end_with(&mut tree, &manifest, |verified| {
        verified.report = Report::default();
        verified.tally = Tally::default();
        verified.without_record = 0;
    });
    drop(tree);
    let (summary, notes) = checked(&root).await;
    assert_eq!((summary.outcome, summary.known_incomplete), (Outcome::Failed, 0));
    let causes: Vec<&str> = summary.findings.iter().map(|found| found.cause.as_str()).collect();
    assert_eq!(causes, ["rows-unreadable", "file-damaged"], "{notes:?}");
}
