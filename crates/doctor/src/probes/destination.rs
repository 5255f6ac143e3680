//! P23: the place for the backup: can it be written, is there room, what kind of place is it.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_host::mount::holding;
use lifeboat_host::trial::{FolderState, FolderTrial, Protection};
use lifeboat_host::{Host, KernelLine, Mount, apart};

use super::{all, bytes, nothing};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const TELLS: &[&str] = &[
    "destination.state",
    "destination.path",
    "destination.said",
    "destination.free",
    "destination.room",
    "destination.inodes",
    "destination.quota",
    "destination.file-limit",
    "destination.rename",
    "destination.file-system",
    "destination.kernel-errors",
    "destination.protection",
];

/// A write that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(4);
/// File systems that cannot hold files of 4 GiB and more.
const FAT: [&str; 5] = ["vfat", "msdos", "fat", "fat32", "msdosfs"];
/// Folders in which disks are mounted that come and go.
const COMING: [&str; 4] = ["/media", "/mnt", "/run/media", "/Volumes"];

/// P23: each place; of several, the one that is worst off tells.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let mut worst: Option<Facts> = None;
    let looks = context.destinations.iter().map(|path| one(context, path));
    for facts in all(looks.collect()).await {
        if worst.as_ref().is_none_or(|worst| badness(&facts) > badness(worst)) {
            worst = Some(facts);
        }
    }
    let why = Why::NotThere("no place for a backup is set".to_owned());
    worst.unwrap_or_else(|| nothing(TELLS, &why))
}

/// How bad a place is: one that cannot be written before one that is nearly full.
fn badness(facts: &Facts) -> (bool, bool, i64) {
    let free = match facts.value("destination.free") {
        Some(Value::Number(free)) => *free,
        _ => 0,
    };
    let wrong = facts.is("destination.rename", "broken")
        || facts.is("destination.quota", "exceeded")
        || facts.is("destination.inodes", "none");
    (!facts.is("destination.state", "writable"), wrong, -free)
}

/// What a look at a place showed, all of it together.
struct Place {
    trial: FolderTrial,
    free: Result<u64, Why>,
    files: Result<Option<u64>, Why>,
    mounts: Result<Vec<Mount>, Why>,
    log: Result<Vec<KernelLine>, Why>,
    real: Utf8PathBuf,
}

async fn one(context: &ProbeContext, path: &Utf8Path) -> Facts {
    let (host, owned) = (Arc::clone(&context.host), path.to_owned());
    let looked = apart(LIMIT, move || gather(&*host, &owned)).await;
    if let Some(place) = looked {
        return told(path, &place);
    }
    let mut facts = Facts::new();
    facts.tell("destination.state", "hung");
    facts.tell("destination.path", Value::Text(super::plain(path.as_str())));
    facts.unknown(TELLS, &Why::TimedOut);
    facts
}

fn gather(host: &dyn Host, path: &Utf8Path) -> Place {
    let refused = |error: lifeboat_host::DiskError| Why::Refused(error.to_string());
    let there = path.ancestors().find(|above| above.exists()).unwrap_or(path);
    Place {
        trial: host.try_folder(path),
        free: host.free_bytes(path).map_err(refused),
        files: host.free_files(path).map_err(refused),
        mounts: host.mounts().map_err(|error| context::look(&error)),
        log: host.kernel_log().map_err(|error| context::look(&error)),
        real: there.canonicalize_utf8().unwrap_or_else(|_| path.to_owned()),
    }
}

