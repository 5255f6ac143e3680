//! What people type, and the first thing that they are told.

use lifeboat_doctor::explain::{explain, list};

/// What was typed, and the entry or number that must be told first, or be among the causes of what is told first.
const TYPED: &[(&str, &str)] = &[
    ("208", "transfer/passcode-not-entered"),
    ("MBErrorDomain/208", "transfer/passcode-not-entered"),
    ("error 208", "transfer/passcode-not-entered"),
    ("ErrorCode: 105", "destination/full"),
    ("-54", "destination/not-writable"),
    ("0xE800001A", "device/not-unlocked-yet"),
    ("-402653158", "device/not-unlocked-yet"),
    ("0xE8000084", "bus/bad-cable"),
    ("9006", "icloud/storage-full"),
    ("9007", "network/wifi-weak"),
    ("9010", "clock/wrong"),
    ("9011", "account/password-stale"),
    ("iCloud Backup Failure 9012", "icloud/backup-damaged"),
    ("PairingDialogResponsePending", "pairing/not-trusted"),
    ("PasswordProtected", "device/not-unlocked-yet"),
    ("InvalidHostID", "pairing/stale-record"),
    ("EscrowLocked", "device/not-unlocked-yet"),
    ("Last backup could not be completed", "network/wifi-weak"),
    ("last backup culd not be compleeted", "network/wifi-weak"),
    ("\"The last backup could not be completed.\"", "network/wifi-weak"),
    ("Not Enough iCloud Storage", "icloud/storage-full"),
    ("not enugh iclod storage", "icloud/storage-full"),
    ("Some files were unavailable during the last backup", "icloud/keys-missing"),
    ("could not back up the iPhone because the iPhone disconnected", "bus/bad-cable"),
    ("not enough free space is availble on this computer", "destination/full"),
    ("Could not receive from mobilebackup2 (-4)", "transfer/passcode-not-entered"),
    (
        "Failed to create snapshot: File exists (17) at path /private/var",
        "device/leftover-snapshot",
    ),
    ("Insufficient free disk space on drive to back up", "destination/full"),
    (
        "Find My iPhone must be disabled before restoring (MBErrorDomain/211)",
        "restore/preconditions",
    ),
    ("Error Domain=MBErrorDomain Code=303", "icloud/storage-full"),
    (
        "backupd[98]: =scheduler= Backup is disabled by the current MC policy",
        "icloud/forbidden-by-management",
    ),
    ("BackupAgent2: Existing backup is corrupt, forcing a full backup", "backup/existing-broken"),
    ("kernel[0]: AppleUSBDeviceMux: detected duplicate packet", "bus/bad-cable"),
    ("C05", "network/wifi-weak"),
    ("network/wifi-weak", "network/wifi-weak"),
    ("trust this computer", "pairing/not-trusted"),
    ("forgot backup password", "password/forgotten"),
    ("forgotten bakup pasword", "password/forgotten"),
    ("wrong password", "password/forgotten"),
    ("e800001a", "device/not-unlocked-yet"),
    ("it stops with E8000084 on my pc", "bus/bad-cable"),
];

