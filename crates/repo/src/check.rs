//! Whether a repository is whole.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    error::{Damage, Flaw, RepoError},
    format::{
        BlobKind,
        hash::sha256,
        pack::{self, PackBlob},
    },
    id::{BlobId, PackId, TreeId},
    index::Index,
    ingest::sealed_list,
    keys,
    node::NodeKind,
    reader::open_blob,
    repository::Inner,
    store::{FileKind, StoreError},
};

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckProgress {
    /// Packs looked at.
    pub packs_done: u64,
    /// Packs to look at.
    pub packs: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// Bytes to read.
    pub bytes: u64,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Packs on disk.
    pub packs: u64,
    /// Blobs in the index.
    pub blobs: u64,
    /// Bytes of packs read and compared; 0 without `read_data`.
    pub bytes_read: u64,
}

impl CheckReport {
    /// Whether no data is in danger.
    pub fn is_ok(&self) -> bool {
        !self.damage.iter().any(Damage::is_serious)
    }
}

/// Checks structure and, with `read_data`, every byte of every pack. Packs that are found damaged so are remembered: the next
/// writer does not build upon them. Stops, and returns nothing, as soon as `progress` answers no.
pub(crate) fn run(
    repository: &Inner,
    read_data: bool,
    progress: &mut dyn FnMut(CheckProgress) -> bool,
) -> Result<Option<CheckReport>, RepoError> {
    let index = repository.index.refresh(&*repository.store, &repository.key)?;
    let mut report = CheckReport {
        blobs: index.blobs(),
        damage: index.damage.clone(),
        ..CheckReport::default()
    };
    let on_disk: HashMap<PackId, u64> = repository
        .store
        .list(FileKind::Pack)?
        .into_iter()
        .map(|(id, size)| (id.into(), size))
        .collect();
    report.packs = on_disk.len() as u64;
    let indexed = index.by_pack();
    compare_packs(&index, &indexed, &on_disk, &mut report);
    if !check_trees(repository, &index, &on_disk, progress, &mut report)? {
        return Ok(None);
    }
    if read_data {
        if !read_packs(repository, &indexed, &on_disk, progress, &mut report)? {
            return Ok(None);
        }
        // All were read: one that was damaged before and is whole now is forgotten.
        let bad = report.damage.iter().filter_map(Damage::bad_pack);
        repository.set_suspects(&bad.filter(|pack| on_disk.contains_key(pack)).collect());
    }
    forgive_replaced(&index, &indexed, &mut report);
    if report.is_ok() {
        second_opinion(repository, &mut report);
    }
    report.damage.sort_by_key(|damage| !damage.is_serious());
    Ok(Some(report))
}

/// Compares what the index says of packs with what is on disk, by name and size.
fn compare_packs(
    index: &Index,
    indexed: &BTreeMap<PackId, Vec<PackBlob>>,
    on_disk: &HashMap<PackId, u64>,
    report: &mut CheckReport,
) {
    let mut damage = Vec::new();
    for (pack, blobs) in indexed {
        let end = blobs.iter().map(|blob| u64::from(blob.length)).sum::<u64>();
        match on_disk.get(pack) {
            None => damage.push(Damage::MissingFile { kind: FileKind::Pack, id: (*pack).into() }),
            Some(size) if *size != end + pack::trailer_length(blobs) => {
                damage.push(Damage::File {
                    kind: FileKind::Pack,
                    id: (*pack).into(),
                    why: Flaw::Length,
                });
            }
            Some(_) => {}
        }
    }
    let known = index.known_packs();
    damage.extend(
        on_disk
            .keys()
            .filter(|pack| !known.contains(pack))
            .map(|pack| Damage::UnindexedPack(*pack)),
    );
    damage.sort_by_key(ToString::to_string);
    report.damage.append(&mut damage);
}

/// Walks all snapshots: every folder can be read, and every piece of every file is in a pack that is there. Returns whether it
/// came to the end.
fn check_trees(
    repository: &Inner,
    index: &Index,
    on_disk: &HashMap<PackId, u64>,
    progress: &mut dyn FnMut(CheckProgress) -> bool,
    report: &mut CheckReport,
) -> Result<bool, RepoError> {
    let (snapshots, mut damage) = repository.snapshots()?;
    report.snapshots = snapshots.len() as u64;
    let mut seen: HashSet<TreeId> = HashSet::new();
    let mut lost: HashSet<BlobId> = HashSet::new();
    let is_there =
        |kind, id: &BlobId| index.find(kind, id).any(|place| on_disk.contains_key(&place.pack));
    let mut open: Vec<(String, TreeId)> =
        snapshots.iter().rev().map(|snapshot| (snapshot.id.short(), snapshot.tree)).collect();
    while let Some((path, tree)) = open.pop() {
        if !seen.insert(tree) {
            continue;
        }
        if !progress(CheckProgress::default()) {
            return Ok(false);
        }
        let nodes = match repository.tree(tree) {
            Ok(nodes) => nodes,
            Err(RepoError::Damaged(Damage::LostBlob(_))) => {
                damage.push(Damage::MissingBlob { blob: tree, path });
                continue;
            }
            Err(RepoError::Damaged(found)) => {
                damage.push(found);
                continue;
            }
            Err(error) => return Err(error),
        };
        for node in nodes {
            let path = || format!("{path}/{}", node.name);
            if let Some(subtree) = node.subtree {
                open.push((path(), subtree));
            }
            let NodeKind::File(content) = &node.node.kind else { continue };
            for blob in content.blobs.iter().filter(|blob| !is_there(BlobKind::Data, blob)) {
                if lost.insert(*blob) {
                    damage.push(Damage::MissingBlob { blob: *blob, path: path() });
                }
            }
        }
    }
    add_new(&mut report.damage, damage);
    Ok(true)
}

