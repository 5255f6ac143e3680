//! Two and three causes at once. What is expected is written here by hand, from what physically follows from what and from the
//! order in which a person looks; nothing of it is read from the catalogue's `explains` and `order`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lifeboat_doctor::{Catalogue, Certainty, Diagnosis, Facts, Finding, For, Severity, diagnose};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::scenario::{self, Scenario, matches};

/// A root, what happens because of it, and why that is so: by what cables, disks, locks and networks do, whatever the catalogue says.
const FOLLOWS: &[(&str, &[&str], &str)] = &[
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
    &[
        "management/backup-forbidden",
        "management/encryption-demanded",
        "device/setup-unfinished",
        "device/restore-running",
    ],
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

fn bands(concern: For) -> &'static [&'static [&'static str]] {
    match concern {
        For::Computer => FOR_COMPUTER,
        For::Icloud => FOR_ICLOUD,
    }
}

fn band(id: &str, concern: For) -> usize {
    bands(concern)
        .iter()
        .position(|ids| ids.contains(&id))
        .unwrap_or_else(|| panic!("{id} has no place in the test's order of {concern:?}"))
}

fn follows(consequence: &str, root: &str) -> bool {
    FOLLOWS.iter().any(|(from, to, _)| {
        *from == root
            && (to.contains(&consequence) || to.iter().any(|next| follows(consequence, next)))
    })
}

/// Returns the catalogue as if no cause explained another: each weighs what it weighs by its own signs.
fn unexplained() -> Catalogue {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
    let mut files = Vec::new();
    for area in fs_err::read_dir(&root).expect("the catalogue").map(|area| area.expect("an area")) {
        let Ok(pages) = fs_err::read_dir(area.path()) else { continue };
        for page in pages.map(|page| page.expect("a page").path()) {
            let id = page.with_extension("").strip_prefix(&root).expect("below it").to_owned();
            let text = fs_err::read_to_string(&page).expect("a page");
            let text = match text.split_once("\nexplains = [") {
                Some((head, rest)) => {
                    let (_, rest) = rest.split_once(']').expect("the end of a list");
                    format!("{head}{rest}")
                }
                None => text,
            };
            files.push((id.to_str().expect("an id").replace('\\', "/"), text));
        }
    }
    let files: Vec<(String, &str)> =
        files.iter().map(|(id, text)| (id.clone(), text.as_str())).collect();
    let (catalogue, errors) = Catalogue::read(&files);
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(catalogue.causes().all(|cause| cause.explains.is_empty()));
    assert_eq!(catalogue.entries().len(), Catalogue::builtin().entries().len());
    catalogue
}

/// A scenario and what it gives alone, where no cause explains another.
struct Played {
    scenario: Scenario,
    alone: Diagnosis,
    /// What its cause is seen by, and what is not known about it.
    needs: BTreeSet<String>,
}

impl Played {
    fn finding(&self) -> &Finding {
        self.alone.of(&self.scenario.id).expect("a scenario gives its cause")
    }

    fn changes(&self, key: &str) -> bool {
        self.scenario.overlay.iter().any(|(changed, _)| changed.as_str() == key)
            || self.scenario.unknown.iter().any(|pattern| matches(pattern, key))
    }
}

fn played(healthy: &Facts) -> Vec<Played> {
    let catalogue = unexplained();
    scenario::all()
        .into_iter()
        .map(|scenario| {
            let alone = diagnose(&catalogue, &scenario.over(healthy), scenario.concern);
            let needs = alone.of(&scenario.id).map(|finding| {
                finding
                    .evidence
                    .iter()
                    .map(|evidence| evidence.key.as_str().to_owned())
                    .collect::<BTreeSet<_>>()
            });
            Played { needs: needs.unwrap_or_default(), alone, scenario }
        })
        .collect()
}

/// Neither takes away what the other is seen by, and no fact would have to have two values.
fn independent(a: &Played, b: &Played) -> bool {
    let apart = |a: &Played, b: &Played| {
        !b.needs.iter().any(|key| a.changes(key))
            && !b.scenario.overlay.iter().any(|(key, _)| a.changes(key.as_str()))
    };
    a.scenario.concern == b.scenario.concern && apart(a, b) && apart(b, a)
}

fn mixture(parts: &[&Played], healthy: &Facts) -> Facts {
    parts.iter().fold(healthy.clone(), |facts, part| part.scenario.over(&facts))
}

/// Returns what is wrong with the answer to a mixture.
fn wrong(parts: &[&Played], diagnosis: &Diagnosis) -> Vec<String> {
    let mut wrong = Vec::new();
    let ids: Vec<&str> = parts.iter().map(|part| part.scenario.id.as_str()).collect();
    for id in &ids {
        if diagnosis.of(id).is_none() {
            wrong.push(format!("{id} is not reported"));
        }
    }
    for finding in
        diagnosis.findings.iter().filter(|finding| finding.certainty == Certainty::Confirmed)
    {
        // What a part may bring along stands in its file; what follows from it, in the table above.
        let in_it = parts.iter().any(|part| {
            part.scenario.id == finding.id
                || part.scenario.also.contains(&finding.id)
                || follows(&finding.id, &part.scenario.id)
        });
        if !in_it {
            wrong.push(format!("{} is confirmed and not in it", finding.id));
        }
    }
    for finding in &diagnosis.findings {
        if let Some(root) = &finding.explained_by
            && !follows(&finding.id, root)
        {
            wrong.push(format!(
                "{} is hidden behind {root}, from which it does not follow",
                finding.id
            ));
        }
    }
    let expected = expected(parts);
    let primary = diagnosis.primary().map(|primary| primary.id.as_str());
    if !primary.is_some_and(|primary| expected.contains(primary)) {
        let seen = |finding: &Finding| {
            format!(
                "{} {:?} {:?} {:?}",
                finding.id, finding.severity, finding.certainty, finding.explained_by
            )
        };
        let found: Vec<String> = diagnosis.findings.iter().map(seen).collect();
        let alone: Vec<String> = parts.iter().map(|part| seen(part.finding())).collect();
        wrong.push(format!(
            "{primary:?} comes first, and not {expected:?}: {found:?}; alone {alone:?}"
        ));
    }
    wrong
}

/// Returns what may come first: no consequence of another part, of what weighs most the most certain, of that what is looked at
/// first. A root weighs as much as what it causes; one that is only possible hides nothing heavier or more certain than itself.
fn expected<'a>(parts: &[&'a Played]) -> BTreeSet<&'a str> {
    let causes = |root: &Finding, other: &Finding| {
        let sure = root.certainty == Certainty::Confirmed || root.severity >= other.severity;
        sure && follows(&other.id, &root.id) && root.certainty >= other.certainty
    };
    let findings: Vec<&Finding> = parts.iter().map(|part| part.finding()).collect();
    let concern = parts[0].scenario.concern;
    let rank = |finding: &Finding| {
        let caused =
            findings.iter().filter(|other| causes(finding, other)).map(|other| other.severity);
        let weight: Severity = caused.fold(finding.severity, Ord::max);
        let band = band(&finding.id, concern);
        (std::cmp::Reverse(weight), std::cmp::Reverse(finding.certainty), band)
    };
    let roots: Vec<&&Finding> = findings
        .iter()
        .filter(|finding| !findings.iter().any(|root| causes(root, finding)))
        .collect();
    let first = roots.iter().map(|finding| rank(finding)).min();
    let ids = parts.iter().map(|part| part.scenario.id.as_str());
    ids.filter(|id| roots.iter().any(|root| root.id == *id && Some(rank(root)) == first)).collect()
}

