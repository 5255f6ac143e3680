//! Which blob lies where: all index files in memory, 48 bytes a blob.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use crate::{
    error::{Damage, RepoError},
    format::{
        BlobKind, file, index,
        pack::{self, PackBlob},
        seal::Key,
    },
    id::{BlobId, FileId, PackId},
    store::{FileKind, Store},
};

/// A blob and its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pack: PackId,
    pub(crate) blob: PackBlob,
}

/// The index as it was when it was read.
#[derive(Debug, Default)]
pub(crate) struct Index {
    packs: Vec<PackId>,
    slots: Vec<Slot>,
    /// Packs that a prune has condemned; nothing of them is used.
    condemned: HashSet<PackId>,
    /// The files it was read from, the damaged ones too.
    files: HashSet<FileId>,
    /// Index files that could not be read.
    pub(crate) damage: Vec<Damage>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    id: BlobId,
    /// Number of the pack; the highest bit says that it is a tree.
    pack: u32,
    offset: u32,
    length: u32,
    /// 0: not compressed.
    uncompressed: u32,
}

const TREE: u32 = 1 << 31;

impl Slot {
    fn kind(&self) -> BlobKind {
        if self.pack & TREE == 0 { BlobKind::Data } else { BlobKind::Tree }
    }

    fn number(&self) -> usize {
        (self.pack & !TREE) as usize
    }
}

impl Index {
    /// Reads all index files. A damaged one is noted and passed over: what the others say can still be used.
    pub(crate) fn load(store: &dyn Store, key: &Key) -> Result<Self, RepoError> {
        let mut index = Self::default();
        for (id, _) in store.list(FileKind::Index)? {
            index.files.insert(id);
            match read_file(store, key, id) {
                // Replaced by another program after it was listed.
                Err(RepoError::Damaged(Damage::MissingFile { .. })) => {
                    index.files.remove(&id);
                }
                Ok(file) => index.take_in(&file),
                Err(RepoError::Damaged(damage)) => index.damage.push(damage),
                Err(error) => return Err(error),
            }
        }
        index.slots.sort_unstable_by_key(|slot| (slot.id, slot.kind()));
        index.slots.shrink_to_fit();
        Ok(index)
    }

    fn take_in(&mut self, file: &index::IndexFile) {
        self.condemned.extend(file.packs_to_delete.iter().map(|pack| pack.id));
        for pack in &file.packs {
            let number = u32::try_from(self.packs.len()).unwrap_or(0) & !TREE;
            self.packs.push(pack.id);
            self.slots.extend(pack.blobs.iter().map(|blob| Slot {
                id: blob.id,
                pack: number | if blob.kind == BlobKind::Tree { TREE } else { 0 },
                offset: blob.offset,
                length: blob.length,
                uncompressed: blob.uncompressed_length.unwrap_or(0),
            }));
        }
    }

    /// Returns the same index without the blobs of packs that are not on disk, not as long as it implies or `suspect`, and
    /// the places of those that lie nowhere else, in the order of their packs: they are stored again. The files on disk keep
    /// saying where a blob lies, so that what is left of such a pack can be read and a check names it.
    pub(crate) fn only(
        self: &Arc<Self>,
        present: &HashMap<PackId, u64>,
        suspect: &HashSet<PackId>,
    ) -> (Arc<Self>, Vec<Place>) {
        // By number, not by name: of two files that disagree about a pack one may be right.
        let mut sizes = vec![pack::trailer_length(&[]); self.packs.len()];
        for slot in &self.slots {
            if let Some(size) = sizes.get_mut(slot.number()) {
                let entry = pack::entry_length(slot.uncompressed > 0);
                *size += u64::from(slot.length) + entry as u64;
            }
        }
        let whole: Vec<bool> = self
            .packs
            .iter()
            .zip(sizes)
            .map(|(pack, size)| present.get(pack) == Some(&size) && !suspect.contains(pack))
            .collect();
        if !whole.contains(&false) {
            return (Arc::clone(self), Vec::new());
        }
        let (kept, left): (Vec<Slot>, Vec<Slot>) = self
            .slots
            .iter()
            .partition(|slot| whole.get(slot.number()).is_some_and(|whole| *whole));
        let only = Arc::new(Self {
            packs: self.packs.clone(),
            slots: kept,
            condemned: self.condemned.clone(),
            files: self.files.clone(),
            damage: self.damage.clone(),
        });
        let elsewhere = |place: &Place| only.contains(place.blob.kind, &place.blob.id);
        let places = left.iter().filter_map(|slot| self.place(slot));
        let mut nowhere: Vec<Place> = places.filter(|place| !elsewhere(place)).collect();
        nowhere.sort_unstable_by_key(|place| (place.pack, place.blob.offset));
        (only, nowhere)
    }

