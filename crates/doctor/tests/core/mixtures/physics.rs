//! What physically follows from what, and in which order a person looks. Written by hand; nothing of it is read from the catalogue.

use std::collections::BTreeSet;

use lifeboat_doctor::For;

/// A root, what happens because of it, and why that is so: by what cables, disks, locks and networks do, whatever the catalogue says.
pub(super) const FOLLOWS: &[(&str, &[&str], &str)] = &[
    // A link that breaks: the run ends early, and leaves something behind.
    (
        "bus/hub-or-weak-port",
        &["bus/bad-cable", "bus/damaged-port", "transfer/interrupted", "backup/not-finished"],
        "A hub that starves or resets the phone makes the errors of a bad cable or port, and breaks transfers off.",
    ),
    (
        "bus/bad-cable",
        &["transfer/interrupted", "backup/not-finished"],
        "A wire that breaks contact takes the phone off the bus, and the run with it.",
    ),
    (
        "bus/damaged-port",
        &["transfer/interrupted", "backup/not-finished"],
        "A contact that breaks takes the phone off the bus, and the run with it.",
    ),
    (
        "host/sleeps",
        &[
            "transfer/interrupted",
            "backup/not-finished",
            "bus/bad-cable",
            "bus/damaged-port",
            "wifi/unreachable",
        ],
        "A sleeping computer switches its ports and its network off: the phone is gone as if somebody had pulled the cable.",
    ),
    (
        "host/protocol-trouble",
        &["transfer/interrupted", "backup/not-finished"],
        "Who does not understand the other side hangs up, in the middle too.",
    ),
    (
        "transfer/cancelled-on-device",
        &["transfer/interrupted", "backup/not-finished"],
        "Cancelling ends the run before its end.",
    ),
    (
        "transfer/passcode-not-entered",
        &["transfer/interrupted", "transfer/locked-during-run", "backup/not-finished"],
        "Without its passcode the phone stays locked, keeps its protected files to itself, and gives the run up.",
    ),
    (
        "transfer/poisonous-file",
        &["transfer/interrupted", "backup/not-finished", "bus/bad-cable"],
        "The phone's helper dies at that file and the connection with it; from outside it looks as if the cable had been pulled.",
    ),
    (
        "transfer/file-changed",
        &["transfer/locked-during-run", "backup/not-finished"],
        "A file that changes cannot be sent, and the phone counts it among files that failed, as it does with locked ones.",
    ),
    (
        "transfer/locked-during-run",
        &["backup/not-finished"],
        "What lies behind the lock does not come.",
    ),
    (
        "transfer/interrupted",
        &["backup/not-finished", "device/leftover-snapshot"],
        "What broke off is not complete, and nobody closed the snapshot that the phone had opened for it.",
    ),
    (
        "device/downloading",
        &["transfer/file-changed"],
        "What is being downloaded changes while it is read.",
    ),
    (
        "device/leftover-snapshot",
        &["device/restart-helps", "backup/not-finished"],
        "No new snapshot can be opened until a restart closes the old one, and so no backup comes about.",
    ),
    (
        "device/restart-helps",
        &["wifi/unreachable"],
        "In recovery mode, or while it hangs, the phone is in no network.",
    ),
    (
        "device/helper-crashed",
        &[
            "device/restart-helps",
            "transfer/interrupted",
            "icloud/backing-off",
            "backup/not-finished",
        ],
        "A crash ends the run that it served, the phone tries again later, and a restart brings the helper back.",
    ),
    // A destination that takes nothing.
    (
        "destination/link-dangles",
        &["backup/existing-broken", "backup/not-finished"],
        "Behind a link that leads nowhere no backup can be read or made.",
    ),
    (
        "destination/full",
        &["transfer/interrupted", "transfer/locked-during-run", "backup/not-finished"],
        "What cannot be written is refused file by file, which the phone counts as files that failed, and ends the run.",
    ),
    (
        "destination/not-writable",
        &[
            "transfer/interrupted",
            "transfer/locked-during-run",
            "backup/existing-broken",
            "backup/not-finished",
        ],
        "What cannot be written is refused file by file, and what is half written or may not be opened looks damaged.",
    ),
    (
        "destination/file-limit",
        &["transfer/interrupted", "transfer/locked-during-run", "backup/not-finished"],
        "At the first big file writing is refused, which the phone counts as a file that failed, and ends the run.",
    ),
    (
        "destination/disk-fails",
        &[
            "destination/link-dangles",
            "destination/not-writable",
            "transfer/interrupted",
            "transfer/locked-during-run",
            "backup/existing-broken",
            "backup/not-finished",
        ],
        "A disk that is gone leaves its links dangling; one that fails turns read-only, loses what it held, and ends every run.",
    ),
    ("backup/existing-broken", &["backup/not-finished"], "What is broken is not complete."),
    // Trust and keys.
    (
        "management/pairing-forbidden",
        &["pairing/not-trusted", "pairing/stale-record"],
        "The phone trusts no other computer, and takes back the trust it gave before.",
    ),
    (
        "clock/wrong",
        &["pairing/stale-record", "icloud/backing-off"],
        "Certificates, of this computer and of Apple, are not valid on the date that the phone believes in.",
    ),
    (
        "clock/computer",
        &["pairing/stale-record"],
        "Its certificates have a date; the way of the phone to Apple does not lead over this computer.",
    ),
    (
        "pairing/stale-record",
        &["host/protocol-trouble"],
        "With keys that do not fit no encrypted connection comes about.",
    ),
    (
        "device/not-unlocked-yet",
        &["pairing/not-trusted", "icloud/keys-missing", "transfer/locked-during-run"],
        "Until the first unlock the keys to files and pairings lie under the passcode.",
    ),
    (
        "restore/protection-class",
        &["transfer/passcode-not-entered"],
        "A phone that locks itself while files are put back answers with the number of a passcode that nobody typed.",
    ),
    (
        "password/damaged",
        &["password/forgotten"],
        "A password that was set with something more than what was typed is never what somebody types.",
    ),
    (
        "icloud/keys-missing",
        &["icloud/skipped-files", "icloud/backing-off"],
        "Files without keys are skipped, and after too many of them the phone waits.",
    ),
    (
        "icloud/skipped-files",
        &["icloud/backing-off", "backup/not-finished"],
        "Too many skipped files end the run: what was to come is not there, and after a failure the phone waits.",
    ),
    // Room.
    (
        "device/storage-full",
        &["device/no-staging-room"],
        "Where all room is taken there is none to put the backup together in.",
    ),
    (
        "device/no-staging-room",
        &["icloud/backing-off"],
        "The run fails, and after a failure the phone waits.",
    ),
    ("icloud/family-pool", &["icloud/storage-full"], "The others use up the room that is shared."),
    (
        "icloud/plan-shrunk",
        &["icloud/storage-full"],
        "What fitted before is more than the smaller plan holds.",
    ),
    ("icloud/old-devices", &["icloud/storage-full"], "Backups of old devices use up the room."),
    (
        "icloud/storage-full",
        &["icloud/backing-off"],
        "The run fails, and after a failure the phone waits.",
    ),
    // The switch and the conditions of iCloud Backup.
    (
        "icloud/forbidden-by-management",
        &[
            "icloud/switched-off",
            "icloud/conditions-not-met",
            "icloud/backing-off",
            "icloud/expires-soon",
        ],
        "The rule holds the switch off, no night makes a backup, and what there was grows old.",
    ),
    (
        "icloud/switched-off-elsewhere",
        &["icloud/switched-off", "icloud/conditions-not-met", "icloud/expires-soon"],
        "The switch is off here then, too, and what follows from that.",
    ),
    (
        "icloud/switched-off",
        &["icloud/conditions-not-met", "icloud/expires-soon"],
        "Being switched on is one of the conditions; without it no night makes a backup, and what there was grows old.",
    ),
    (
        "icloud/never-locked",
        &["icloud/conditions-not-met"],
        "Being locked is one of the conditions.",
    ),
    (
        "icloud/restore-running",
        &["icloud/conditions-not-met", "icloud/backing-off"],
        "Until a restore is over no backup is begun, and one that is tried is put off.",
    ),
    (
        "power/low",
        &["transfer/interrupted", "icloud/conditions-not-met", "icloud/backing-off"],
        "A phone without power switches itself off in the middle, and being on power is one of the conditions.",
    ),
    ("power/low-power-mode", &["icloud/conditions-not-met"], "It puts off what starts by itself."),
    ("power/temperature", &["icloud/backing-off"], "A phone that is too hot puts the run off."),
    (
        "network/limited",
        &["icloud/conditions-not-met"],
        "A network that costs or is to be spared does not count as Wi-Fi.",
    ),
    // The way to Apple.
    (
        "network/router",
        &["network/wifi-weak"],
        "What the router loses or delays looks as if it were lost on the air.",
    ),
    (
        "network/filter",
        &["network/wifi-weak", "icloud/backing-off"],
        "A name that leads nowhere looks to the phone like a network that is not there, and the run fails.",
    ),
    (
        "network/blocked",
        &["network/wifi-weak", "network/filter", "network/inspection", "icloud/backing-off"],
        "A sign-in page answers in Apple's stead, with its own names and certificates; the phone reaches nobody, and the run fails.",
    ),
    (
        "network/inspection",
        &["network/wifi-weak", "icloud/backing-off"],
        "The phone hangs up on who signs in Apple's stead; to it that is a network error, and the run fails.",
    ),
    (
        "network/wifi-weak",
        &["transfer/interrupted", "icloud/backing-off"],
        "What is lost on the air ends the run, and after a failure the phone waits.",
    ),
    (
        "apple/outage",
        &["icloud/backing-off"],
        "The run fails at Apple, and after a failure the phone waits.",
    ),
    ("apple/rate-limit", &["icloud/backing-off"], "Being told to try later is to wait."),
    (
        "account/password-stale",
        &["icloud/backing-off"],
        "Without being signed in the run fails, and after a failure the phone waits.",
    ),
    (
        "account/code-or-terms-waiting",
        &["icloud/backing-off"],
        "Until somebody answers the sign-in the run fails, and after a failure the phone waits.",
    ),
    (
        "account/locked",
        &["icloud/backing-off"],
        "A locked account takes no backup, and after a failure the phone waits.",
    ),
    (
        "account/unavailable",
        &["icloud/backing-off"],
        "Without an account that answers the run fails, and after a failure the phone waits.",
    ),
    (
        "icloud/backup-damaged",
        &["icloud/backing-off"],
        "The run fails at what is damaged, and after a failure the phone waits.",
    ),
    (
        "icloud/other-error",
        &["icloud/backing-off"],
        "The run fails, and after a failure the phone waits.",
    ),
];

