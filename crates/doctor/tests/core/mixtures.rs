//! Two and three causes at once. What is expected is written here by hand, from what physically follows from what and from the
//! order in which a person looks; nothing of it is read from the catalogue's `explains` and `order`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lifeboat_doctor::{Catalogue, Certainty, Diagnosis, Facts, Finding, Severity, diagnose};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::scenario::{self, Scenario, matches};

/// A root, and what happens because of it.
const FOLLOWS: &[(&str, &[&str])] = &[
    // A link that breaks: the run ends early, and leaves something behind.
    (
        "bus/hub-or-weak-port",
        &["bus/bad-cable", "bus/damaged-port", "transfer/interrupted", "backup/not-finished"],
    ),
    ("bus/bad-cable", &["transfer/interrupted", "backup/not-finished"]),
    ("bus/damaged-port", &["transfer/interrupted", "backup/not-finished"]),
    (
        "host/sleeps",
        &["transfer/interrupted", "backup/not-finished", "bus/bad-cable", "wifi/unreachable"],
    ),
    ("host/protocol-trouble", &["transfer/interrupted", "backup/not-finished"]),
    ("transfer/cancelled-on-device", &["transfer/interrupted", "backup/not-finished"]),
    (
        "transfer/passcode-not-entered",
        &["transfer/interrupted", "transfer/locked-during-run", "backup/not-finished"],
    ),
    ("transfer/poisonous-file", &["transfer/interrupted", "backup/not-finished", "bus/bad-cable"]),
    ("transfer/file-changed", &["transfer/locked-during-run", "backup/not-finished"]),
    ("transfer/locked-during-run", &["backup/not-finished"]),
    ("transfer/interrupted", &["backup/not-finished", "device/leftover-snapshot"]),
    ("device/downloading", &["transfer/file-changed"]),
    ("device/leftover-snapshot", &["device/restart-helps", "backup/not-finished"]),
    // In recovery mode, or while it hangs, it is in no network.
    ("device/restart-helps", &["wifi/unreachable"]),
    (
        "device/helper-crashed",
        &["device/restart-helps", "icloud/backing-off", "backup/not-finished"],
    ),
    // A destination that takes nothing.
    ("destination/link-dangles", &["backup/existing-broken", "backup/not-finished"]),
    (
        "destination/not-writable",
        &["backup/existing-broken", "backup/not-finished", "transfer/locked-during-run"],
    ),
    (
        "destination/disk-fails",
        &[
            "destination/link-dangles",
            "destination/not-writable",
            "backup/existing-broken",
            "backup/not-finished",
            "transfer/interrupted",
            "transfer/locked-during-run",
        ],
    ),
    ("destination/file-limit", &["transfer/interrupted", "backup/not-finished"]),
    ("destination/full", &["transfer/interrupted", "backup/not-finished"]),
    ("backup/existing-broken", &["backup/not-finished"]),
    // Trust and keys.
    ("management/pairing-forbidden", &["pairing/not-trusted", "pairing/stale-record"]),
    ("clock/wrong", &["pairing/stale-record", "icloud/backing-off"]),
    // Its certificates have a date; the way of the phone to Apple does not lead over this computer.
    ("clock/computer", &["pairing/stale-record"]),
    ("pairing/stale-record", &["host/protocol-trouble"]),
    (
        "device/not-unlocked-yet",
        &["pairing/not-trusted", "icloud/keys-missing", "transfer/locked-during-run"],
    ),
    ("restore/protection-class", &["transfer/passcode-not-entered"]),
    ("password/damaged", &["password/forgotten"]),
    ("icloud/keys-missing", &["icloud/backing-off", "icloud/skipped-files"]),
    ("icloud/skipped-files", &["icloud/backing-off"]),
    // Room.
    ("device/storage-full", &["device/no-staging-room"]),
    ("device/no-staging-room", &["icloud/backing-off"]),
    ("icloud/family-pool", &["icloud/storage-full"]),
    ("icloud/plan-shrunk", &["icloud/storage-full"]),
    ("icloud/old-devices", &["icloud/storage-full"]),
    ("icloud/storage-full", &["icloud/backing-off"]),
    // The switch and the conditions of iCloud Backup.
    (
        "icloud/forbidden-by-management",
        &[
            "icloud/switched-off",
            "icloud/conditions-not-met",
            "icloud/backing-off",
            "icloud/expires-soon",
        ],
    ),
    (
        "icloud/switched-off-elsewhere",
        &["icloud/switched-off", "icloud/conditions-not-met", "icloud/expires-soon"],
    ),
    ("icloud/switched-off", &["icloud/conditions-not-met"]),
    ("icloud/never-locked", &["icloud/conditions-not-met"]),
    ("icloud/restore-running", &["icloud/conditions-not-met", "icloud/backing-off"]),
    ("power/low", &["transfer/interrupted", "icloud/conditions-not-met", "icloud/backing-off"]),
    ("power/low-power-mode", &["icloud/conditions-not-met"]),
    ("power/temperature", &["icloud/backing-off"]),
    ("network/limited", &["icloud/conditions-not-met"]),
    // The way to Apple.
    ("network/router", &["network/wifi-weak"]),
    ("network/filter", &["network/wifi-weak", "icloud/backing-off"]),
    (
        "network/blocked",
        &["network/wifi-weak", "network/filter", "network/inspection", "icloud/backing-off"],
    ),
    ("network/inspection", &["icloud/backing-off"]),
    ("network/wifi-weak", &["transfer/interrupted", "icloud/backing-off"]),
    ("apple/outage", &["icloud/backing-off"]),
    ("apple/rate-limit", &["icloud/backing-off"]),
    ("account/password-stale", &["icloud/backing-off"]),
    ("account/code-or-terms-waiting", &["icloud/backing-off"]),
    ("account/locked", &["icloud/backing-off"]),
    ("account/unavailable", &["icloud/backing-off"]),
    ("icloud/backup-damaged", &["icloud/backing-off"]),
    ("icloud/other-error", &["icloud/backing-off"]),
];

/// In which order a person looks; what stands in one line has no order among itself.
const BANDS: &[&[&str]] = &[
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
        "icloud/forbidden-by-management",
    ],
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
    &["apple/outage", "apple/rate-limit", "password/forgotten", "password/damaged"],
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
    &["icloud/keys-missing"],
    &[
        "power/low-power-mode",
        "icloud/never-locked",
        "icloud/conditions-not-met",
        "icloud/expires-soon",
    ],
    &["icloud/backing-off"],
    &["icloud/backup-damaged", "icloud/skipped-files", "icloud/other-error"],
    &["device/storage-full", "device/no-staging-room"],
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

fn band(id: &str) -> usize {
    BANDS
        .iter()
        .position(|ids| ids.contains(&id))
        .unwrap_or_else(|| panic!("{id} has no place in the test's order"))
}

fn follows(consequence: &str, root: &str) -> bool {
    FOLLOWS.iter().any(|(from, to)| {
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
    let rank = |finding: &Finding| {
        let caused =
            findings.iter().filter(|other| causes(finding, other)).map(|other| other.severity);
        let weight: Severity = caused.fold(finding.severity, Ord::max);
        (std::cmp::Reverse(weight), std::cmp::Reverse(finding.certainty), band(&finding.id))
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
