use proptest::prelude::*;

use super::*;
use crate::catalogue::Catalogue;

fn facts(line: &str) -> Facts {
    Patterns::builtin().facts([line])
}

#[test]
fn every_example_is_known_by_its_pattern_and_shows_what_it_says() {
    for pattern in Patterns::builtin().all() {
        let hit = Patterns::builtin().scan(&pattern.example);
        assert_eq!(
            hit.map(|hit| hit.pattern.id.as_str()),
            Some(pattern.id.as_str()),
            "{}",
            pattern.example
        );
        let facts = facts(&pattern.example);
        for (key, value) in pattern.facts.iter() {
            assert_eq!(facts.get(key), Some(value), "{}", pattern.id);
        }
    }
}

#[test]
fn every_cause_is_an_entry_and_every_field_a_fact() {
    for pattern in Patterns::builtin().all() {
        for cause in &pattern.causes {
            assert!(Catalogue::builtin().get(cause).is_some(), "{}: {cause}", pattern.id);
        }
        for field in &pattern.fields {
            let mut facts = Facts::new();
            assert!(field.after.is_some() != field.capture.is_some(), "{}", pattern.id);
            for word in
                field.words.values().chain(&field.zero).chain(&field.other).chain(&field.otherwise)
            {
                facts.insert(&field.fact, word.as_str()).unwrap();
            }
            if let Some(group) = &field.capture {
                let regex = pattern.regex.as_ref().unwrap();
                assert!(
                    regex.capture_names().any(|name| name == Some(group)),
                    "{}: {group}",
                    pattern.id
                );
            }
        }
    }
}

#[test]
fn the_missing_condition_is_named() {
    let line = "=scheduler= [Off condition] state changed, enabled:1, locked:0, onPower:1, onWiFi:0, onCellular:1(1), autoBackupOnCellularEnabled:0";
    let facts = facts(line);
    assert!(facts.is("log.condition-enabled", "met"));
    assert!(facts.is("log.condition-locked", "missing"));
    assert!(facts.is("log.condition-power", "met"));
    assert!(facts.is("log.condition-wifi", "missing"));
}

#[test]
fn a_private_field_tells_nothing() {
    let facts = facts(
        "=scheduler= [Off condition] state changed, enabled:<private>, locked:1, onPower:<private>",
    );
    assert_eq!(facts.value("log.condition-enabled"), None);
    assert_eq!(facts.value("log.condition-power"), None);
    assert!(facts.is("log.condition-locked", "met"));
}

#[test]
fn the_later_line_wins() {
    let facts = Patterns::builtin().facts([
        "backupd: Scheduler received backup failure notification for account <private>: (MBErrorDomain/303)",
        "backupd: =scheduler= Scheduler received backup completion notification for account <private>",
    ]);
    assert!(facts.is("icloud.error", "none"));
}

/// With a success every sign before it is over; what is later in the log counts, and what no line said stays unsaid.
#[test]
fn a_success_ends_what_was_before_it() {
    const DONE: &str = "backupd[98]: =scheduler= Scheduler received backup completion notification for account <private>";
    const OFF: &str = "backupd[98]: =scheduler= [Off condition] state changed, enabled:0, locked:0, onPower:0, onWiFi:0";
    let signs: [(&str, &str, &str, &str); 14] = [
        ("=scheduler= Auto backup is not enabled for <private>", "icloud.backup", "off", "on"),
        (OFF, "log.condition-enabled", "missing", "met"),
        (OFF, "log.condition-locked", "missing", "met"),
        (OFF, "log.condition-power", "missing", "met"),
        (OFF, "log.condition-wifi", "missing", "met"),
        ("<private> lost power but is otherwise still in condition", "log.power-lost", "yes", "no"),
        ("<private> lost WiFi but will wait 120s", "log.wifi-lost", "yes", "no"),
        ("Warning the user an iCloud backup is overdue", "log.overdue", "yes", "no"),
        ("Last backup date is forward in time (x)", "log.clock-forward", "yes", "no"),
        ("Existing backup history has corrupt data.", "log.history-corrupt", "yes", "no"),
        ("Backup canceled (deferred)", "log.deferred", "busy", "no"),
        ("Disabled from another device", "log.disabled-elsewhere", "device", "no"),
        (
            "Backup is disabled by the current MC policy",
            "management.cloud-backup",
            "forbidden",
            "allowed",
        ),
        ("Backup failed: background restore in progress", "restore.state", "in-progress", "none"),
    ];
    for (sign, key, bad, good) in signs {
        let sign = format!("backupd[98]: {sign}");
        let of = |lines: &[&str]| Patterns::builtin().facts(lines.iter().copied());
        assert!(of(&[&sign]).is(key, bad), "{sign}");
        assert!(of(&[&sign, DONE]).is(key, good), "{sign}: {:?}", of(&[&sign, DONE]));
        assert!(of(&[DONE, &sign]).is(key, bad), "{sign}");
        assert!(of(&[&sign, DONE, &sign]).is(key, bad), "{sign}");
        assert_eq!(of(&[DONE]).value(key), None, "{key}");
        // Of a program that makes no iCloud backups.
        let other = DONE.replace("backupd[98]", "BackupAgent2[98]");
        assert!(of(&[&sign, &other]).is(key, bad), "{sign}");
    }
}