fn told(path: &Utf8Path, place: &Place) -> Facts {
    let mut facts = Facts::new();
    let mounts = place.mounts.as_deref().unwrap_or_default();
    let mount = holding(mounts, &place.real);
    facts.tell("destination.state", state(path, &place.trial, mount));
    facts.tell("destination.free", super::told(place.free.clone().map(bytes)));
    facts.tell(
        "destination.inodes",
        match &place.files {
            Ok(Some(0)) => Value::from("none"),
            Ok(_) => Value::from("enough"),
            Err(why) => why.clone().into(),
        },
    );
    let writable = place.trial.state == FolderState::Writable;
    facts.tell("destination.quota", if place.trial.over_quota { "exceeded" } else { "none" });
    let why = Why::NotThere("nothing could be written".to_owned());
    facts.tell(
        "destination.rename",
        match place.trial.rename {
            Some(works) if writable => Value::from(if works { "ok" } else { "broken" }),
            _ => why.into(),
        },
    );
    facts.tell("destination.protection", protection(place.trial.protection));
    named(&mut facts, path, &place.trial);
    match (mount, &place.mounts) {
        (Some(mount), _) => {
            let fat = FAT.contains(&mount.kind.to_ascii_lowercase().as_str());
            facts.tell("destination.file-limit", if fat { "4-gib" } else { "none" });
            facts.tell("destination.file-system", Value::Text(super::plain(&mount.kind)));
        }
        (None, Ok(_)) => {
            let why = Why::NotThere("nothing is mounted there".to_owned());
            facts.unknown(TELLS, &why);
        }
        (None, Err(why)) => facts.unknown(TELLS, why),
    }
    match &place.log {
        Ok(lines) => facts.tell("destination.kernel-errors", disk_errors(lines, mount)),
        Err(why) => facts.tell("destination.kernel-errors", why.clone()),
    }
    facts.tell("destination.room", Why::NotLooked);
    facts
}

/// Names the place, and tells what the system said there. Whether there is room for a backup is known to nobody yet: what of it a
/// person reads is decided by what speaks for a cause.
fn named(facts: &mut Facts, path: &Utf8Path, trial: &FolderTrial) {
    let text = |text: &str| Value::Text(super::plain(text));
    facts.tell("destination.path", text(path.as_str()));
    let said = match &trial.said {
        Some(said) => text(said),
        None => Why::NotThere("the system said nothing".to_owned()).into(),
    };
    facts.tell("destination.said", said);
}

fn state(path: &Utf8Path, trial: &FolderTrial, mount: Option<&Mount>) -> &'static str {
    match trial.state {
        FolderState::Writable if is_unmounted(path, mount) => "unmounted",
        FolderState::Writable => "writable",
        FolderState::ReadOnly => "read-only",
        FolderState::Denied => "denied",
        FolderState::Missing => "missing",
        FolderState::NotAFolder => "not-a-folder",
        FolderState::DanglingLink => "dangling-link",
        FolderState::IoError => "io-error",
    }
}

/// A place among disks that come and go, which is not there and lies on none of them: the disk is away.
fn is_unmounted(path: &Utf8Path, mount: Option<&Mount>) -> bool {
    let Some(area) = COMING.iter().find(|area| path.starts_with(area)) else { return false };
    !path.exists() && mount.is_some_and(|mount| !mount.path.starts_with(area))
}

fn protection(found: Option<Protection>) -> &'static str {
    match found {
        None => "none",
        Some(Protection::MacosPrivacy) => "macos-privacy",
        Some(Protection::WindowsControlledFolder) => "windows-controlled-folder",
    }
}

