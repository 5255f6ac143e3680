//! Errors: what a phone says, and what befalls it on the way.

use lifeboat_wire::plist_guard::{self, Limits};

use super::host::{Host, backup};
use super::{Home, fails, spec, succeeds};
use crate::options::PhoneSpec;

/// A phone on which one thing is set.
fn phone(key: &str, value: &str) -> Home {
    let home = Home::new(spec());
    home.phone.set_state(key, value).unwrap();
    home
}

#[tokio::test]
async fn what_a_phone_is_in_forbids_a_backup_in_the_words_of_a_phone() {
    for (key, value, code, text) in [
        (
            "setup-finished",
            "false",
            212,
            "Unable to backup until Setup is finished (MBErrorDomain/212)",
        ),
        (
            "restoring",
            "true",
            25,
            "iTunes Backup is unavailable while an iCloud Restore is in progress (MBErrorDomain/25)",
        ),
        (
            "management.forbids",
            "education",
            22,
            "iTunes Backup is disabled for this device in EDU mode (MBErrorDomain/22)",
        ),
        (
            "management.forbids",
            "behaviour",
            555,
            "Force disallowed by behavior option (MBErrorDomain/555)",
        ),
        (
            "management.encrypted-backup",
            "true",
            207,
            "No backup password set when required by device management (MBErrorDomain/207)",
        ),
        (
            "leftover",
            "snapshot",
            3,
            "Failed to create snapshot: File exists (17) at path \"/private/var\" (MBErrorDomain/3)",
        ),
        ("leftover", "mounts", 14, "No free mount points for APFS snapshot (MBErrorDomain/14)"),
        (
            "storage.available",
            "50000000",
            106,
            "No space writing data to temporary file (MBErrorDomain/106)",
        ),
    ] {
        let home = phone(key, value);
        let mut host = Host::new(&home.phone);
        assert_eq!(fails(&home, &mut host).await, (code, text.to_owned()), "{key}");
        home.phone.set_state(key, "").unwrap();
        succeeds(&home, &mut host).await;
    }
}

#[tokio::test]
async fn an_error_is_played_in_its_own_words_at_its_own_step() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("error", &[("code", "104"), ("reason", "media-busy"), ("times", "1")]);
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(code, 104);
    assert!(
        text.contains(
            "Underlying error: Resource busy (16) at path \"/.ba/mobile/Media/iTunes_Control"
        ),
        "{text}"
    );
    assert!(host.files.contains_key(&host.path("Status.plist")), "the upload had begun");
    home.fault("error", &[("code", "205"), ("at", "request"), ("times", "1")]);
    let udid = home.phone.udid();
    let path = format!("at path \"{udid}/Manifest.plist\" (MBErrorDomain/11).");
    assert!(fails(&home, &mut host).await.1.ends_with(&path));
    let unknown = [("code", "22"), ("reason", "weather")];
    let values = unknown.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert!(home.phone.faults.set("error", values).is_err());
}

#[tokio::test]
async fn the_owner_taps_the_x() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    let mut notices = home.phone.notices();
    home.fault("cancel", &[("after", "5"), ("times", "1")]);
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!((code, text.as_str()), (202, "File upload cancelled (MBErrorDomain/202)"));
    assert_eq!(home.phone.traffic.job().files_sent, 5);
    assert_eq!(notices.recv().await.unwrap(), "com.apple.itunes-client.syncCancelRequest");
    succeeds(&home, &mut host).await;
    home.check(&host);
}

#[tokio::test]
async fn the_agent_crashes_at_the_same_file_each_time() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("crash", &[("file", "sms.db")]);
    let mut log = home.phone.log.listen();
    for _ in 0..2 {
        let (served, answer) = backup(&home.phone, &mut host).await;
        assert!(served.is_err() && answer.is_none());
        let mut said = Vec::new();
        while let Ok(line) = log.try_recv() {
            said.push(String::from_utf8(line.text).unwrap());
        }
        let last = said.last().unwrap();
        assert!(
            last.contains("No operation found for path: HomeDomain/Library/SMS/sms.db"),
            "{last}"
        );
    }
    home.phone.faults.clear();
    succeeds(&home, &mut host).await;
    home.check(&host);
}