#[test]
fn pairs_and_triples_give_the_root_first_and_everything_else_too() {
    let healthy = scenario::healthy();
    let all = played(&healthy);
    let mut random = StdRng::seed_from_u64(3);
    let mut mixtures: Vec<Vec<&Played>> = Vec::new();
    for (at, a) in all.iter().enumerate() {
        for b in all.iter().skip(at + 1).filter(|b| independent(a, b)) {
            mixtures.push(vec![a, b]);
        }
    }
    mixtures.shuffle(&mut random);
    let pairs = mixtures.len();
    let mut triples = Vec::new();
    for pair in mixtures.iter().cycle().take(4 * pairs) {
        let third = &all[random.random_range(0..all.len())];
        let other =
            |part: &&Played| part.scenario.id != third.scenario.id && independent(part, third);
        if triples.len() < 400 && pair.iter().all(other) {
            triples.push(vec![pair[0], pair[1], third]);
        }
    }
    let causes: BTreeSet<&str> =
        mixtures.iter().flatten().map(|part| part.scenario.id.as_str()).collect();
    println!("{pairs} pairs of {} causes and {} triples", causes.len(), triples.len());
    assert!(pairs + triples.len() >= 300 && triples.len() >= 100);
    let mut failures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for parts in mixtures.iter().chain(&triples) {
        let diagnosis =
            diagnose(Catalogue::builtin(), &mixture(parts, &healthy), parts[0].scenario.concern);
        for what in wrong(parts, &diagnosis) {
            let name =
                parts.iter().map(|part| part.scenario.id.as_str()).collect::<Vec<_>>().join(" + ");
            failures.entry(what).or_default().push(name);
        }
    }
    let told: Vec<String> = failures
        .iter()
        .map(|(what, where_)| format!("{what}: {} times, {}", where_.len(), where_[0]))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}