/// In which order somebody looks who wants to back up to this computer, cheap to dear: the service, the bus, the device, trust, rules,
/// passwords, room on both sides, what is there already, this computer, power, clocks, Wi-Fi, and then what a run showed. What stands in
/// one line has no order among itself.
const FOR_COMPUTER: &[&[&str]] = &[
    &["host/usbmuxd-missing"],
    &[
        "bus/accessory-restricted",
        "bus/bad-cable",
        "bus/damaged-port",
        "bus/hub-or-weak-port",
        "device/restart-helps",
    ],
    &["pairing/not-trusted", "pairing/stale-record", "management/pairing-forbidden"],
    &["device/not-unlocked-yet"],
    &["management/backup-forbidden", "device/setup-unfinished", "device/restore-running"],
    &["management/encryption-demanded"],
    &["password/forgotten", "password/damaged"],
    &["network/wifi-weak"],
    &["device/storage-full"],
    &[
        "destination/link-dangles",
        "destination/full",
        "destination/not-writable",
        "destination/file-limit",
        "destination/disk-fails",
    ],
    &["backup/existing-broken", "backup/newer-format", "backup/not-finished"],
    &["host/sleeps", "host/other-program"],
    &["power/low", "power/temperature"],
    &["clock/computer"],
    &["clock/wrong"],
    &["wifi/unreachable"],
    &[
        "transfer/passcode-not-entered",
        "device/downloading",
        "transfer/locked-during-run",
        "transfer/cancelled-on-device",
        "device/leftover-snapshot",
        "icloud/skipped-files",
        "transfer/file-changed",
        "transfer/poisonous-file",
        "restore/protection-class",
        "device/helper-crashed",
        "restore/preconditions",
        "host/protocol-trouble",
        "host/device-too-new",
        "transfer/interrupted",
    ],
    &[
        "transfer/much-data",
        "host/software-outdated",
        "device/ios-outdated",
        "hardware/fault",
        "transfer/harmless-io-error",
        "device/malware",
    ],
];