#[tokio::test]
async fn what_changes_while_it_is_sent_is_sent_once_more() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("modified", &[("file", "sms.db"), ("times", "1")]);
    succeeds(&home, &mut host).await;
    home.check(&host);
    home.live(1);
    home.fault("modified", &[("file", "sms.db")]);
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(code, 104);
    assert!(text.contains("File modified while being uploaded at path"), "{text}");
}

#[tokio::test]
async fn a_screen_that_locks_ends_the_backup() {
    let spec =
        PhoneSpec { knobs: crate::options::Knobs { passcode: true, ..spec().knobs }, ..spec() };
    let home = Home::new(spec);
    let mut host = Host::new(&home.phone);
    home.fault("locked-during-run", &[("after", "10"), ("times", "1")]);
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(code, 104);
    assert!(text.contains("Underlying error: Input/output error (5) at path"), "{text}");
    assert!(home.phone.is_locked());
    succeeds(&home, &mut host).await;
    home.check(&host);
}

#[tokio::test]
async fn the_file_that_can_never_be_read_does_no_harm() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("harmless-io-error", &[]);
    home.fault("pause", &[("after", "3"), ("seconds", "0")]);
    succeeds(&home, &mut host).await;
    assert_eq!(host.broken, ["Input/output error (5)"]);
}

#[tokio::test]
async fn too_many_skipped_files_end_the_backup() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("skipped-files", &[("count", "3"), ("times", "1")]);
    succeeds(&home, &mut host).await;
    home.fault("skipped-files", &[("count", "12"), ("times", "1")]);
    let (code, text) = fails(&home, &mut host).await;
    assert_eq!(
        (code, text.as_str()),
        (100, "Too many skipped files during scanning (12 > 10) (MBErrorDomain/100)")
    );
}

#[tokio::test]
async fn icloud_backup_is_switched_where_management_lets_it() {
    let home = phone("icloud.backup", "false");
    let mut host = Host::new(&home.phone);
    host.request = "EnableCloudBackup";
    let (code, _) = fails(&home, &mut host).await;
    assert_eq!(code, 1, "the request says neither on nor off");
    home.phone.set_state("management.cloud-backup", "false").unwrap();
    host.cloud = Some(true);
    assert_eq!(
        fails(&home, &mut host).await,
        (22, "Cloud backup is disabled by MDM (MBErrorDomain/22)".to_owned())
    );
    home.phone.set_state("management.cloud-backup", "true").unwrap();
    succeeds(&home, &mut host).await;
    assert!(home.phone.state().icloud.backup);
}

#[tokio::test]
async fn a_backup_carries_the_diary_and_writes_its_log() {
    let home = phone("icloud.error", "303");
    let mut host = Host::new(&home.phone);
    let mut log = home.phone.log.listen();
    succeeds(&home, &mut host).await;
    home.check(&host);
    let id = lifeboat_mobilesync::FileId::of(
        "HomeDomain",
        "Library/Preferences/com.apple.MobileBackup.plist",
    );
    let diary = &host.files[&host.path(&id.path())];
    let diary = plist_guard::parse(diary, &Limits::MESSAGE).unwrap();
    let info = diary.as_dictionary().unwrap()["StateInfo"].as_dictionary().unwrap();
    let error = info["errors"].as_array().unwrap()[0].as_dictionary().unwrap();
    assert_eq!(error["code"], plist::Value::from(303));
    let mut said = String::new();
    while let Ok(line) = log.try_recv() {
        said.push_str(&String::from_utf8(line.text).unwrap());
        said.push('\n');
    }
    for line in [
        "Starting backup",
        "Starting preflight",
        "uploadSize:",
        "Free disk space on drive: ",
        "Finished backup",
    ] {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
    // The state did not change, so that the diary does not either.
    succeeds(&home, &mut host).await;
    assert_eq!(home.phone.traffic.job().files_sent, 0);
}

#[tokio::test]
async fn a_phone_can_forget_a_file_and_not_notice() {
    let home = Home::new(spec());
    let mut host = Host::new(&home.phone);
    home.fault("forgotten", &[("file", "sms.db")]);
    succeeds(&home, &mut host).await;
    let id = lifeboat_mobilesync::FileId::of("HomeDomain", "Library/SMS/sms.db");
    assert!(!host.files.contains_key(&host.path(&id.path())));
}