/// Each kind of backup has its own order of looking: the catalogue keeps to both.
#[test]
fn what_is_looked_at_first_comes_first_for_each_kind_of_backup() {
    for concern in For::ALL {
        let places = |ids: &&[&str]| -> Vec<(u32, String)> {
            let of = |id: &&str| Catalogue::builtin().get(id).expect(id).order.of(concern);
            ids.iter().map(|id| (of(id), (*id).to_owned())).collect()
        };
        let bands: Vec<_> = bands(concern).iter().map(places).collect();
        for pair in bands.windows(2) {
            let (before, after) = (pair[0].iter().max(), pair[1].iter().min());
            assert!(before < after, "{concern:?}: {before:?} is looked at before {after:?}");
        }
        // Nobody is forgotten.
        let listed: BTreeSet<&str> =
            self::bands(concern).iter().copied().flatten().copied().collect();
        for cause in Catalogue::builtin().causes().filter(|cause| cause.concerns.contains(&concern))
        {
            assert!(
                listed.contains(cause.id.as_str()),
                "{} has no place for {concern:?}",
                cause.id
            );
        }
    }
}

/// The clock of the phone decides before its room for iCloud Backup, and after it for a backup to this computer.
#[test]
fn a_wrong_clock_and_a_full_phone_are_told_in_the_order_of_the_kind_of_backup() {
    let mut facts = scenario::healthy();
    facts.insert("clock.device-skew", 7200).unwrap();
    facts.insert("storage.available", 100_000_000).unwrap();
    let first_two = |concern| {
        let findings = diagnose(Catalogue::builtin(), &facts, concern).findings;
        let two = findings.iter().take(2);
        two.map(|found| (found.id.clone(), found.severity, found.certainty)).collect::<Vec<_>>()
    };
    let told = |id: &str| (id.to_owned(), Severity::Blocking, Certainty::Confirmed);
    let (clock, full) = (told("clock/wrong"), told("device/storage-full"));
    assert_eq!(first_two(For::Computer), [full.clone(), clock.clone()]);
    assert_eq!(first_two(For::Icloud), [clock, full]);
}

/// Each row of the table says why, in a sentence of its own.
#[test]
fn every_row_of_what_follows_says_why() {
    let mut roots = BTreeSet::new();
    for (root, follows, why) in FOLLOWS {
        assert!(roots.insert(root), "{root} stands twice");
        assert!(!follows.is_empty() && !follows.contains(root), "{root}");
        assert!(why.ends_with('.') && why.split(' ').count() >= 5, "{root}: {why}");
    }
}

/// What is hidden behind what, in all scenarios alone: only what physically follows.
#[test]
fn nothing_is_hidden_that_does_not_follow() {
    let mut wrong = Vec::new();
    for entry in Catalogue::builtin().causes() {
        for consequence in
            entry.explains.iter().filter(|consequence| !follows(consequence, &entry.id))
        {
            wrong.push(format!("{consequence} does not follow from {}", entry.id));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
