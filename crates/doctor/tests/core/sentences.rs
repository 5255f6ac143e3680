//! Sentences as people type them, and what they must be told first: the method of `explain` as a whole. Most of the table was
//! written before anybody looked at what comes out.

use std::collections::BTreeSet;

use lifeboat_doctor::errors;
use lifeboat_doctor::explain::{About, explain};

/// Not recognised by the computer: the first look may go to any of these.
const NOT_SEEN: &str = "host/usbmuxd-missing bus/accessory-restricted bus/bad-cable";

/// What was typed, and the entries of which one must come first: as an entry, or as the likeliest cause of a number or message.
const TYPED: &[(&str, &str)] = &[
    // Texts of Apple's programs and of the device.
    ("Backup Failed (Error Code 105)", "destination/full"),
    ("OSStatus error -36.", "destination/disk-fails"),
    (
        "iphone cannot be backed up because there is not enough free space on this computer",
        "destination/full",
    ),
    (
        "iPhone Backup Failed. You do not have enough space in iCloud to back up this iPhone",
        "icloud/storage-full",
    ),
    ("The backup session failed", "device/restart-helps"),
    (
        "iTunes could not back up the iPhone because the backup session failed",
        "device/restart-helps",
    ),
    ("Could not find device after setup", "icloud/switched-off-elsewhere"),
    (
        "=scheduler= lastBackupDate:2026-01-02 03:04:05, retryAfterDate:2026-01-03 03:04:05",
        "icloud/backing-off",
    ),
    ("No backup password set when required by device management", "management/encryption-demanded"),
    ("Too many skipped files during scanning (12 > 10)", "icloud/skipped-files"),
    (
        "Cannot remove iTunes Backup Encryption - Encrypted Backup MDM setting present on device",
        "management/encryption-demanded",
    ),
    ("This Apple ID has been disabled for security reasons", "account/locked"),
    ("This accessory may not be supported", "bus/bad-cable"),
    ("your computer is out of disk space", "destination/full"),
    ("You don't have permission", "destination/not-writable"),
    ("usb 1-2: device descriptor read/64, error -71.", "bus/bad-cable"),
    ("Error setting WillEncrypt value in lockdown", "management/encryption-demanded"),
    ("setting protection class (device locked?)", "restore/protection-class"),
    ("Backups disabled from server action", "icloud/switched-off-elsewhere"),
    // The computer does not see the device.
    ("itunes does not recognize my phone", NOT_SEEN),
    ("phone charges but computer doesnt detect it", "bus/accessory-restricted bus/bad-cable"),
    ("phone not detected windows 11", NOT_SEEN),
    ("no device", NOT_SEEN),
    ("computer says charging but not connected", "bus/accessory-restricted bus/bad-cable"),
    ("my laptop can't find my iphone", NOT_SEEN),
    ("finder doesn't show my iphone", NOT_SEEN),
    ("iphone not showing up in itunes", NOT_SEEN),
    ("only charges, no data", "bus/bad-cable bus/accessory-restricted"),
    // Trust, lock, passcode.
    ("i tapped dont trust by mistake", "pairing/not-trusted"),
    ("the trust prompt never appears on my phone", "pairing/not-trusted"),
    ("i pressed don't allow on the trust question", "pairing/not-trusted"),
    (
        "keeps asking me to trust the computer every time i plug in",
        "pairing/not-trusted pairing/stale-record",
    ),
    ("iphone asks for passcode every time", "transfer/passcode-not-entered"),
    ("why does it ask for the passcode", "transfer/passcode-not-entered"),
    (
        "enter passcode on iphone to start the backup keeps popping up",
        "transfer/passcode-not-entered",
    ),
    (
        "phone is locked",
        "device/not-unlocked-yet bus/accessory-restricted transfer/passcode-not-entered",
    ),
    ("accidentally hit cancel on the phone", "transfer/cancelled-on-device"),
    // Cable, ports, other hardware.
    ("cable not working", "bus/bad-cable"),
    ("phone keeps disconnecting", "bus/bad-cable bus/hub-or-weak-port"),
    ("phone keeps disconnecting from pc", "bus/bad-cable bus/hub-or-weak-port"),
    ("cheap cable from the gas station", "bus/bad-cable"),
    ("connected through a usb hub and it drops out", "bus/hub-or-weak-port"),
    ("charging port is full of lint", "bus/damaged-port"),
    ("phone fell into water", "hardware/fault bus/damaged-port"),
    ("black screen", "device/restart-helps hardware/fault"),
    ("iphone stuck on apple logo", "device/restart-helps"),
    ("iphone in recovery mode cannot back up", "device/restart-helps"),
    // The computer.
    ("not enough disk space on my mac", "destination/full"),
    ("my hard drive is full and the backup stops", "destination/full"),
    ("backup to external drive not possible permission denied", "destination/not-writable"),
    ("external ssd disconnected in the middle of backup", "destination/disk-fails"),
    ("the nas says access denied", "destination/not-writable"),
    ("laptop falls asleep while backing up", "host/sleeps"),
    ("mac goes to sleep at night and backup is interrupted", "host/sleeps"),
    (
        "antivirus blocks itunes",
        "host/other-program destination/not-writable network/vpn-or-filter",
    ),
    (
        "itunes says a newer version is needed to connect",
        "host/software-outdated host/device-too-new",
    ),
    ("date on my phone is set to 2019", "clock/wrong"),
    // The backup on the computer.
    ("backup password wrong", "password/forgotten"),
    ("forgot the password for my encrypted itunes backup", "password/forgotten"),
    ("what is the password to unlock iphone backup", "password/forgotten"),
    ("set up a backup password unknown", "password/forgotten"),
    ("i never set a backup password but it wants one", "password/forgotten password/damaged"),
    ("someone changed the backup password on another computer", "password/forgotten"),
    ("why is my backup sealed", "password/forgotten"),
    ("idevicebackup2 set my password to --password", "password/damaged"),
    ("there is a newline in my backup password", "password/damaged"),
    ("my company demands a backup password", "management/encryption-demanded"),
    ("is my backup encrypted", "backup/what-is-in-it"),
    ("my old backup on the pc is corrupted", "backup/existing-broken"),
    ("i downgraded ios and the backup no longer works", "backup/newer-format"),
    (
        "my iphone wont backup to my computer",
        "device/restart-helps transfer/interrupted backup/how-to-tell",
    ),
    ("An unexpected error occurred", "device/restart-helps"),
    ("the backup hangs at 30 percent every time", "transfer/poisonous-file"),
    ("i pulled the cable during the backup", "transfer/interrupted"),
    ("backup is extremely slow", "transfer/much-data"),
    ("it says 8 hours remaining", "transfer/much-data"),
    ("how long does a backup take", "transfer/much-data"),
    ("my iphone got hot and stopped", "power/temperature"),
    ("phone gets very hot while backing up", "power/temperature"),
    ("phone storage almost full cant backup", "device/storage-full"),
    // Management.
    ("company phone cannot back up", "management/backup-forbidden icloud/forbidden-by-management"),
    ("school ipad will not pair with my computer", "management/pairing-forbidden"),
    ("my work phone does not allow backups to the computer", "management/backup-forbidden"),
    ("icloud backup switch is grayed out", "icloud/forbidden-by-management"),
    // Over the air.
    ("wifi sync not working", "wifi/unreachable"),
    ("wireless backup does not find the phone", "wifi/unreachable"),
    ("wifi keeps dropping", "network/wifi-weak"),
    ("internet is very slow", "network/wifi-weak"),
    ("no internet although wifi is connected", "network/router"),
    ("router needs a reboot", "network/router"),
    ("hotel wifi login page", "network/blocked"),
    ("vpn on my phone blocks backup", "network/vpn-or-filter"),
    ("pihole", "network/filter"),
    ("pihole blocks icloud", "network/filter"),
    ("can i back up with mobile data", "network/cellular"),
    ("airplane mode", "network/wifi-weak"),
    ("low data mode is on", "network/limited"),
    ("yellow battery icon", "power/low-power-mode"),
    // iCloud and the account.
    ("icloud is full what can i delete", "icloud/storage-full icloud/old-devices"),
    (
        "i bought more storage but icloud backup still fails",
        "icloud/storage-full icloud/plan-shrunk",
    ),
    ("icloud payment declined", "icloud/plan-shrunk"),
    ("my wife uses all the family storage", "icloud/family-pool"),
    ("backup of my old phone takes up space in icloud", "icloud/old-devices"),
    ("icloud backup does not run at night", "icloud/conditions-not-met"),
    ("it has been 5 weeks since last backup", "icloud/conditions-not-met"),
    ("icloud says some files unavailable", "icloud/keys-missing"),
    ("backup turned off by itself", "icloud/switched-off-elsewhere"),
    ("is icloud down today", "apple/outage"),
    ("icloud keeps asking for my password", "account/password-stale"),
    ("i can't log in to my apple id", "account/password-stale account/locked"),
    ("verification code never comes", "account/code-or-terms-waiting"),
    ("2fa code not arriving", "account/code-or-terms-waiting"),
    ("need to accept new terms and conditions", "account/code-or-terms-waiting"),
    ("my apple account got locked", "account/locked"),
    ("i have two apple ids", "account/locked"),
    // Questions.
    ("new iphone how do I move my data", "restore/how-to"),
    ("how do i restore my new phone from the old backup", "restore/how-to"),
    ("restore from backup failed", "restore/preconditions"),
    ("find my iphone is on", "restore/preconditions"),
    ("find my iphone must be off before restoring", "restore/preconditions restore/how-to"),
    ("are my photos part of the backup", "backup/what-is-in-it"),
    ("where are my backups saved on windows", "backup/what-is-in-it"),
    ("how do i know my backup worked", "backup/how-to-tell"),
    ("erase all content", "device/reset-settings"),
    ("is someone spying on my phone", "device/malware"),
    ("speak to apple support", "support/contact"),
    // Written after the words of the catalogue, to see that the method does it and not the list.
    ("the computer does not ask me to trust", "pairing/not-trusted"),
    ("iphone says trust this computer over and over", "pairing/not-trusted pairing/stale-record"),
    ("out of icloud storage", "icloud/storage-full"),
    ("my icloud is out of space", "icloud/storage-full"),
    ("iphone out of storage", "device/storage-full"),
    ("the disk of my macbook has no more space", "destination/full"),
    ("backup drive is full", "destination/full"),
    ("can't remember my backup password", "password/forgotten"),
    ("wrong password when restoring", "password/forgotten"),
    ("how can i see when the last backup was", "backup/how-to-tell"),
    ("does icloud backup contain my whatsapp", "backup/what-is-in-it"),
    ("phone overheats", "power/temperature"),
    ("battery dies during backup", "power/low"),
    ("my wifi is terrible", "network/wifi-weak"),
    ("our company firewall", "network/blocked"),
    ("school network blocks icloud", "network/blocked"),
    ("icloud storage plan was cancelled", "icloud/plan-shrunk"),
    ("ios beta installed", "account/beta-or-region host/device-too-new"),
    ("need to update itunes", "host/software-outdated"),
    ("software update available on my iphone", "device/ios-outdated"),
    ("setup assistant not finished", "device/setup-unfinished"),
    (
        "restoring from icloud takes days and i cannot back up",
        "device/restore-running icloud/restore-running",
    ),
    ("usb connection unstable", "bus/bad-cable bus/hub-or-weak-port bus/damaged-port"),
    ("iphone reconnects all the time", "bus/hub-or-weak-port bus/bad-cable"),
    ("i want to sell my phone and erase everything", "device/reset-settings"),
    ("apple id password changed and now backup fails", "account/password-stale"),
    ("time on phone is five minutes off", "clock/wrong"),
    ("backup finished too quickly is it complete", "backup/how-to-tell backup/not-finished"),
    ("mdm profile prevents backup", "management/backup-forbidden icloud/forbidden-by-management"),
    ("the backup folder on my synology cannot be written", "destination/not-writable"),
    ("phone won't turn on", "device/restart-helps hardware/fault"),
    ("charging cable is loose", "bus/bad-cable bus/damaged-port"),
    ("computer suspended in the middle", "host/sleeps"),
    ("trsut this computr", "pairing/not-trusted"),
    ("backup stops after a few minutes", "transfer/interrupted"),
    ("cannot connect to icloud", "network/blocked"),
    ("photos missing after restore", "backup/what-is-in-it"),
    // A domain and its number, in every way of writing.
    ("CKErrorDomain/25", "icloud/storage-full"),
    ("CKErrorDomain 25", "icloud/storage-full"),
    ("CKErrorDomain Code=25", "icloud/storage-full"),
    ("Error Domain=CKErrorDomain Code=9", "account/password-stale"),
    ("CKErrorDomain/9", "account/password-stale"),
    ("CKErrorDomain/4", "network/wifi-weak"),
    ("MBErrorDomain 25", "device/restore-running"),
    ("MBErrorDomain/9", "transfer/file-changed"),
    ("0xE", "bus/bad-cable"),
    ("0x0B", "transfer/harmless-io-error"),
    ("0x06", "transfer/poisonous-file"),
    ("lockdown error -21", "pairing/stale-record"),
    ("error 9006", "icloud/storage-full"),
    (
        "The last backup could not be completed because there was not enough iCloud storage",
        "icloud/storage-full",
    ),
    ("my kid's ipad wont back up because of screen time", "account/changes-restricted"),
    ("do i need to pay apple for more storage", "icloud/storage-full"),
    ("stolen device protection backup password", "password/forgotten"),
    ("how do I see my old backups on windows", "backup/what-is-in-it"),
    ("backup failed 105", "destination/full"),
    ("error on my iphone 13 when backing up", "device/restart-helps"),
    ("my 2 factor code", "account/code-or-terms-waiting"),
];

