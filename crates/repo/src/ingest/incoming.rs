//! A file on its way into the repository.

use std::{mem, sync::Arc};

use super::{
    Cut,
    cut::{Cutter, MAX},
    writer::Core,
};
use crate::{error::RepoError, format::BlobKind, node::Content};

/// A file on its way into the repository. Dropping it forgets the file; blobs that were sent stay for the next one.
pub struct Incoming {
    core: Arc<Core>,
    cutter: Cutter,
    buffer: Vec<u8>,
    content: Content,
}

impl Incoming {
    pub(super) fn new(core: &Arc<Core>, cut: Cut) -> Self {
        let buffer = core.flow.buffer();
        Self {
            core: Arc::clone(core),
            cutter: Cutter::new(cut, core.group),
            buffer,
            content: Content::default(),
        }
    }

    /// Takes the next bytes. Waits while the workers have too much to do.
    pub fn write(&mut self, mut data: &[u8]) -> Result<(), RepoError> {
        while let Some(length) = self.cutter.next(&self.core.repository.gear, data) {
            let (end, rest) = data.split_at(length);
            self.buffer.extend_from_slice(end);
            self.cut()?;
            data = rest;
        }
        self.buffer.extend_from_slice(data);
        debug_assert!(self.buffer.len() < MAX, "a blob is cut before it is larger");
        Ok(())
    }

    /// Returns how many bytes came so far.
    pub fn size(&self) -> u64 {
        self.content.size + self.buffer.len() as u64
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<Content, RepoError> {
        if !self.buffer.is_empty() {
            self.cut()?;
        }
        Ok(mem::take(&mut self.content))
    }

    fn cut(&mut self) -> Result<(), RepoError> {
        self.content.size += self.buffer.len() as u64;
        let id = self.core.put(BlobKind::Data, &mut self.buffer)?;
        self.content.blobs.push(id);
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.core.flow.take_back(mem::take(&mut self.buffer));
    }
}