#[test]
fn what_people_type_is_explained() {
    let mut wrong = Vec::new();
    for (typed, id) in TYPED {
        let explained = explain(typed);
        let first = explained.first();
        let right = first.is_some_and(|first| {
            first.what == *id || first.causes.iter().any(|cause| cause.id == *id)
        });
        if !right {
            let told: Vec<&str> =
                explained.iter().map(|explanation| explanation.what.as_str()).collect();
            wrong.push(format!("{typed}: {told:?} instead of {id}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A domain alone is no number of it: all are listed.
#[test]
fn a_domain_alone_lists_its_numbers() {
    for (domain, codes) in [
        ("MBErrorDomain", ["105", "208", "303"]),
        ("nsurlerrordomain", ["-1001", "-1009", "-1020"]),
    ] {
        let explained = explain(domain);
        assert_eq!(explained.len(), 1, "{domain}: {explained:?}");
        let listed = &explained[0];
        assert!(listed.what.eq_ignore_ascii_case(domain), "{listed:?}");
        for code in codes {
            let rows: Vec<&str> = listed
                .meaning
                .lines()
                .filter(|line| line.starts_with(&format!("- {code}: ")))
                .collect();
            assert_eq!(rows.len(), 1, "{domain} {code}: {}", listed.meaning);
        }
    }
    let one = explain("MBErrorDomain/208");
    assert_eq!(one[0].what, "MBErrorDomain/208");
}

/// People tell stories; something must come of them, and the cause must be among it.
#[test]
fn a_story_is_explained() {
    for (story, id) in [
        (
            "why does my iPhone not back up to iCloud over night although it is on the charger and on Wi-Fi",
            "icloud/",
        ),
        (
            "since yesterday when I plug my phone into the laptop it asks trust this computer again and again",
            "pairing/",
        ),
        (
            "I changed my phone last year and now I forgot backup password from back then what can I do",
            "password/",
        ),
    ] {
        let told: Vec<String> = explain(story).into_iter().map(|found| found.what).collect();
        assert!(told.iter().any(|what| what.starts_with(id)), "{story}: {told:?}");
    }
}

#[test]
fn everything_listed_is_told_first_when_it_is_asked() {
    let listed = list();
    assert!(listed.len() > 250, "{}", listed.len());
    let mut wrong = Vec::new();
    for one in &listed {
        let explained = explain(&one.what);
        let first = explained.first();
        if !first.is_some_and(|first| first.title == one.title && first.about == one.about) {
            wrong.push(format!("{}: {:?}", one.what, first.map(|first| &first.what)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_word_of_an_entry_leads_to_it() {
    let mut wrong = Vec::new();
    for entry in lifeboat_doctor::Catalogue::builtin().entries() {
        for words in entry.words.iter().chain([&entry.title]) {
            let explained = explain(words);
            let found = explained.iter().any(|found| {
                found.what == entry.id
                    || found.causes.iter().chain(&found.also).any(|cause| cause.id == entry.id)
            });
            if !found {
                wrong.push(format!("{}: {words}", entry.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_article_s_number_is_said_not_to_be_official() {
    for code in 9006..=9012 {
        let first = explain(&code.to_string()).remove(0);
        assert!(
            first.remarks.iter().any(|remark| remark.contains("not official")),
            "{code}: {first:?}"
        );
        assert!(first.sure.starts_with("not sure"), "{}", first.sure);
    }
}

#[test]
fn what_nobody_knows_is_not_explained() {
    for typed in ["", "   ", "xyzzy plugh", "how do I bake bread", "!!!", "\u{1b}[31m", "777777777"]
    {
        assert_eq!(explain(typed), [], "{typed}");
    }
}

/// The whole of two explanations: a number, and the page of a cause.
#[test]
fn explanations() {
    insta::assert_debug_snapshot!("explain_208", explain("208"));
    insta::assert_debug_snapshot!("explain_9006", explain("9006"));
}

/// What is true is told once, with the beginnings of all sentences that it corrects.
#[test]
fn corrections_are_told_once() {
    for entry in lifeboat_doctor::Catalogue::builtin().entries() {
        let corrects = explain(&entry.id).remove(0).corrects;
        let texts: std::collections::BTreeSet<&str> =
            corrects.iter().map(|corrected| corrected.text.as_str()).collect();
        assert_eq!(texts.len(), corrects.len(), "{}", entry.id);
        let sentences: Vec<_> =
            corrects.iter().flat_map(|corrected| &corrected.sentences).collect();
        assert_eq!(sentences.len(), entry.corrects.len(), "{}", entry.id);
        assert!(sentences.iter().all(|sentence| !sentence.begins.is_empty()), "{}", entry.id);
    }
}