/// Nothing of this is about backups of an iPhone, or it says too little.
const NOTHING: &[&str] = &[
    "best pizza in town",
    "how to cook rice",
    "my car does not start",
    "why is the sky blue",
    "printer out of paper",
    "what is the capital of france",
    "football results yesterday",
    "send an email to john",
    "lorem ipsum dolor sit amet",
    "the cat sat on the mat",
    "asdf qwer zxcv",
    "weather tomorrow",
    "who won the election",
    "my dog is not eating",
    "MBErrorDomain 23",
    "CKErrorDomain/9999",
    "error 77777",
    "i see an error 5 times a day",
    "apple watch faces",
    "apple watch backup",
    "does my apple watch get backed up",
    "hello",
    "iphone",
    "the",
    "???",
];

fn first_of(typed: &str) -> Option<String> {
    let first = explain(typed).into_iter().next()?;
    Some(first.causes.first().map_or(first.what, |likeliest| likeliest.id.clone()))
}

#[test]
fn a_sentence_finds_its_entry_first() {
    assert!(TYPED.len() >= 120, "{}", TYPED.len());
    let mut wrong = Vec::new();
    for (typed, right) in TYPED {
        let first = first_of(typed).unwrap_or_else(|| "nothing".to_owned());
        if !right.split(' ').any(|right| right == first) {
            wrong.push(format!("{typed}: {first} instead of {right}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), TYPED.len());
}

#[test]
fn what_is_about_something_else_is_not_explained() {
    let told: Vec<(&str, String)> =
        NOTHING.iter().filter_map(|typed| Some((*typed, first_of(typed)?))).collect();
    assert!(told.is_empty(), "{told:#?}");
}

/// Weeks, percents and names of products are no codes, whatever number it is.
#[test]
fn a_number_that_counts_or_names_is_no_code() {
    let codes = errors::all().iter().flat_map(|row| row.codes.iter().copied());
    let numbers: BTreeSet<i64> = codes.filter(|code| *code > 0).chain(1..=120).collect();
    assert!(numbers.len() > 150, "{}", numbers.len());
    let mut wrong = Vec::new();
    for (before, behind) in [
        ("iPhone Not Backed Up in ", " Weeks"),
        ("iPhone ", " wont backup to icloud"),
        ("error on my iphone ", " when backing up"),
        ("backup failed at ", " percent"),
        ("backup failed with ", " gb free"),
        ("iphone ", " not backing up"),
        ("itunes ", " does not see my phone"),
        ("my backup of ", " gb takes forever"),
    ] {
        let told = |number: i64| {
            let found = explain(&format!("{before}{number}{behind}"));
            found.into_iter().map(|found| (found.about, found.what)).collect::<Vec<_>>()
        };
        // A number that nobody knows.
        let right = told(77_777);
        assert!(!right.is_empty(), "{before}…{behind}");
        for number in &numbers {
            let found = told(*number);
            if found != right || found.iter().any(|(about, _)| *about == About::Number) {
                wrong.push(format!("{before}{number}{behind}: {found:?} instead of {right:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}

/// A message without a cause that could be measured.
#[test]
fn a_disabled_device_is_no_device_that_is_not_found() {
    let first = explain("iphone disabled connect to itunes").into_iter().next().unwrap();
    assert_eq!((first.about, first.causes.len()), (About::Message, 0));
    assert!(first.title.starts_with("Too many wrong passcodes"), "{}", first.title);
}
