//! Snapshots: what one says, and how people name one.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    error::RepoError,
    id::{SnapshotId, TreeId},
};

/// What a snapshot is; the first of its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// A whole backup.
    Complete,
    /// A backup in which something is missing, or what a broken run brought.
    Partial,
    /// A sealed one that was opened later.
    Opened,
    /// Holds a backup password (host name `lifeboat`).
    Password,
    /// Holds a certificate (host name `lifeboat`).
    Certificate,
}

impl Tag {
    /// Returns the word in the snapshot file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Opened => "opened",
            Self::Password => "password",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a run counted, as it stands in the snapshot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files in the snapshot.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes the repository grew by.
    pub bytes_added: u64,
}

/// One snapshot of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// When the backup was made.
    pub time: Timestamp,
    /// The device it is of: the host name in restic's words.
    pub udid: String,
    /// Its tags, words of [`Tag`] and others.
    pub tags: Vec<String>,
    /// A name for people: the device's.
    pub label: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// The snapshot it was made from.
    pub parent: Option<SnapshotId>,
    /// Its root folder.
    pub tree: TreeId,
    /// Which program wrote it.
    pub program: Option<String>,
    /// What was counted.
    pub summary: Option<Summary>,
}

impl Snapshot {
    /// Whether it carries this tag.
    pub fn is(&self, tag: Tag) -> bool {
        self.tags.iter().any(|word| word == tag.as_str())
    }

    /// Whether it is dated so far in the future that the clock must have been wrong when it was made.
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.time.duration_since(now) > MOST_AHEAD
    }

    /// Returns what puts snapshots in order: time, and of two of one time the opened one last, as the newer one. Where it is
    /// known what time it is, one that is dated in the future comes before all others: a clock that was wrong once would else
    /// hide every backup that is made until then.
    pub(crate) fn order(&self, now: Option<Timestamp>) -> (bool, Timestamp, bool, SnapshotId) {
        let is_plausible = now.is_none_or(|now| !self.is_ahead_of(now));
        (is_plausible, self.time, self.is(Tag::Opened), self.id)
    }
}

/// By how much two clocks may differ before the time of a snapshot is not believed: clocks of computers that share a
/// repository are not all right to the hour.
const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Whether two spellings name one device: case and dashes do not count.
pub fn same_device(a: &str, b: &str) -> bool {
    let plain = |text: &str| {
        text.bytes()
            .filter(|byte| *byte != b'-')
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    a == b || plain(a) == plain(b)
}

/// Returns a moment as calendar and clock of a place show it: `2026-11-22 10:30:05`. `UDID@DATE` finds a snapshot by the
/// beginning of this.
pub fn shown_time(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// What the writer of a snapshot says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSnapshot {
    /// When the backup was made.
    pub time: Timestamp,
    /// The device.
    pub udid: String,
    /// What it is.
    pub tag: Tag,
    /// What it is besides: of an opened one, whether it is complete or partial.
    pub also: Option<Tag>,
    /// A name for people.
    pub label: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// The snapshot it was made from.
    pub parent: Option<SnapshotId>,
}

/// The shortest prefix of an identifier that is understood.
const SHORTEST_PREFIX: usize = 4;

/// What a person means by the name of a snapshot.
pub(crate) struct Wanted<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// The device, in any spelling.
    pub(crate) udid: Option<&'a str>,
    /// What time it is, where that is known.
    pub(crate) now: Option<Timestamp>,
    /// Where the clock hangs that the person reads.
    pub(crate) zone: TimeZone,
}

impl Wanted<'_> {
    /// Whether a snapshot's time begins as the date that was named: as it is shown here, or with `Z` at the end of the date in
    /// UTC.
    fn is_of(&self, snapshot: &Snapshot, date: &str) -> bool {
        let date = date.replace('T', " ");
        match date.strip_suffix(['Z', 'z']) {
            Some(date) => snapshot.time.to_string().replace('T', " ").starts_with(date),
            None => shown_time(snapshot.time, &self.zone).starts_with(&date),
        }
    }
}