/// The scheduler's own line names no reason: whether it comes before or after the line that does must not matter.
#[test]
fn a_reason_that_is_named_outranks_one_that_is_not() {
    const GENERAL: &str = "backupd[98]: =scheduler= Ignoring backup start request since the XPC activity (1) needs to be deferred";
    for (exact, word) in [
        ("dasd[70]: com.apple.backupd.activity lowPowerMode:1, needs to be deferred", "low-power"),
        ("dasd[70]: com.apple.backupd.activity thermal pressure: 2", "heat"),
    ] {
        for lines in [[GENERAL, exact], [exact, GENERAL]] {
            let facts = Patterns::builtin().facts(lines);
            assert!(facts.is("log.deferred", word), "{lines:?}: {facts:?}");
        }
    }
    assert!(facts(GENERAL).is("log.deferred", "busy"));
}

#[test]
fn what_is_only_about_a_thing_is_no_failure_of_it() {
    for line in [
        "backupd[98]: =account= Found account of type com.apple.appleaccount for persona <private>",
        "backupd[98]: =account= com.apple.appleaccount: 3 accounts",
        "backupd[98]: =network= HTTP/2 connection reuse, 503 ms",
        "backupd[98]: =network= HTTP request took 507 ms",
        "backupd[98]: =network= HTTP status 200, 503 bytes",
        "backupd[98]: =network= HTTP 503 ms",
        "backupd[98]: =managed-policy= Loaded 4 restrictions, disabled:0",
        "backupd[98]: =managed-policy= cloud backup allowed:1, disabled:0",
        "backupd[98]: =managed-policy= Cloud backup is not disabled",
        "backupd[98]: =managed-policy= Cloud backup is disabled: 0",
        "backupd[98]: =managed-policy= Cloud backup is disabled = NO",
        "backupd[98]: =managed-policy= Checking whether cloud backup is disabled or not allowed",
        "backupd[98]: =managed-policy= Notifications are disabled by the current MC policy for <private>",
        "backupd[98]: =managed-policy= Unencrypted backups are not allowed",
        "backupd[98]: =cloud-backup= Background restore is running: 0",
        "backupd[98]: =cloud-backup= Background restore running:NO, queue 0",
        "backupd[98]: =cloud-backup= No background restore is running",
        "backupd[98]: =cloud-backup= Background restore in progress, 12 files left",
        "backupd[98]: =cloud-backup= Checking whether a background restore is in progress",
        "backupd[98]: =cloud-backup= Failed to ask while background restore is running: 0",
        "BackupAgent2[120]: Encryption was disabled; background restore in progress = 0",
        "SpringBoard[60]: A restore is running on another device",
        "storekitagent[210]: Ignoring purchase because a restore is in progress",
        "cloudd[77]: Cannot buy while restore is running",
        "storekitagent[210]: Background restore is running, not allowed to buy",
    ] {
        let facts = facts(line);
        let told: Vec<&str> = facts.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(told, ["log.heard"], "{line}");
    }
    for (line, word) in [
        ("backupd[98]: Backup failed: <private> (com.apple.appleaccount/401)", "account"),
        ("backupd[98]: Error Domain=com.apple.appleaccount Code=401 \"x\"", "account"),
        ("backupd[98]: request failed, HTTP status 507", "quota"),
        ("backupd[98]: HTTP/1.1 503 Service Unavailable", "outage"),
        ("backupd[98]: HTTP/2 503", "outage"),
        ("backupd[98]: HTTP status code: 429, retry", "rate-limit"),
        ("backupd[98]: HTTP 401 for container", "account"),
        ("backupd[98]: HTTP response (status=500)", "server"),
    ] {
        assert!(facts(line).is("icloud.error", word), "{line}: {:?}", facts(line));
    }
    for line in [
        "backupd[98]: =managed-policy= Cloud backup is disabled by MDM",
        "backupd[98]: =managed-policy= iCloud backup is not allowed",
        "backupd[98]: =managed-policy= Backup is disabled by the current profile",
        "backupd[98]: =managed-policy= Backups are not allowed for <private>",
    ] {
        assert!(facts(line).is("management.cloud-backup", "forbidden"), "{line}");
    }
    for line in [
        "BackupAgent2[120]: iTunes Backup is unavailable while an iCloud Restore is in progress (MBErrorDomain/25)",
        "backupd[98]: =scheduler= Ignoring backup start request because a background restore is in progress",
        "backupd[98]: =scheduler= Not starting backup since background restore is running",
        "backupd[98]: Cloud backup failed: background restore in progress",
        "backupd[98]: =cloud-backup= Background restore in progress, ignoring backup start request",
    ] {
        assert!(facts(line).is("restore.state", "in-progress"), "{line}");
    }
}

