//! Bytes of received files on their way, with their checksums.

use std::io::{self, Read};

use crc32fast::Hasher;
use sha1::{Digest as _, Sha1};

/// The CRC-32 of bytes: finds what a disk gave back wrong; it is not meant against malice.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sum(Hasher);

impl Sum {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Returns the sum of all bytes.
    pub(crate) fn value(self) -> u32 {
        self.0.finalize()
    }
}

/// A reader that takes the CRC-32 of what goes through it, and, where wanted, the SHA-1.
pub(crate) struct Checked<R> {
    inner: R,
    size: u64,
    sum: Sum,
    sha1: Option<Sha1>,
}

/// What went through a reader.
pub(crate) struct Passed {
    /// How many bytes.
    pub(crate) size: u64,
    /// Their CRC-32.
    pub(crate) sum: u32,
    /// Their SHA-1, where it was wanted.
    pub(crate) sha1: Option<[u8; 20]>,
}

impl<R: Read> Checked<R> {
    /// Makes one that takes the CRC-32 only.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, size: 0, sum: Sum::default(), sha1: None }
    }

    /// Makes one that takes both.
    pub(crate) fn with_sha1(inner: R) -> Self {
        Self { sha1: Some(Sha1::new()), ..Self::new(inner) }
    }

    /// Says what was read so far.
    pub(crate) fn passed(self) -> Passed {
        let sha1 = self.sha1.map(|sha1| sha1.finalize().into());
        Passed { size: self.size, sum: self.sum.value(), sha1 }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let data = buffer.get(..count).unwrap_or_default();
        self.size += data.len() as u64;
        self.sum.update(data);
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(data);
        }
        Ok(count)
    }
}