/// Finds the snapshot that is wanted: `latest` (the newest complete one of the only device, or of `udid`), the beginning of an
/// identifier, or `UDID@date` (the newest complete one of a device whose time begins so). `udid` narrows the choice. Where a
/// device has no complete one at all, its newest partial one that `is_backup` calls a finished backup takes its place.
pub(crate) fn resolve(
    snapshots: &[Snapshot],
    asked: &Wanted<'_>,
    is_backup: &dyn Fn(&Snapshot) -> bool,
) -> Result<Snapshot, RepoError> {
    let (wanted, udid, now) = (asked.name, asked.udid, asked.now);
    let of_device =
        |snapshot: &&Snapshot| udid.is_none_or(|udid| same_device(&snapshot.udid, udid));
    let none = || RepoError::NoSuchSnapshot(wanted.to_owned());
    let candidates = snapshots.iter().filter(of_device);
    if wanted == "latest" {
        return latest(candidates, now, is_backup)?.ok_or_else(none);
    }
    if let Some((device, date)) = wanted.split_once('@') {
        let fits = |snapshot: &Snapshot| date == "latest" || asked.is_of(snapshot, date);
        let candidates = candidates.filter(|snapshot| same_device(&snapshot.udid, device));
        return newest(candidates.collect(), now, &fits, is_backup).ok_or_else(none);
    }
    let prefix = wanted.to_ascii_lowercase();
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(none());
    }
    if prefix.len() < SHORTEST_PREFIX {
        return Err(RepoError::TooFew { wanted: wanted.to_owned(), least: SHORTEST_PREFIX });
    }
    let mut fitting = candidates.filter(|snapshot| snapshot.id.to_string().starts_with(&prefix));
    match (fitting.next(), fitting.count()) {
        (Some(one), 0) => Ok(one.clone()),
        (None, _) => Err(none()),
        (Some(_), more) => Err(RepoError::Ambiguous { wanted: wanted.to_owned(), count: more + 1 }),
    }
}

/// Returns what `latest` means: nobody knows which device is meant where several have one.
fn latest<'a>(
    candidates: impl Iterator<Item = &'a Snapshot>,
    now: Option<Timestamp>,
    is_backup: &dyn Fn(&Snapshot) -> bool,
) -> Result<Option<Snapshot>, RepoError> {
    let mut devices: BTreeMap<&str, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in candidates {
        devices.entry(&snapshot.udid).or_default().push(snapshot);
    }
    let mut found = Vec::new();
    for (udid, snapshots) in devices {
        // Of others are passwords, certificates, what broken runs left, what other programs keep here.
        found.extend(newest(snapshots, now, &|_| true, is_backup).map(|latest| (udid, latest)));
    }
    if found.len() > 1 {
        let devices = found.into_iter().map(|(udid, _)| udid.to_owned()).collect();
        return Err(RepoError::SeveralDevices { devices });
    }
    Ok(found.pop().map(|(_, latest)| latest))
}

