//! The threads behind the queue.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::{
    open_pack::{FullPack, OpenPack, Squeezer},
    queue::Batch,
    stand_back,
    writer::Core,
};
use crate::{error::RepoError, format::BlobKind};

/// What a worker is told.
pub(super) enum Job {
    Blobs(Batch),
    Stop,
}

/// What the publisher is told.
pub(super) enum Publish {
    Pack(FullPack),
    /// Work on the storage for which somebody waits, but not for ever.
    Work(Box<dyn FnOnce(&Core) + Send>),
    Stop,
}

/// Packs that are being filled and that nobody works on at the moment.
#[derive(Default)]
pub(super) struct Shelf {
    state: Mutex<ShelfState>,
}

#[derive(Default)]
struct ShelfState {
    packs: Vec<OpenPack>,
    buffers: Vec<Vec<u8>>,
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, ShelfState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all packs, to close them.
    pub(super) fn take_all(&self) -> Vec<OpenPack> {
        std::mem::take(&mut self.state().packs)
    }

    fn take(&self, kind: BlobKind) -> Result<OpenPack, Vec<u8>> {
        let mut state = self.state();
        match state.packs.iter().position(|pack| pack.kind() == kind) {
            Some(at) => Ok(state.packs.swap_remove(at)),
            None => Err(state.buffers.pop().unwrap_or_default()),
        }
    }

    fn put(&self, pack: OpenPack) {
        self.state().packs.push(pack);
    }

    pub(super) fn put_buffer(&self, buffer: Vec<u8>) {
        self.state().buffers.push(buffer);
    }
}

/// Works until it is told to stop. After a failure it only empties the queue.
pub(super) fn work(core: &Core, jobs: &Receiver<Job>, publish: &Sender<Publish>) {
    stand_back();
    let mut squeezer = match Squeezer::new() {
        Ok(squeezer) => Some(squeezer),
        Err(source) => {
            core.flow.fail(RepoError::io("start", "the compressor", source));
            None
        }
    };
    while let Ok(Job::Blobs(batch)) = jobs.recv() {
        let bytes = batch.data.len();
        if let Some(squeezer) = &mut squeezer
            && !core.flow.has_failed()
            && let Err(error) = store(core, squeezer, &batch, publish)
        {
            core.flow.fail(error);
        }
        core.flow.take_back(batch.data);
        core.flow.leave(bytes);
    }
}

fn store(
    core: &Core,
    squeezer: &mut Squeezer,
    batch: &Batch,
    publish: &Sender<Publish>,
) -> Result<(), RepoError> {
    for item in &batch.items {
        let mut pack = match core.shelf.take(item.kind) {
            Ok(pack) => pack,
            Err(buffer) => OpenPack::begin(&*core.repository.store, item.kind, buffer)?,
        };
        pack.add(&core.repository.key, squeezer, item.id, &batch.data[item.range.clone()])?;
        if !pack.is_full() {
            core.shelf.put(pack);
            continue;
        }
        let (full, buffer) = pack.close(&core.repository.key)?;
        core.shelf.put_buffer(buffer);
        core.flow.enter_at_once();
        if publish.send(Publish::Pack(full)).is_err() {
            core.flow.leave(0);
            return Err(RepoError::Stopped("the publisher is gone".into()));
        }
    }
    Ok(())
}

/// Makes full packs durable until it is told to stop.
pub(super) fn publish(core: &Core, packs: &Receiver<Publish>) {
    stand_back();
    loop {
        match packs.recv() {
            Ok(Publish::Pack(pack)) => {
                if !core.flow.has_failed()
                    && let Err(error) = core.publish(pack)
                {
                    core.flow.fail(error);
                }
                core.flow.leave(0);
            }
            Ok(Publish::Work(work)) => work(core),
            Ok(Publish::Stop) | Err(_) => return,
        }
    }
}
