//! Reads the content of a file.

use std::io::{self, Read, Seek, SeekFrom};

use crate::error::RepoError;

/// The bytes of one file.
#[derive(Debug)]
pub struct Reader;

impl Reader {
    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// Reads bytes from `offset` into `buffer`; fewer only at the end.
    pub fn read_at(&mut self, _offset: u64, _buffer: &mut [u8]) -> Result<usize, RepoError> {
        todo!()
    }
}

impl Read for Reader {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}

impl Seek for Reader {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        todo!()
    }
}