/// Returns the newest complete one that fits; only where none is complete, fitting or not, the newest partial backup.
fn newest(
    mut candidates: Vec<&Snapshot>,
    now: Option<Timestamp>,
    fits: &dyn Fn(&Snapshot) -> bool,
    is_backup: &dyn Fn(&Snapshot) -> bool,
) -> Option<Snapshot> {
    candidates.sort_by_key(|snapshot| snapshot.order(now));
    let complete = candidates.iter().any(|snapshot| snapshot.is(Tag::Complete));
    let tag = if complete { Tag::Complete } else { Tag::Partial };
    let mut newest_first = candidates.into_iter().rev();
    newest_first
        .find(|snapshot| snapshot.is(tag) && fits(snapshot) && (complete || is_backup(snapshot)))
        .cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::BlobId;

    fn snapshot(first: u8, second: u8, udid: &str, time: &str, tag: Tag) -> Snapshot {
        let mut id = [0; 32];
        id[0] = first;
        id[1] = second;
        Snapshot {
            id: SnapshotId::new(id),
            time: time.parse().unwrap(),
            udid: udid.into(),
            tags: vec![tag.as_str().into()],
            label: None,
            description: None,
            parent: None,
            tree: BlobId::new([0; 32]),
            program: None,
            summary: None,
        }
    }

    fn asked<'a>(name: &'a str, udid: Option<&'a str>) -> Wanted<'a> {
        Wanted { name, udid, now: None, zone: TimeZone::UTC }
    }

    fn find(all: &[Snapshot], wanted: &str, udid: Option<&str>) -> Result<Snapshot, RepoError> {
        resolve(all, &asked(wanted, udid), &|_| true)
    }

    fn some() -> Vec<Snapshot> {
        vec![
            snapshot(0xab, 1, "A", "2026-11-20T10:00:00Z", Tag::Complete),
            snapshot(0xab, 2, "A", "2026-11-21T10:00:00Z", Tag::Complete),
            snapshot(0xcd, 3, "B", "2026-11-21T11:00:00Z", Tag::Complete),
            snapshot(0xce, 4, "A", "2026-11-21T12:00:00Z", Tag::Partial),
        ]
    }

    #[test]
    fn names_people_use() {
        let all = some();
        let second =
            |wanted: &str, udid| find(&all, wanted, udid).map(|found| found.id.as_bytes()[1]);
        assert_eq!(second("latest", Some("B")).unwrap(), 3);
        assert_eq!(second("latest", Some("A")).unwrap(), 2);
        assert_eq!(second("ab02", None).unwrap(), 2);
        assert_eq!(second("AB02", None).unwrap(), 2);
        assert_eq!(second("ce04", None).unwrap(), 4);
        assert_eq!(second("A@2026-11-20", None).unwrap(), 1);
        assert_eq!(second("A@2026-11-21 10", None).unwrap(), 2);
        assert_eq!(second("B@latest", None).unwrap(), 3);
        for wanted in ["C@2026", "A@2025", "zz", "", "ffff", "cd03"] {
            let found = second(wanted, Some("A"));
            assert!(matches!(found, Err(RepoError::NoSuchSnapshot(_))), "{wanted}: {found:?}");
        }
        for wanted in ["a", "AB", "cd0"] {
            let found = second(wanted, None);
            assert!(
                matches!(found, Err(RepoError::TooFew { least: 4, .. })),
                "{wanted}: {found:?}"
            );
        }
    }

    #[test]
    fn a_device_is_named_in_any_spelling() {
        let all = [snapshot(0xab, 1, "00008110-000A1B2C", "2026-11-20T10:00:00Z", Tag::Complete)];
        for udid in
            ["00008110-000A1B2C", "00008110000A1B2C", "00008110-000a1b2c", "00008110000a1b2c"]
        {
            assert!(find(&all, "latest", Some(udid)).is_ok(), "{udid}");
            assert!(find(&all, "ab01", Some(udid)).is_ok(), "{udid}");
            assert!(find(&all, &format!("{udid}@2026"), None).is_ok(), "{udid}");
        }
        for udid in ["00008110-000A1B2", "00008110-000A1B2D", ""] {
            assert!(find(&all, "latest", Some(udid)).is_err(), "{udid}");
        }
    }

    #[test]
    fn a_date_is_the_one_that_is_shown_and_with_z_the_one_in_utc() {
        // In Berlin the 21st begins at 23:00 UTC.
        let all = [
            snapshot(1, 1, "A", "2026-11-20T23:30:00Z", Tag::Complete),
            snapshot(2, 2, "A", "2026-10-25T00:30:00Z", Tag::Complete),
            snapshot(3, 3, "A", "2026-10-25T01:30:00Z", Tag::Complete),
        ];
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let found = |date: &str| {
            let name = format!("A@{date}");
            let asked = Wanted { zone: zone.clone(), ..asked(&name, None) };
            resolve(&all, &asked, &|_| true).ok().map(|found| found.id.as_bytes()[1])
        };
        for date in ["2026-11-21", "2026-11-21 00:30", "2026-11-21T00:30:00"] {
            assert_eq!(found(date), Some(1), "{date}");
        }
        for date in ["2026-11-20Z", "2026-11-20 23:30Z", "2026-11-20T23:30:00Z"] {
            assert_eq!(found(date), Some(1), "{date}");
        }
        assert_eq!(found("2026-11-20"), None);
        assert_eq!(found("2026-11-21Z"), None);
        // The hour that comes twice when the clock is set back: the newest.
        assert_eq!(found("2026-10-25 02:30"), Some(3));
        assert_eq!(found("2026-10-25T00:30Z"), Some(2));
    }

    #[test]
    fn one_that_is_dated_in_the_future_is_the_latest_only_where_no_other_is() {
        let all = [
            snapshot(1, 1, "A", "2026-11-20T10:00:00Z", Tag::Complete),
            snapshot(2, 2, "A", "2029-08-16T10:00:00Z", Tag::Complete),
            snapshot(3, 3, "A", "2026-11-21T10:00:00Z", Tag::Complete),
            snapshot(4, 4, "B", "2029-08-16T10:00:00Z", Tag::Complete),
        ];
        let latest = |all: &[Snapshot], udid, now: &str| {
            let asked = Wanted { now: Some(now.parse().unwrap()), ..asked("latest", Some(udid)) };
            resolve(all, &asked, &|_| true).ok().map(|found| found.id.as_bytes()[1])
        };
        assert_eq!(latest(&all, "A", "2026-11-22T10:00:00Z"), Some(3));
        assert_eq!(latest(&all, "A", "2029-08-16T10:00:00Z"), Some(2));
        // A day ahead is another computer's clock; one second more is none.
        assert_eq!(latest(&all, "A", "2029-08-15T10:00:00Z"), Some(2));
        assert_eq!(latest(&all, "A", "2029-08-15T09:59:59Z"), Some(3));
        assert_eq!(latest(&all, "B", "2026-11-22T10:00:00Z"), Some(4));
        // A computer whose own clock stands still sees all of them ahead, in their order.
        assert_eq!(latest(&all, "A", "1970-01-01T00:00:00Z"), Some(2));
    }

    #[test]
    fn the_latest_of_several_devices_is_of_none() {
        let mut all = some();
        let several = |all: &[Snapshot]| match find(all, "latest", None) {
            Err(RepoError::SeveralDevices { devices }) => devices.join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(several(&all), "A B");
        assert_eq!(find(&all, "B@latest", None).unwrap().udid, "B");
        // A partial one is the latest of a device that has nothing better.
        all.retain(|snapshot| snapshot.udid == "A");
        all.push(snapshot(9, 9, "C", "2026-11-19T10:00:00Z", Tag::Partial));
        assert_eq!(several(&all), "A C");
        // What a broken run left, a password and what another program keeps here are the latest of nothing.
        all.push(snapshot(7, 7, "lifeboat", "2026-11-23T10:00:00Z", Tag::Password));
        all.push(Snapshot {
            tags: vec!["nightly".into()],
            ..snapshot(8, 8, "laptop", "2026-11-24T10:00:00Z", Tag::Complete)
        });
        let one = resolve(&all, &asked("latest", None), &|partial| partial.udid != "C").unwrap();
        assert_eq!((one.udid.as_str(), one.id.as_bytes()[1]), ("A", 2));
    }

    #[test]
    fn a_prefix_of_two_is_ambiguous() {
        let mut all = some();
        all[1].id = SnapshotId::new({
            let mut id = *all[0].id.as_bytes();
            id[31] = 9;
            id
        });
        assert!(matches!(find(&all, "ab01", None), Err(RepoError::Ambiguous { count: 2, .. })));
    }

    #[test]
    fn a_partial_one_stands_in_only_where_nothing_is_complete() {
        let mut all = vec![
            snapshot(1, 1, "C", "2026-11-20T10:00:00Z", Tag::Partial),
            snapshot(2, 2, "C", "2026-11-21T10:00:00Z", Tag::Partial),
            snapshot(3, 3, "C", "2026-11-22T10:00:00Z", Tag::Partial),
            snapshot(4, 4, "C", "2026-11-22T11:00:00Z", Tag::Opened),
        ];
        // The third is what a broken run left.
        let second = |all: &[Snapshot], wanted: &str, udid| {
            let is_backup = |snapshot: &Snapshot| snapshot.id.as_bytes()[0] != 3;
            resolve(all, &asked(wanted, udid), &is_backup).ok().map(|found| found.id.as_bytes()[1])
        };
        assert_eq!(second(&all, "latest", None), Some(2));
        assert_eq!(second(&all, "C@latest", Some("C")), Some(2));
        assert_eq!(second(&all, "C@2026-11-20", None), Some(1));
        assert_eq!(second(&all, "C@2026-11-22", None), None);
        all.extend(some());
        assert_eq!(second(&all, "latest", None), None, "of which device?");
        assert_eq!(second(&all, "latest", Some("C")), Some(2));
        assert_eq!(second(&all, "A@2026-11-21T12", None), None, "it has complete ones");
    }

    #[test]
    fn an_opened_one_goes_before_the_sealed_one_that_it_was_made_of() {
        let twin = |first, words: [Tag; 2]| Snapshot {
            tags: words.map(|tag| tag.as_str().into()).into(),
            ..snapshot(first, first, "C", "2026-11-20T10:00:00Z", words[0])
        };
        let sealed = snapshot(5, 5, "C", "2026-11-20T10:00:00Z", Tag::Complete);
        for first in [1, 9] {
            let all = [twin(first, [Tag::Opened, Tag::Complete]), sealed.clone()];
            assert_eq!(find(&all, "latest", None).unwrap().id.as_bytes()[0], first);
            assert_eq!(find(&all, "C@2026-11-20", None).unwrap().id.as_bytes()[0], first);
        }
        // Incomplete stays incomplete.
        let all = [twin(9, [Tag::Opened, Tag::Partial]), sealed];
        assert_eq!(find(&all, "latest", None).unwrap().id.as_bytes()[0], 5);
    }

    proptest! {
        #[test]
        fn every_beginning_that_only_one_has_finds_it(
            ids in prop::collection::btree_set(any::<[u8; 32]>(), 1..6),
            length in 4_usize..=64,
            of_device: bool,
        ) {
            let all: Vec<Snapshot> = ids
                .into_iter()
                .map(|id| {
                    let id = SnapshotId::new(id);
                    Snapshot { id, ..snapshot(0, 0, "A", "2026-11-20T10:00:00Z", Tag::Complete) }
                })
                .collect();
            for one in &all {
                let name = one.id.to_string();
                let beginning = name.get(..length).unwrap();
                let alike = all.iter().filter(|other| other.id.to_string().starts_with(beginning));
                match find(&all, beginning, of_device.then_some("A")) {
                    Ok(found) => prop_assert_eq!((found.id, alike.count()), (one.id, 1)),
                    Err(error) => {
                        let is_ambiguous = matches!(error, RepoError::Ambiguous { .. });
                        prop_assert!(is_ambiguous && alike.count() > 1, "{error}");
                    }
                }
            }
            let first = all[0].id.to_string();
            prop_assert!(find(&all, first.get(..length).unwrap(), Some("B")).is_err());
        }

        #[test]
        fn noise_finds_nothing_and_never_panics(
            noise in any::<String>(),
            name in "(latest|[AB]|[a-f0-9]{1,6})?@?(latest|2026-11-2[0-9T: .]{0,12})?",
        ) {
            for wanted in [noise, name] {
                if let Ok(found) = find(&some(), &wanted, None) {
                    let names_it = wanted == "latest"
                        || wanted.split('@').next().is_some_and(|name| same_device(name, &found.udid))
                        || found.id.to_string().starts_with(&wanted.to_ascii_lowercase());
                    prop_assert!(names_it, "{wanted} found {found:?}");
                }
            }
        }
    }
}