/// Reads every pack that the index knows and compares name, list and every blob. Returns whether it came to the end.
fn read_packs(
    repository: &Inner,
    indexed: &BTreeMap<PackId, Vec<PackBlob>>,
    on_disk: &HashMap<PackId, u64>,
    progress: &mut dyn FnMut(CheckProgress) -> bool,
    report: &mut CheckReport,
) -> Result<bool, RepoError> {
    let mut packs: Vec<_> = indexed
        .iter()
        .filter_map(|(pack, blobs)| Some((*pack, blobs, *on_disk.get(pack)?)))
        .collect();
    packs.sort_by_key(|(pack, ..)| *pack);
    let bytes = packs.iter().map(|(.., size)| size).sum();
    let mut state = CheckProgress { packs: packs.len() as u64, bytes, ..CheckProgress::default() };
    for (pack, blobs, size) in packs {
        if !progress(state) {
            return Ok(false);
        }
        match repository.store.read(FileKind::Pack, pack.into()) {
            Ok(data) => add_new(&mut report.damage, read_pack(repository, pack, blobs, data)),
            Err(StoreError::NotFound { .. }) => {
                let gone = Damage::MissingFile { kind: FileKind::Pack, id: pack.into() };
                add_new(&mut report.damage, vec![gone]);
            }
            Err(error) => return Err(error.into()),
        }
        state.packs_done += 1;
        state.bytes_done += size;
    }
    progress(state);
    report.bytes_read = state.bytes_done;
    Ok(true)
}

/// Of a bad pack that was stored again only a note stays. It lies there, and the index names it, until a repair.
fn forgive_replaced(
    index: &Index,
    indexed: &BTreeMap<PackId, Vec<PackBlob>>,
    report: &mut CheckReport,
) {
    let bad: HashSet<PackId> = report.damage.iter().filter_map(Damage::bad_pack).collect();
    let is_elsewhere =
        |blob: &PackBlob| index.find(blob.kind, &blob.id).any(|place| !bad.contains(&place.pack));
    let is_replaced = |pack: &&PackId| {
        // Of a pack without blobs nothing is known.
        indexed.get(pack).is_some_and(|blobs| !blobs.is_empty() && blobs.iter().all(is_elsewhere))
    };
    let mut replaced: Vec<PackId> = bad.iter().filter(is_replaced).copied().collect();
    replaced.sort_unstable();
    report.damage.retain(|damage| damage.bad_pack().is_none_or(|pack| !replaced.contains(&pack)));
    report.damage.extend(replaced.into_iter().map(Damage::ReplacedPack));
}

fn read_pack(
    repository: &Inner,
    pack: PackId,
    blobs: &[PackBlob],
    mut data: Vec<u8>,
) -> Vec<Damage> {
    let mut damage = Vec::new();
    let mut whole = |why| damage.push(Damage::File { kind: FileKind::Pack, id: pack.into(), why });
    if sha256(&data) != *pack.as_bytes() {
        whole(Flaw::Digest);
    }
    let size = data.len() as u64;
    let end = usize::try_from(pack::trailer_length(blobs)).unwrap_or(data.len()).min(data.len());
    let mut copy = data[data.len() - end..].to_vec();
    match sealed_list(&mut copy).and_then(|list| pack::open_list(&repository.key, list, size)) {
        Ok(list) if list == blobs => {}
        Ok(_) => whole(Flaw::Index),
        Err(why) => whole(why),
    }
    for blob in blobs {
        let start = blob.offset as usize;
        let sealed = data.get_mut(start..start.saturating_add(blob.length as usize));
        let opened = sealed
            .ok_or(Flaw::TooShort)
            .and_then(|sealed| open_blob(&repository.key, blob, sealed));
        if let Err(why) = opened {
            damage.push(Damage::Blob { pack, blob: blob.id, why });
        }
    }
    damage
}

/// Asks `rustic_core`, which was written by others, about the structure.
fn second_opinion(repository: &Inner, report: &mut CheckReport) {
    let engine = match keys::open_engine(&repository.store, &repository.master) {
        Ok(engine) => engine,
        Err(error) => return report.damage.push(Damage::SecondOpinion(error.to_string())),
    };
    match engine.check(rustic_core::CheckOptions::default()) {
        Ok(found) => {
            // Its levels have no public name.
            let errors = found.0.iter().filter(|(level, _)| format!("{level:?}") == "Error");
            let known = |text: &String| !report.damage.iter().any(|damage| is_about(damage, text));
            let more: Vec<_> = errors
                .map(|(_, error)| error.to_string())
                .filter(known)
                .map(Damage::SecondOpinion)
                .collect();
            report.damage.extend(more);
        }
        Err(error) => {
            let said = error.display_log();
            let gone = match RepoError::from(error) {
                RepoError::Damaged(Damage::MissingFile { kind, .. }) => {
                    matches!(kind, FileKind::Snapshot | FileKind::Index)
                }
                _ => false,
            };
            if gone {
                // Another program removed it after it was listed. We have looked at everything else ourselves.
                tracing::info!(said, "the second opinion has none: something went away meanwhile");
            } else {
                report.damage.push(Damage::SecondOpinion(said));
            }
        }
    }
}

fn is_about(damage: &Damage, text: &str) -> bool {
    match damage {
        // It writes some names in full and some short.
        Damage::UnindexedPack(pack) | Damage::ReplacedPack(pack) => text.contains(&pack.short()),
        _ => false,
    }
}

/// Adds what is not said yet.
fn add_new(all: &mut Vec<Damage>, found: Vec<Damage>) {
    for damage in found {
        if !all.contains(&damage) {
            all.push(damage);
        }
    }
}
