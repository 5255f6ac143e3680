//! Takes over what broken runs left: packs that are whole and that no index has.

use std::{collections::HashMap, sync::Arc};

use crate::{
    error::{Flaw, RepoError},
    format::{
        file,
        hash::sha256,
        index::{self, IndexFile, IndexPack},
        pack::{self, LENGTH, PackBlob},
    },
    id::{FileId, PackId},
    index::{Index, Place},
    repository::Inner,
    store::{FileKind, StoreError},
};

/// Returns the index of all blobs that are really there, after writing down the packs that were in none; and the places of
/// blobs that lie only in packs that are not whole.
pub(super) fn run(repository: &Inner) -> Result<(Arc<Index>, Vec<Place>), RepoError> {
    let suspect = repository.suspects();
    let index = repository.index.refresh(&*repository.store, &repository.key)?;
    let present: HashMap<PackId, u64> = repository
        .store
        .list(FileKind::Pack)?
        .into_iter()
        .map(|(id, size)| (id.into(), size))
        .collect();
    let known = index.known_packs();
    let mut unindexed: Vec<PackId> =
        present.keys().filter(|pack| !known.contains(pack)).copied().collect();
    unindexed.sort_unstable();
    let mut packs = Vec::new();
    for id in unindexed {
        if let Some(blobs) = read(repository, id)? {
            packs.push(IndexPack { id, blobs: blobs.iter().map(Into::into).collect() });
        } else {
            tracing::warn!(pack = %id.short(), "a pack without index is damaged and not used");
        }
    }
    if packs.is_empty() {
        return Ok(index.only(&present, &suspect));
    }
    let json = index::encode(&IndexFile { packs, ..IndexFile::default() });
    let sealed = file::seal(&repository.key, &json);
    repository.store.write(FileKind::Index, FileId::new(sha256(&sealed)), &sealed)?;
    let index = repository.index.refresh(&*repository.store, &repository.key)?;
    Ok(index.only(&present, &suspect))
}

/// Reads a whole pack and returns what it holds; `None` if it is not what its name says.
fn read(repository: &Inner, id: PackId) -> Result<Option<Vec<PackBlob>>, RepoError> {
    let mut data = match repository.store.read(FileKind::Pack, id.into()) {
        Ok(data) => data,
        // Another program removed it after it was listed.
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if sha256(&data) != *id.as_bytes() {
        return Ok(None);
    }
    let size = data.len() as u64;
    let list = sealed_list(&mut data).and_then(|list| pack::open_list(&repository.key, list, size));
    Ok(list.ok())
}

/// Returns the sealed list at the end of a whole pack.
pub(crate) fn sealed_list(data: &mut [u8]) -> Result<&mut [u8], Flaw> {
    let (rest, length) = data.split_last_chunk_mut::<LENGTH>().ok_or(Flaw::TooShort)?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = rest.len().checked_sub(length).ok_or(Flaw::Length)?;
    rest.get_mut(start..).ok_or(Flaw::Length)
}
