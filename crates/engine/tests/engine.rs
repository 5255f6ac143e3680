//! The jobs against a simulated iPhone over real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use camino::Utf8Path;
use lifeboat_engine::jobs::backup::{BackupSummary, Kind};
use lifeboat_engine::jobs::export::{self, ExportPlan, Form};
use lifeboat_engine::jobs::snapshots::{self, FileKind, Look};
use lifeboat_engine::jobs::{check, devices, pair, status};
use lifeboat_engine::{Cause, Event, ExitClass, Outcome};

use crate::support::{Bench, sha256, tree};

/// Exports the newest snapshot.
async fn export_to(
    bench: &Bench,
    target: &Utf8Path,
    snapshot: &str,
    form: Form,
) -> export::ExportSummary {
    let plan = ExportPlan {
        places: bench.places(),
        snapshot: snapshot.to_owned(),
        udid: None,
        target: target.to_owned(),
        form,
    };
    export::run(&bench.context(), plan).await.unwrap()
}

/// Says that the files of a snapshot are what the phone has.
async fn assert_oracle(bench: &Bench, name: &str, snapshot: &str) {
    let target = bench.root.join(name);
    let exported = export_to(bench, &target, snapshot, Form::Files).await;
    assert_eq!(exported.outcome, Outcome::Done);
    let mut have = tree(&target);
    for renamed in &exported.renamed {
        let digest = have.remove(&renamed.to).unwrap();
        have.insert(renamed.from.clone(), digest);
    }
    let want = bench.oracle().await;
    let both: BTreeMap<_, _> = have
        .keys()
        .chain(want.keys())
        .map(|path| (path, (have.get(path), want.get(path))))
        .collect();
    let wrong: Vec<_> = both.into_iter().filter(|(_, (have, want))| have != want).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backups_and_all_that_can_be_done_with_them() {
    let bench = Bench::new("").await;
    let found = devices::run(&bench.context(), &bench.mux).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].trust, devices::Trust::NotTrusted);
    assert_eq!(bench.backup().await.unwrap_err().cause, Cause::NotTrusted);
    bench.pair().await;
    let found = devices::run(&bench.context(), &bench.mux).await.unwrap();
    assert_eq!((found[0].trust, found[0].backup_encrypted), (devices::Trust::Trusted, Some(false)));

    let first = bench.backup().await.unwrap();
    assert_eq!(
        (first.outcome, first.kind, first.resumed),
        (Outcome::Done, Some(Kind::Full), false)
    );
    let sent = bench.traffic();
    assert_eq!((first.files_received, first.bytes_received), (sent.files_sent, sent.bytes_sent));
    assert_eq!((first.files_total, first.files_kept), (first.files_received, 0));
    assert_eq!(first.recovery_sheet.as_deref(), Some("not yet shown"));
    assert_eq!(
        first.notes.iter().filter(|note| note.id != "sealed").count(),
        0,
        "{:?}",
        first.notes
    );
    let before = first.snapshot.clone().unwrap();
    assert_oracle(&bench, "files-1", &before).await;
    let apple_first =
        tree(&export_to(&bench, &bench.root.join("finder-1"), "latest", Form::Finder).await.folder);

    bench.live(1).await;
    let second = bench.backup().await.unwrap();
    assert_eq!((second.outcome, second.kind), (Outcome::Done, Some(Kind::Incremental)));
    let sent = bench.traffic();
    assert_eq!(sent.kind.as_deref(), Some("incremental"));
    assert_eq!((second.files_received, second.bytes_received), (sent.files_sent, sent.bytes_sent));
    assert!(second.files_received > 0 && second.files_received < second.files_total / 2);
    assert_eq!(second.recovery_sheet.as_deref(), Some("not yet shown"), "nobody has seen it");
    assert_oracle(&bench, "files-2", "latest").await;

    // The first snapshot is what it was.
    let again = tree(
        &export_to(&bench, &bench.root.join("finder-1-again"), &before, Form::Finder).await.folder,
    );
    assert_eq!(again, apple_first);
    looks(&bench, &before).await;
    checks(&bench).await;
}

