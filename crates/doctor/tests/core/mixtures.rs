//! Two and three causes at once. What is expected is written here by hand, from what physically follows from what and from the
//! order in which a person looks; nothing of it is read from the catalogue's `explains` and `order`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lifeboat_doctor::{Catalogue, Certainty, Diagnosis, Facts, Finding, For, Severity, diagnose};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

mod physics;

use crate::scenario::{self, Scenario, matches};
use physics::{FOLLOWS, band, bands, follows, follows_over};

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
    wrong.extend(out_of_order(parts, diagnosis));
    let expected = expected(parts, diagnosis);
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

/// Returns how each part must be ranked: what is smaller comes before. A consequence of another part has no rank, for it is told with
/// its root. Of the others what weighs most comes first, of that the most certain, of that what is looked at first. A root weighs as
/// much as what it causes, through what is there as well; one that is only possible hides nothing heavier or more certain than itself.
fn ranks<'a>(
    parts: &[&'a Played],
    diagnosis: &Diagnosis,
) -> Vec<(&'a str, impl Ord + Copy + std::fmt::Debug + use<>)> {
    let there: BTreeSet<&str> =
        diagnosis.findings.iter().map(|finding| finding.id.as_str()).collect();
    let causes = |root: &Finding, other: &Finding| {
        let sure = root.certainty == Certainty::Confirmed || root.severity >= other.severity;
        sure && follows_over(&there, &other.id, &root.id) && root.certainty >= other.certainty
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
    parts
        .iter()
        .zip(&findings)
        .filter(|(_, finding)| !findings.iter().any(|root| causes(root, finding)))
        .map(|(part, finding)| (part.scenario.id.as_str(), rank(finding)))
        .collect()
}

/// Returns what may come first: the roots of the smallest rank.
fn expected<'a>(parts: &[&'a Played], diagnosis: &Diagnosis) -> BTreeSet<&'a str> {
    let ranks = ranks(parts, diagnosis);
    let first = ranks.iter().map(|(_, rank)| *rank).min();
    ranks.iter().filter(|(_, rank)| Some(*rank) == first).map(|(id, _)| *id).collect()
}

/// Returns the pairs of roots that stand in another order than their ranks.
fn out_of_order(parts: &[&Played], diagnosis: &Diagnosis) -> Vec<String> {
    let place = |id: &str| diagnosis.findings.iter().position(|finding| finding.id == id);
    let ranks = ranks(parts, diagnosis);
    let mut wrong = Vec::new();
    for (before, smaller) in &ranks {
        for (after, greater) in &ranks {
            if smaller < greater && place(before) > place(after) {
                wrong.push(format!("{after} {greater:?} stands before {before} {smaller:?}"));
            }
        }
    }
    wrong
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
            physics::bands(concern).iter().copied().flatten().copied().collect();
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
