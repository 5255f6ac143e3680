//! Carries over what can still be read of packs that are not whole.
//!
//! A pack is not whole when it is missing, has another length than the index says, or is known to be damaged: a check or a
//! read found it so, and the catalogue remembers. What can still be read of it is stored again, once. What cannot be read is
//! stored again when somebody brings it: until then [`super::Writer::holds`] says that it is not there.

use std::collections::{BTreeSet, HashSet};

use super::writer::Core;
use crate::{
    error::RepoError,
    format::BlobKind,
    id::{BlobId, PackId},
    index::Place,
};

/// What became of packs that are not whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healing {
    /// Those of which something was in no other pack when the writer began.
    pub packs: Vec<PackId>,
    /// Blobs of them that could be read and were stored again.
    pub stored_again: u64,
    /// Blobs that could not be read, and that nobody has brought yet.
    pub lost: u64,
    /// Blobs that could not be read, and that somebody has brought since.
    pub brought: u64,
}

/// What [`run`] found.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    packs: BTreeSet<PackId>,
    stored_again: u64,
    lost: HashSet<(BlobKind, BlobId)>,
}

impl Salvaged {
    /// Says how it stands now.
    pub(super) fn healing(&self, core: &Core) -> Healing {
        let lost = self.lost.iter().filter(|(kind, id)| !core.has(*kind, id)).count() as u64;
        Healing {
            packs: self.packs.iter().copied().collect(),
            stored_again: self.stored_again,
            lost,
            brought: self.lost.len() as u64 - lost,
        }
    }
}

/// Stores again what can be read at these places.
pub(super) fn run(core: &Core, places: &[Place]) -> Result<Salvaged, RepoError> {
    let mut salvaged = Salvaged::default();
    for place in places {
        let name = (place.blob.kind, place.blob.id);
        salvaged.packs.insert(place.pack);
        // It may stand in several packs that are not whole.
        if core.has(name.0, &name.1) {
            continue;
        }
        match core.repository.blob_at(place) {
            Ok(mut data) => {
                core.put(name.0, &mut data)?;
                salvaged.stored_again += 1;
                salvaged.lost.remove(&name);
            }
            Err(error) => {
                tracing::debug!(%error, "a blob of a damaged pack cannot be read");
                salvaged.lost.insert(name);
            }
        }
    }
    if !salvaged.packs.is_empty() {
        tracing::warn!(
            packs = salvaged.packs.len(),
            stored_again = salvaged.stored_again,
            lost = salvaged.lost.len(),
            "packs are not whole and are not built upon"
        );
    }
    Ok(salvaged)
}