async fn looks(bench: &Bench, before: &str) {
    let ctx = bench.context();
    let listed = snapshots::list(&ctx, bench.places(), None).await.unwrap().snapshots;
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|info| info.tag == "complete" && info.ios.is_some() && info.files.is_some())
    );
    let look = || Look::Snapshot { places: bench.places(), snapshot: "latest".into(), udid: None };
    let details = snapshots::show(&ctx, look()).await.unwrap();
    assert_eq!(
        details.domains.iter().map(|domain| domain.files).sum::<u64>() + details.sealed,
        details.info.files.unwrap()
    );
    let folder = bench.root.join("finder-2");
    export_to(bench, &folder, "latest", Form::Finder).await;
    let beside = Look::Folder { folder, cache: bench.root.join("cache") };
    let names = |listed: Vec<snapshots::Listed>| {
        listed
            .into_iter()
            .map(|entry| (entry.path, entry.kind, entry.size, entry.target))
            .collect::<Vec<_>>()
    };
    let mut inside = names(snapshots::ls(&ctx, look(), "", true).await.unwrap());
    inside.sort();
    let mut outside = names(snapshots::ls(&ctx, beside.clone(), "", true).await.unwrap());
    outside.sort();
    let differ: Vec<_> = inside
        .iter()
        .filter(|line| !outside.contains(line))
        .chain(outside.iter().filter(|line| !inside.contains(line)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
    let sms = "HomeDomain/Library/SMS/sms.db";
    let from_snapshot = bench.cat(look(), sms).await;
    assert!(from_snapshot.starts_with(b"SQLite format 3\0"));
    assert_eq!(from_snapshot, bench.cat(beside.clone(), sms).await);
    assert_eq!(
        bench.cat(look(), "backup/Manifest.db").await,
        bench.cat(beside, "backup/Manifest.db").await
    );
    let found = snapshots::find(&ctx, bench.places(), None, None, "*/sms.db").await.unwrap().found;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|found| found.entry.kind == FileKind::File));
    let difference = snapshots::diff(&ctx, bench.places(), None, before, "latest").await.unwrap();
    assert!(difference.changed.iter().any(|changed| changed.path == sms));
    let same = snapshots::diff(&ctx, bench.places(), None, before, before).await.unwrap();
    assert!(same.added.is_empty() && same.removed.is_empty() && same.changed.is_empty());
    let missing = snapshots::ls(&ctx, look(), "HomeDomain/no/such", false).await.unwrap_err();
    assert_eq!(missing.cause, Cause::NoSuchPath);
}

