//! Stores the same days with groups of several sizes (of pages of tables; those of indexes are alone), and prints what each day cost in packs, index and trees.
//!
//! `grouping WORK DAY… ` wants one folder for each day, each with all files of that day: `bench/grouping/run` makes them.
#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use jiff::Timestamp;
use lifeboat_repo::{
    Clock, Content, Location, NewSnapshot, Node, Repository, Tag, TreeBuilder, WriterOptions,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The sizes that are tried, in KiB.
const GROUPS: [usize; 6] = [4, 8, 16, 32, 64, 128];

/// What lies in a repository, in bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Size {
    data: u64,
    index: u64,
    snapshots: u64,
}

impl Size {
    fn of(repository: &Utf8Path) -> Result<Self> {
        Ok(Self {
            data: bytes(&repository.join("data"))?,
            index: bytes(&repository.join("index"))?,
            snapshots: bytes(&repository.join("snapshots"))?,
        })
    }

    const fn all(self) -> u64 {
        self.data + self.index + self.snapshots
    }
}

/// What one size of groups cost.
struct Cost {
    first: Size,
    days: Vec<(Size, u64)>,
    trees: u64,
    wall: Duration,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(Utf8PathBuf::from);
    let work = arguments.next().ok_or("usage: grouping WORK DAY…")?;
    let days: Vec<_> = arguments.collect();
    println!(
        "| group KiB | first backup MB | of it index | a day MB, all included | packs | of it trees | index | wall s, all days |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    for group in GROUPS {
        let cost = measure(&work, &days, group << 10)?;
        let count = cost.days.len().max(1) as u64;
        let mean =
            |pick: fn(&(Size, u64)) -> u64| mb(cost.days.iter().map(pick).sum::<u64>() / count);
        println!(
            "| {group} | {} | {} | {} | {} | {} | {} | {:.1} |",
            mb(cost.first.all()),
            mb(cost.first.index),
            mean(|(day, _)| day.all()),
            mean(|(day, _)| day.data),
            mb(cost.trees / count),
            mean(|(day, _)| day.index),
            cost.wall.as_secs_f64(),
        );
    }
    Ok(())
}

fn mb(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

fn measure(work: &Utf8Path, days: &[Utf8PathBuf], group: usize) -> Result<Cost> {
    let at = work.join("repository");
    if at.exists() {
        fs_err::remove_dir_all(&at)?;
    }
    let password = "bench".to_owned().into();
    let repository =
        Repository::init(&Location::Local(at.clone()), &password, &work.join("cache"))?;
    let began = Instant::now();
    let (mut before, mut first, mut grown, mut trees) = (Size::of(&at)?, None, Vec::new(), 0);
    for (number, day) in days.iter().enumerate() {
        let tree_bytes = store(&repository, &at, day, number, group)?;
        let now = Size::of(&at)?;
        if first.is_none() {
            first = Some(now);
        } else {
            trees += tree_bytes;
            let day = Size {
                data: now.data - before.data,
                index: now.index - before.index,
                snapshots: now.snapshots - before.snapshots,
            };
            grown.push((day, tree_bytes));
        }
        before = now;
    }
    fs_err::remove_dir_all(&at)?;
    Ok(Cost { first: first.unwrap_or_default(), days: grown, trees, wall: began.elapsed() })
}

/// Stores one day; returns how many bytes of packs its trees took.
fn store(
    repository: &Repository,
    at: &Utf8Path,
    day: &Utf8Path,
    number: usize,
    group: usize,
) -> Result<u64> {
    let mut options = WriterOptions::new(clock());
    options.group = NonZeroUsize::new(group).ok_or("a group of nothing")?;
    let writer = repository.writer(&options)?;
    let mut contents: BTreeMap<String, Content> = BTreeMap::new();
    for path in files(day)? {
        let name = path.strip_prefix(day)?.to_string();
        contents.insert(name, writer.store(File::open(&path)?, None)?);
    }
    // What is packed after this are the trees.
    writer.flush()?;
    let before = bytes(&at.join("data"))?;
    let moment = Timestamp::from_second(1_800_000_000)?;
    let mut tree = TreeBuilder::new();
    for (name, content) in contents {
        tree.add(&name, Node::file(content, moment))?;
    }
    let new = NewSnapshot {
        time: Timestamp::from_second(1_800_000_000 + 86_400 * i64::try_from(number)?)?,
        udid: "00008101-000123456789001E".to_owned(),
        tag: Tag::Complete,
        also: None,
        label: None,
        description: None,
        parent: None,
    };
    writer.commit(tree, &new)?;
    Ok(bytes(&at.join("data"))? - before)
}

fn files(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(entry.path())?);
        } else {
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}

fn bytes(folder: &Utf8Path) -> Result<u64> {
    files(folder)?.iter().map(|path| Ok(fs_err::metadata(path)?.len())).sum()
}

/// The time that locks carry.
fn clock() -> Clock {
    std::sync::Arc::new(|| Timestamp::UNIX_EPOCH)
}