/// Counts errors of the disk of this mount in the kernel's log.
fn disk_errors(lines: &[KernelLine], mount: Option<&Mount>) -> u32 {
    const ERRORS: [&str; 5] = [
        "I/O error",
        "critical medium error",
        "critical target error",
        "EXT4-fs error",
        "rejecting I/O to offline device",
    ];
    let Some(disk) = mount.and_then(|mount| mount.source.strip_prefix("/dev/")) else { return 0 };
    let of_disk = |text: &str| {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        words.any(|word| word == disk || is_part(disk, word))
    };
    let count = lines
        .iter()
        .filter(|line| ERRORS.iter().any(|error| line.text.contains(error)) && of_disk(&line.text))
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether `part` (`sda1`, `nvme0n1p2`) is a part of the disk `whole` (`sda`, `nvme0n1`).
fn is_part(part: &str, whole: &str) -> bool {
    if whole.len() < 3 {
        return false;
    }
    part.strip_prefix(whole).is_some_and(|rest| {
        let number = if whole.ends_with(|c: char| c.is_ascii_digit()) {
            rest.strip_prefix('p')
        } else {
            Some(rest)
        };
        number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(trial: FolderTrial, kind: &str) -> Place {
        let mount = Mount {
            path: "/".into(),
            kind: kind.into(),
            source: "/dev/sda1".into(),
            read_only: false,
        };
        Place {
            trial,
            free: Ok(5_000),
            files: Ok(None),
            mounts: Ok(vec![mount]),
            log: Ok(Vec::new()),
            real: "/srv/backup".into(),
        }
    }

    #[test]
    fn a_good_place_is_good() {
        let facts = told(Utf8Path::new("/srv/backup"), &place(FolderTrial::good(), "ext4"));
        for (key, word) in [
            ("destination.state", "writable"),
            ("destination.inodes", "enough"),
            ("destination.quota", "none"),
            ("destination.file-limit", "none"),
            ("destination.rename", "ok"),
            ("destination.protection", "none"),
        ] {
            assert!(facts.is(key, word), "{key}");
        }
        assert_eq!(facts.value("destination.kernel-errors"), Some(&Value::Number(0)));
    }

    #[test]
    fn what_is_wrong_with_a_place_is_told() {
        let trial = FolderTrial { rename: Some(false), over_quota: true, ..FolderTrial::good() };
        let facts = told(Utf8Path::new("/srv"), &place(trial, "vfat"));
        assert!(facts.is("destination.rename", "broken"));
        assert!(facts.is("destination.quota", "exceeded"));
        assert!(facts.is("destination.file-limit", "4-gib"));
        let away = told(Utf8Path::new("/media/me/Gone"), &place(FolderTrial::good(), "ext4"));
        assert!(away.is("destination.state", "unmounted"));
        let read_only = FolderTrial { state: FolderState::ReadOnly, ..FolderTrial::good() };
        let worse = told(Utf8Path::new("/srv"), &place(read_only, "ext4"));
        assert!(badness(&worse) > badness(&facts));
    }

    /// What is wrong is said of a place that has a name, with the system's own words.
    #[test]
    fn a_place_that_fails_is_named_with_the_words_of_the_system() {
        let said = || Some("Read-only file system (30)".to_owned());
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        for (trial, words) in [
            (
                FolderTrial { state: FolderState::ReadOnly, said: said(), ..FolderTrial::good() },
                true,
            ),
            (FolderTrial { over_quota: true, said: said(), ..FolderTrial::good() }, true),
            (FolderTrial { state: FolderState::DanglingLink, ..FolderTrial::good() }, false),
        ] {
            let facts = told(Utf8Path::new("/srv/backup"), &place(trial, "ext4"));
            assert_eq!(facts.value("destination.path").cloned(), text("/srv/backup"));
            let found = facts.value("destination.said").cloned().filter(Value::is_known);
            assert_eq!(found, text("Read-only file system (30)").filter(|_| words));
        }
        let empty = Place { files: Ok(Some(0)), ..place(FolderTrial::good(), "ext4") };
        let facts = told(Utf8Path::new("/srv/backup"), &empty);
        assert_eq!(facts.value("destination.path").cloned(), text("/srv/backup"));
        // Whether its room is enough is not for this look to say, and a rename that does not work or a file system that takes no
        // large files is a place that is not well, too.
        let no_rename = FolderTrial { rename: Some(false), ..FolderTrial::good() };
        for (trial, kind) in
            [(FolderTrial::good(), "ext4"), (FolderTrial::good(), "vfat"), (no_rename, "ext4")]
        {
            let facts = told(Utf8Path::new("/srv/backup"), &place(trial, kind));
            assert_eq!(facts.value("destination.path").cloned(), text("/srv/backup"), "{kind}");
            assert!(facts.value("destination.said").is_some_and(|value| !value.is_known()));
        }
    }

    #[test]
    fn errors_count_for_their_disk() {
        let line = |text: &str| KernelLine { ago: Duration::ZERO, text: text.to_owned() };
        let lines = [
            line("blk_update_request: I/O error, dev sda, sector 2048 op 0x1:(WRITE)"),
            line("Buffer I/O error on dev sda1, logical block 5"),
            line("EXT4-fs error (device sda1): ext4_find_entry"),
            line("I/O error, dev sdb, sector 1"),
            line("usb 1-2: new high-speed USB device, sda"),
        ];
        let mount = |source: &str| Mount {
            path: "/".into(),
            kind: "ext4".into(),
            source: source.into(),
            read_only: false,
        };
        assert_eq!(disk_errors(&lines, Some(&mount("/dev/sda1"))), 3);
        assert_eq!(disk_errors(&lines, Some(&mount("server:/share"))), 0);
        assert!(is_part("nvme0n1p2", "nvme0n1") && !is_part("sdab", "sda"));
    }
}