#[test]
fn wifi_is_not_missing_where_cellular_is_enough() {
    let met = facts(
        "backupd[98]: =scheduler= [On condition] state changed, enabled:1, locked:1, onPower:1, onWiFi:0, onCellular:1(1), autoBackupOnCellularEnabled:1",
    );
    assert!(met.is("log.condition-wifi", "met") && met.is("log.cellular-used", "yes"));
    let missing = facts(
        "backupd[98]: =scheduler= [Off condition] state changed, enabled:1, locked:1, onPower:0, onWiFi:0, onCellular:1(1), autoBackupOnCellularEnabled:0",
    );
    assert!(missing.is("log.condition-wifi", "missing") && missing.is("log.on-cellular", "yes"));
}

#[test]
fn the_more_exact_error_of_a_line_wins() {
    let exact = facts(
        "backupd[1]: =cloud-backup= (MBErrorDomain/304) <CKError: \"Account temporarily unavailable\" (36/2011)>",
    );
    assert!(exact.is("icloud.error", "account-unavailable"));
    let other = facts("backupd[1]: Backup failed: Error Domain=MBErrorDomain Code=999");
    assert!(other.is("icloud.error", "other"));
}

#[test]
fn a_computer_backup_says_nothing_about_icloud() {
    let facts = facts("BackupAgent2[1]: =cloud-backup= failed (MBErrorDomain/303)");
    assert_eq!(facts.value("icloud.error"), None);
}

#[test]
fn cellular_is_always_expensive_and_that_tells_nothing() {
    assert_eq!(
        facts("Cellular, available:1, expensive:1, constrained:0").value("log.network-limited"),
        None
    );
    assert!(
        facts("Cellular, available:1, expensive:1, constrained:1")
            .is("log.network-limited", "constrained")
    );
}

/// Every app has errors with Apple's servers, and its own crashes.
#[test]
fn an_error_of_another_program_is_none_of_the_backup() {
    for line in [
        "cloudd[77] HTTP 401 for com.example.tidebook token refresh",
        "cloudd[77] com.example.mybackupd: HTTP status 507",
        "cloudd[77] <CKError: \"Not Authenticated\" (9/1002)> for com.example.tidebook",
        "cloudd[77] <CKError: \"Account temporarily unavailable\" (36/0)>",
        "cloudd[77] Error Domain=CKErrorDomain Code=25",
        "cloudd[77] Error Domain=NSURLErrorDomain Code=-1009",
        "cloudd[77] (com.apple.appleaccount/401)",
        "cloudd[77] (NSCocoaErrorDomain/4097)",
        "dasd[70] com.example.tidebook.refresh lowPowerMode:1, needs to be deferred",
        "dasd[70] com.example.tidebook.refresh thermal pressure: 2",
        "ReportCrash[9] *** Terminating app due to uncaught exception 'NSRangeException'",
        "lockdownd[40] SocketSend (data): error 32",
    ] {
        let facts = facts(line);
        let told: Vec<&str> = facts.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(told, ["log.heard"], "{line}");
    }
    let own = facts("cloudd[77] HTTP status 507 for container com.apple.backup.ios");
    assert!(own.is("icloud.error", "quota"));
    assert!(facts("cloudd[77] client backupd: HTTP status 401").is("icloud.error", "account"));
}

#[test]
fn a_count_of_nothing_is_no_failure() {
    for line in [
        "backupd[98]: =cloud-backup= Found 0 files with missing encryption keys during scan",
        "backupd[98]: Updating MissingEncryptionKeyFailureCount for account X: 0(0)",
        "backupd[98]: =cloud-backup= 0 files are missing encryption keys",
        "backupd[98]: Updating FailureCount for account X: 0(3)",
        "backupd[98]: =cloud-backup= CacheDelete purged 0 bytes",
    ] {
        let facts = facts(line);
        let told: Vec<&str> = facts.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(told, ["log.heard"], "{line}");
    }
    for line in [
        "backupd[98]: Updating MissingEncryptionKeyFailureCount for account X: 2(1)",
        "backupd[98]: =cloud-backup= 10 files are missing encryption keys",
    ] {
        assert!(facts(line).is("icloud.error", "missing-keys"), "{line}");
    }
}

#[test]
fn hostile_lines_are_only_lines() {
    let facts = facts("\u{1b}[2JSkipped 99999999999999999999999 files during\0 the file scan\r\n");
    assert_eq!(facts.value("log.skipped-files"), None);
    let long = format!("{}Existing backup is corrupt", "x".repeat(1 << 20));
    assert!(Patterns::builtin().scan(&long).is_none());
    assert!(Patterns::builtin().scan("").is_none());
}

proptest! {
    #[test]
    fn noise_never_panics(line in "\\PC*|(?s).{0,300}") {
        drop(Patterns::builtin().facts([line.as_str()]));
    }

    #[test]
    fn damaged_examples_never_panic(which in 0..60_usize, at in 0..200_usize, with in any::<char>()) {
        let all = Patterns::builtin().all();
        let mut line: Vec<char> = all[which % all.len()].example.chars().collect();
        let at = at % line.len();
        line[at] = with;
        drop(Patterns::builtin().facts([line.into_iter().collect::<String>().as_str()]));
    }
}