    fn pack_of(&self, slot: &Slot) -> Option<PackId> {
        self.packs.get(slot.number()).copied()
    }

    fn place(&self, slot: &Slot) -> Option<Place> {
        let blob = PackBlob {
            id: slot.id,
            kind: slot.kind(),
            offset: slot.offset,
            length: slot.length,
            uncompressed: Some(slot.uncompressed).filter(|length| *length > 0),
        };
        self.pack_of(slot).map(|pack| Place { pack, blob })
    }

    /// Whether a blob is in some pack.
    pub(crate) fn contains(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.slots.binary_search_by(|slot| (slot.id, slot.kind()).cmp(&(*id, kind))).is_ok()
    }

    /// Returns all places of a blob.
    pub(crate) fn find(&self, kind: BlobKind, id: &BlobId) -> impl Iterator<Item = Place> {
        let start = self.slots.partition_point(|slot| (slot.id, slot.kind()) < (*id, kind));
        let same = self
            .slots
            .iter()
            .skip(start)
            .take_while(move |slot| (slot.id, slot.kind()) == (*id, kind));
        same.filter_map(|slot| self.place(slot))
    }

    /// Returns all packs with what the index says they hold, in the order of their offsets.
    pub(crate) fn by_pack(&self) -> BTreeMap<PackId, Vec<PackBlob>> {
        let mut packs: BTreeMap<PackId, Vec<PackBlob>> =
            self.packs.iter().map(|pack| (*pack, Vec::new())).collect();
        for place in self.slots.iter().filter_map(|slot| self.place(slot)) {
            let blobs = packs.entry(place.pack).or_default();
            blobs.push(place.blob);
        }
        for blobs in packs.values_mut() {
            blobs.sort_unstable_by_key(|blob| blob.offset);
            // A pack may stand in two index files.
            blobs.dedup();
        }
        packs
    }

    /// Whether a pack stands in some index file.
    pub(crate) fn known_packs(&self) -> HashSet<PackId> {
        self.packs.iter().chain(&self.condemned).copied().collect()
    }

    pub(crate) fn blobs(&self) -> u64 {
        self.slots.len() as u64
    }

    pub(crate) fn raw_bytes(&self) -> u64 {
        self.slots
            .iter()
            .filter_map(|slot| self.place(slot))
            .map(|place| u64::from(place.blob.raw_length()))
            .sum()
    }
}

fn read_file(store: &dyn Store, key: &Key, id: FileId) -> Result<index::IndexFile, RepoError> {
    let mut sealed = store.read(FileKind::Index, id)?;
    let json =
        file::open(key, &mut sealed).map_err(|why| RepoError::damaged(FileKind::Index, id, why))?;
    index::decode(&json).map_err(|why| RepoError::damaged(FileKind::Index, id, why))
}

/// The index of an open repository: read at first need, and what was written since.
#[derive(Debug, Default)]
pub(crate) struct SharedIndex {
    loaded: Mutex<Option<Arc<Index>>>,
    recent: RwLock<HashMap<(BlobKind, BlobId), Place>>,
}

impl SharedIndex {
    /// Returns the index, reading it if nobody has.
    pub(crate) fn get(&self, store: &dyn Store, key: &Key) -> Result<Arc<Index>, RepoError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*loaded {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(Index::load(store, key)?);
        *loaded = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Reads the index again if there are other files than before.
    pub(crate) fn refresh(&self, store: &dyn Store, key: &Key) -> Result<Arc<Index>, RepoError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let files: HashSet<FileId> =
            store.list(FileKind::Index)?.into_iter().map(|(id, _)| id).collect();
        if let Some(index) = loaded.as_ref().filter(|index| index.files == files) {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(Index::load(store, key)?);
        *loaded = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Remembers what was written into a pack.
    pub(crate) fn add(&self, pack: PackId, blobs: &[PackBlob]) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.extend(blobs.iter().map(|blob| ((blob.kind, blob.id), Place { pack, blob: *blob })));
    }

    /// Returns where a blob written since lies.
    pub(crate) fn recent(&self, kind: BlobKind, id: &BlobId) -> Option<Place> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).get(&(kind, *id)).copied()
    }
}