async fn checks(bench: &Bench) {
    let ctx = bench.context();
    let summary = check::run(&ctx, bench.places(), true).await.unwrap();
    assert_eq!((summary.outcome, summary.snapshots), (Outcome::Done, 2), "{:?}", summary.findings);
    assert!(summary.files > 0 && summary.bytes_read > 0);
    let states = status::run(&ctx, bench.places(), None, None).await.unwrap().devices;
    assert_eq!(states.len(), 1);
    assert_eq!((states[0].snapshots, states[0].stale, states[0].broken_run), (2, false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_breaks_goes_on_where_it_stopped() {
    let bench = Bench::new("").await;
    bench.pair().await;
    for after in [8, 200, 517, 519, 521, 524, 530] {
        bench.fault("drop", &[("after", &after.to_string())]);
        let result = bench.backup().await;
        bench.clear_faults();
        let Err(error) = result else { continue };
        assert_eq!(error.exit(), ExitClass::ConnectionLost, "after {after}: {error:?}");
        assert!(error.summary.unwrap().snapshot.is_none());
    }
    let whole = bench.backup().await.unwrap();
    assert_eq!((whole.outcome, whole.resumed), (Outcome::Done, true));
    assert_eq!(whole.bytes_sent_again, bench.traffic().bytes_sent_again);
    assert_eq!(whole.bytes_sent_again, 0, "nothing comes twice");
    assert_oracle(&bench, "files", "latest").await;
    let summary = check::run(&bench.context(), bench.places(), false).await.unwrap();
    assert_eq!(summary.outcome, Outcome::Done, "{:?}", summary.findings);
    // The snapshot of a broken run never was: there is one.
    assert_eq!(
        snapshots::list(&bench.context(), bench.places(), None).await.unwrap().snapshots.len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_named_and_the_rest_is_there() {
    let bench = Bench::new("").await;
    bench.pair().await;
    bench.fault("read-error", &[("file", "sms.db")]);
    let error = bench.backup().await.unwrap_err();
    assert_eq!(
        (error.cause, error.exit()),
        (Cause::TransferFailed, ExitClass::Failed),
        "{error:?}"
    );
    assert!(error.message.contains("could not read 1 file and") && error.message.contains("104"));
    let summary = error.summary.unwrap();
    assert_eq!((summary.outcome, summary.file_errors), (Outcome::Failed, 1));
    assert!(summary.snapshot.is_none(), "no snapshot is no incomplete one");
    assert!(summary.files_kept > 0);
    let told = bench.events();
    assert!(
        told.iter()
            .any(|event| matches!(event, Event::FileError { path, .. } if path.contains("sms.db")))
    );
    bench.clear_faults();
    let summary = bench.backup().await.unwrap();
    assert_eq!(
        (summary.outcome, summary.resumed, summary.files_received),
        (Outcome::Done, true, 1),
        "{summary:?}"
    );
    assert_oracle(&bench, "files", "latest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_locks_meanwhile_postpones_and_keeps_what_arrived() {
    let bench = Bench::new("passcode = true").await;
    bench.pair().await;
    bench.fault("locked-during-run", &[("after", "20")]);
    let error = bench.backup().await.unwrap_err();
    assert_eq!(
        (error.cause, error.exit()),
        (Cause::DeviceLocked, ExitClass::Postponed),
        "{error:?}"
    );
    assert_eq!(error.clues.code, Some(104), "{error:?}");
    let summary = error.summary.unwrap();
    assert_eq!(summary.outcome, Outcome::Postponed);
    assert!(summary.snapshot.is_none() && summary.files_kept >= 20, "{summary:?}");
    assert!(summary.next_step.unwrap().contains("kept"));
    bench.clear_faults();
    bench.unlock();
    let summary = bench.backup().await.unwrap();
    assert_eq!((summary.outcome, summary.resumed), (Outcome::Done, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_on_healthy_devices_is_a_note_of_a_run_that_is_done() {
    let bench = Bench::new("").await;
    bench.pair().await;
    bench.fault("harmless-io-error", &[]);
    let summary = bench.backup().await.unwrap();
    assert_eq!((summary.outcome, summary.file_errors, summary.cause), (Outcome::Done, 0, None));
    assert!(summary.snapshot.is_some());
    let note = summary.notes.iter().find(|note| note.id == "harmless-file").expect("a note");
    assert!(note.message.contains("backup_manifest.db"), "{note:?}");
    let told = bench.events();
    assert!(!told.iter().any(|event| matches!(event, Event::FileError { .. })), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_cause() {
    let cases = [
        ("before-first-unlock", "", Cause::NotUnlockedSinceStart, ExitClass::Postponed),
        ("invalid-host", "", Cause::PairingStale, ExitClass::DeviceNotTrusted),
        ("path-traversal", "", Cause::HostileData, ExitClass::Failed),
        ("absolute-path", "", Cause::HostileData, ExitClass::Failed),
        ("plist-bomb", "", Cause::HostileData, ExitClass::Failed),
        ("huge-frame", "", Cause::HostileData, ExitClass::Failed),
        ("truncated-upload", "", Cause::ConnectionLost, ExitClass::ConnectionLost),
        ("error", "code=208", Cause::PasscodeNotEntered, ExitClass::PasscodeNotEntered),
        ("error", "code=205", Cause::BackupRejected, ExitClass::Failed),
        ("error", "code=13", Cause::NotUnlockedSinceStart, ExitClass::Postponed),
        ("tls-abort", "", Cause::HandshakeBroken, ExitClass::ConnectionLost),
        ("space-demand", "bytes=900000000000000", Cause::NotEnoughSpace, ExitClass::NoSpace),
    ];
    let bench = Bench::new("").await;
    bench.pair().await;
    let whole = bench.backup().await.unwrap();
    for (fault, values, cause, exit) in cases {
        bench.live(1).await;
        bench.fault(fault, &values.split_once('=').into_iter().collect::<Vec<_>>());
        let error = bench.backup().await.expect_err(fault);
        bench.clear_faults();
        bench.unlock();
        assert_eq!((error.cause, error.exit()), (cause, exit), "{fault}: {error:?}");
        let summary = error.summary.unwrap();
        assert_eq!(summary.cause, Some(cause));
        assert!(summary.snapshot.is_none() && summary.outcome != Outcome::Done);
        if cause == Cause::PairingStale {
            bench.pair().await;
        }
    }
    let last = bench.backup().await.unwrap();
    assert_eq!(last.outcome, Outcome::Done);
    assert_oracle(&bench, "files", "latest").await;
    let listed = snapshots::list(&bench.context(), bench.places(), None).await.unwrap().snapshots;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].id, whole.snapshot.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn full_starts_over_and_leaves_what_is_there() {
    let bench = Bench::new("").await;
    bench.pair().await;
    let first = bench.backup().await.unwrap();
    let full = bench.backup_with(|plan| plan.full = true).await.unwrap();
    assert_eq!((full.outcome, full.kind), (Outcome::Done, Some(Kind::Full)));
    assert_eq!(full.files_received, first.files_received);
    assert!(
        full.bytes_added < first.bytes_added / 4,
        "{} after {}",
        full.bytes_added,
        first.bytes_added
    );
    assert_eq!(
        snapshots::list(&bench.context(), bench.places(), None).await.unwrap().snapshots.len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_that_nobody_saw_is_told_of_until_somebody_does() {
    let bench = Bench::new("").await;
    bench.pair().await;
    // The run that makes the repository does not come to its end.
    bench.fault("drop", &[("after", "200")]);
    let told = bench.backup().await.unwrap_err().summary.unwrap().recovery_sheet;
    assert_eq!(told.as_deref(), Some("not yet shown"));
    bench.clear_faults();
    let told = bench.backup().await.unwrap().recovery_sheet;
    assert_eq!(told.as_deref(), Some("not yet shown"));
    bench.places().sheet_shown().unwrap();
    assert_eq!(bench.backup().await.unwrap().recovery_sheet, None);
    bench.places().sheet_shown().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_went_away_meanwhile_is_a_note_of_a_run_that_is_done() {
    let bench = Bench::new("").await;
    bench.pair().await;
    bench.fault("vanish", &[("file", "sms.db")]);
    let summary = bench.backup().await.unwrap();
    assert_eq!(summary.outcome, Outcome::Done, "{summary:?}");
    let note = summary.notes.iter().find(|note| note.id == "known-incomplete").unwrap();
    assert!(note.message.contains("HomeDomain/Library/SMS/sms.db"), "{note:?}");
    let checked = check::run(&bench.context(), bench.places(), true).await.unwrap();
    assert_eq!(checked.outcome, Outcome::Done, "{:?}", checked.findings);
}

/// What a run notes, but for names that cannot be paths: the phone has two of them.
fn noted(summary: &BackupSummary) -> Vec<&str> {
    summary.notes.iter().map(|note| note.id.as_str()).filter(|id| *id != "sealed").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_run_is_not_built_upon_and_no_row_cries_wolf() {
    let bench = Bench::new("manifest = \"rebuilt\"").await;
    bench.pair().await;
    bench.backup().await.unwrap();
    for _ in 0..3 {
        bench.live(1).await;
        let summary = bench.backup().await.unwrap();
        assert_eq!((summary.outcome, noted(&summary)), (Outcome::Done, Vec::new()));
    }
    let whole = bench.oracle().await;
    for name in ["sms.db", "History.db"] {
        bench.live(1).await;
        bench.fault("forgotten", &[("file", name)]);
        let summary = bench.backup().await.unwrap();
        bench.clear_faults();
        assert_eq!((summary.outcome, summary.file_errors), (Outcome::Incomplete, 1), "{summary:?}");
        assert_eq!(summary.kind, Some(Kind::Incremental));
    }
    let states = status::run(&bench.context(), bench.places(), None, None).await.unwrap().devices;
    assert_eq!((states[0].snapshots, states[0].newest.files_missing), (4, 1));
    assert!(!states[0].newest.complete && states[0].age_seconds >= Some(2 * 3600));
    let summary = bench.backup().await.unwrap();
    assert_eq!((summary.outcome, summary.kind), (Outcome::Done, Some(Kind::Incremental)));
    let changed =
        bench.oracle().await.iter().filter(|(path, sum)| whole.get(*path) != Some(sum)).count();
    assert_eq!(bench.traffic().files_sent, changed as u64, "what changed since the last whole one");
    assert_oracle(&bench, "files", "latest").await;
    let checked = check::run(&bench.context(), bench.places(), true).await.unwrap();
    assert_eq!(
        (checked.outcome, checked.known_incomplete),
        (Outcome::Done, 2),
        "{:?}",
        checked.findings
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_that_went_away_meanwhile_is_told_and_comes_with_the_next_run() {
    let bench = Bench::new("").await;
    bench.pair().await;
    bench.backup().await.unwrap();
    bench.live(1).await;
    bench.fault("vanish", &[("file", "History.db")]);
    let summary = bench.backup().await.unwrap();
    bench.clear_faults();
    let note = summary.notes.iter().find(|note| note.id == "known-incomplete").unwrap();
    assert!(note.message.contains("HomeDomain/Library/Safari/History.db"), "{note:?}");
    assert_eq!(summary.outcome, Outcome::Done);
    let summary = bench.backup().await.unwrap();
    assert_eq!((summary.outcome, noted(&summary)), (Outcome::Done, Vec::new()));
    assert_eq!(bench.traffic().files_sent, 1);
    assert_oracle(&bench, "files", "latest").await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_what_is_exported() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Utf8Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    let bench = Bench::new("").await;
    bench.pair().await;
    bench.backup().await.unwrap();
    for (form, name) in [(Form::Finder, "finder"), (Form::Files, "files")] {
        let made = bench.root.join("made").join(name);
        // A folder that was there keeps its mode: what this puts into it is private all the same.
        let there = bench.root.join("there").join(name);
        fs_err::create_dir_all(&there).unwrap();
        fs_err::set_permissions(&there, std::fs::Permissions::from_mode(0o755)).unwrap();
        for target in [&made, &there] {
            export_to(&bench, target, "latest", form).await;
            for entry in target.read_dir_utf8().unwrap() {
                let path = entry.unwrap().into_path();
                assert_eq!(mode(&path), 0o700, "{path}");
            }
        }
        assert_eq!((mode(&made), mode(&there)), (0o700, 0o755));
    }
    let finder = bench.root.join("made/finder");
    for path in tree(&finder).keys() {
        assert_eq!(mode(&finder.join(path)), 0o600, "{path}");
    }
    let sms = bench.root.join("made/files/HomeDomain/Library/SMS/sms.db");
    assert_eq!(mode(&sms), 0o644, "a plain file has the mode of the device");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_a_run_keeps_what_came() {
    let bench = Bench::new("throttle = 400000").await;
    bench.pair().await;
    let ctx = bench.context_that_cancels(
        |event| matches!(event, Event::Progress(progress) if progress.files >= 20),
    );
    let error = bench.backup_in(&ctx, |_| {}).await.unwrap_err();
    assert_eq!(error.exit(), ExitClass::Interrupted, "{error:?}");
    let kept = error.summary.unwrap();
    assert_eq!(kept.outcome, Outcome::Interrupted);
    assert!(kept.files_kept >= 20 && kept.bytes_kept > 0);
    let states = bench.places().working_area;
    assert!(states.join(&kept.udid).join("journal").exists());
    let whole = bench.backup().await.unwrap();
    assert!(whole.resumed);
    // The device sends again what it was not told to have arrived: one batch at most.
    assert!(whole.files_received + kept.files_kept <= whole.files_total + 128);
    assert_oracle(&bench, "files", "latest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_long_holds_a_lock_until_the_end() {
    let bench = Bench::new("").await;
    bench.pair().await;
    bench.backup().await.unwrap();
    let locks = bench.places().repository.join("locks");
    let held = move || locks.read_dir_utf8().unwrap().count();
    for stopped in [false, true] {
        // What is held while progress is told, and whether it is stopped there.
        let watched = || {
            let (most, held) = (Arc::new(AtomicUsize::new(0)), held.clone());
            let seen = most.clone();
            let ctx = bench.context_that_cancels(move |event| {
                let tells = matches!(event, Event::Progress(_));
                if tells {
                    seen.fetch_max(held(), Relaxed);
                }
                stopped && tells
            });
            (ctx, most)
        };
        let expected = stopped.then_some(Cause::Interrupted);
        let (ctx, most) = watched();
        let checked = check::run(&ctx, bench.places(), true).await;
        assert_eq!(checked.err().map(|error| error.cause), expected, "check");
        assert_eq!((most.load(Relaxed), held()), (1, 0), "check, stopped: {stopped}");

        let (ctx, most) = watched();
        let plan = ExportPlan {
            places: bench.places(),
            snapshot: "latest".into(),
            udid: None,
            target: bench.root.join(format!("locked-{stopped}")),
            form: Form::Finder,
        };
        let exported = export::run(&ctx, plan).await;
        assert_eq!(exported.err().map(|error| error.cause), expected, "export");
        assert_eq!((most.load(Relaxed), held()), (1, 0), "export, stopped: {stopped}");
    }
    let look = Look::Snapshot { places: bench.places(), snapshot: "latest".into(), udid: None };
    snapshots::ls(&bench.context(), look, "HomeDomain/no/such", false).await.unwrap_err();
    assert_eq!(held(), 0, "after an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mux_or_a_device_it_says_so() {
    let mut bench = Bench::new("").await;
    let named =
        bench.backup_with(|plan| plan.udid = Some("00008110-00000000DEADBEEF".into())).await;
    assert_eq!(named.unwrap_err().exit(), ExitClass::DeviceNotFound);
    bench.unplug();
    assert_eq!(bench.backup().await.unwrap_err().cause, Cause::NoDevice);
    let none = pair::run(&bench.context(), &bench.mux, None, std::time::Duration::ZERO).await;
    assert_eq!(none.unwrap_err().cause, Cause::NoDevice);
    bench.mux = lifeboat_engine::Mux::Unix(bench.root.join("nobody.sock").into());
    let error = bench.backup().await.unwrap_err();
    assert_eq!((error.cause, error.exit()), (Cause::MuxUnreachable, ExitClass::DeviceNotFound));
}

#[test]
fn the_helpers_agree_about_digests() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256(b""), empty);
    assert_eq!(BTreeMap::<String, String>::new(), tree(Utf8Path::new("/nonexistent")));
}