/// In which order somebody looks who wants iCloud Backup: the switch, what the phone itself says in its log, Apple, the network, the
/// phone's clock, its room, and then its diary, which only a finished backup holds.
const FOR_ICLOUD: &[&[&str]] = &[
    &["device/restart-helps"],
    &["device/not-unlocked-yet"],
    &["device/setup-unfinished", "icloud/forbidden-by-management"],
    &["icloud/switched-off", "icloud/switched-off-elsewhere"],
    &["icloud/restore-running"],
    &[
        "account/password-stale",
        "account/code-or-terms-waiting",
        "account/locked",
        "account/unavailable",
        "account/changes-restricted",
        "account/beta-or-region",
    ],
    &["icloud/storage-full", "icloud/family-pool", "icloud/plan-shrunk", "icloud/old-devices"],
    &["apple/outage", "apple/rate-limit"],
    &[
        "network/filter",
        "network/inspection",
        "network/blocked",
        "network/vpn-or-filter",
        "network/router",
        "network/wifi-weak",
        "network/cellular",
        "network/limited",
    ],
    &["clock/computer"],
    &["clock/wrong"],
    &["device/storage-full", "device/no-staging-room"],
    &["icloud/keys-missing"],
    &[
        "power/low-power-mode",
        "icloud/never-locked",
        "icloud/conditions-not-met",
        "icloud/expires-soon",
    ],
    &["icloud/backing-off"],
    &["icloud/backup-damaged", "icloud/skipped-files", "icloud/other-error"],
    &["power/low", "power/temperature"],
    &["device/helper-crashed", "transfer/interrupted"],
    &["transfer/much-data", "device/ios-outdated", "hardware/fault", "device/malware"],
];

pub(super) fn bands(concern: For) -> &'static [&'static [&'static str]] {
    match concern {
        For::Computer => FOR_COMPUTER,
        For::Icloud => FOR_ICLOUD,
    }
}

pub(super) fn band(id: &str, concern: For) -> usize {
    bands(concern)
        .iter()
        .position(|ids| ids.contains(&id))
        .unwrap_or_else(|| panic!("{id} has no place in the test's order of {concern:?}"))
}

pub(super) fn follows(consequence: &str, root: &str) -> bool {
    FOLLOWS.iter().any(|(from, to, _)| {
        *from == root
            && (to.contains(&consequence) || to.iter().any(|next| follows(consequence, next)))
    })
}

/// The same, over nothing but what is there: through what did not happen nothing follows.
pub(super) fn follows_over(there: &BTreeSet<&str>, consequence: &str, root: &str) -> bool {
    FOLLOWS.iter().any(|(from, to, _)| {
        *from == root
            && (to.contains(&consequence)
                || to
                    .iter()
                    .any(|next| there.contains(next) && follows_over(there, consequence, next)))
    })
}
