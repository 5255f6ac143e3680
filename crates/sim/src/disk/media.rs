//! Files made on the fly: photos, videos, sound, text and noise of any length.
//!
//! A [`Generated`] file is a few numbers; its bytes are a function of them, made where they are read and never
//! stored. The body is a counter-mode mix, so that a reader can begin anywhere, and is as incompressible as real
//! media. Headers and trailers are those of the format, so that programs which sniff a file see what they expect.

use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::content::words::WORDS;
use super::prng::{GOLDEN, mix};

/// What a generated file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A JPEG photo: JFIF header, quantisation table, frame header, random scan, end marker.
    Jpeg,
    /// A HEIC photo: `ftyp heic`, then one media box.
    Heic,
    /// A `QuickTime` movie: `ftyp qt`, then one media box.
    Movie,
    /// MPEG-4 sound: `ftyp M4A`, then one media box.
    Audio,
    /// Text in lines of 64 bytes; compresses well, as logs and JSON do.
    Text,
    /// Bytes without any form.
    Noise,
}

/// A file that is made where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generated {
    /// The phone's seed.
    pub seed: u64,
    /// Which file: another id, other bytes.
    pub id: u64,
    /// Length in bytes.
    pub length: u64,
    /// What it looks like.
    pub shape: Shape,
}

/// No header is longer than this.
const LONGEST_HEAD: u64 = 256;

/// Length of a line of [`Shape::Text`], line feed included.
const LINE: usize = 64;

impl Generated {
    /// Fills `buffer` with the bytes at `offset` and returns how many there were.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let Some(buffer) = buffer.get_mut(..count) else { return 0 };
        match self.shape {
            Shape::Text => self.text(offset, buffer),
            _ => self.noise(offset, buffer),
        }
        if offset < LONGEST_HEAD {
            overlay(buffer, offset, 0, &self.head());
        }
        if self.shape == Shape::Jpeg && self.length >= LONGEST_HEAD {
            overlay(buffer, offset, self.length - 2, &[0xFF, 0xD9]);
        }
        count
    }

    /// Returns a reader of the whole file.
    pub fn reader(self) -> GeneratedReader {
        GeneratedReader { file: self, position: 0 }
    }

    fn key(&self) -> u64 {
        mix(self.seed ^ mix(self.id.wrapping_add(GOLDEN)))
    }

    fn noise(&self, offset: u64, buffer: &mut [u8]) {
        let mut counter = self.key().wrapping_add((offset / 8).wrapping_mul(GOLDEN));
        let mut word = || {
            let word = mix(counter).to_le_bytes();
            counter = counter.wrapping_add(GOLDEN);
            word
        };
        let skip = usize::try_from(offset % 8).unwrap_or(0);
        let (first, rest) = buffer.split_at_mut(((8 - skip) % 8).min(buffer.len()));
        if !first.is_empty() {
            copy_from(first, &word(), skip);
        }
        let (words, last) = rest.as_chunks_mut::<8>();
        for chunk in words {
            *chunk = word();
        }
        copy_from(last, &word(), 0);
    }

    fn text(&self, offset: u64, buffer: &mut [u8]) {
        let mut line_number = offset / as_u64(LINE);
        let mut skip = usize::try_from(offset % as_u64(LINE)).unwrap_or(0);
        let mut rest = buffer;
        while !rest.is_empty() {
            let line = self.line(line_number);
            let (now, later) = rest.split_at_mut((LINE - skip).min(rest.len()));
            copy_from(now, &line, skip);
            rest = later;
            skip = 0;
            line_number += 1;
        }
    }

    fn line(&self, number: u64) -> [u8; LINE] {
        let mut line = [b' '; LINE];
        let mut random = mix(self.key().wrapping_add(number.wrapping_mul(GOLDEN)));
        let mut at = 0;
        while at < LINE - 1 {
            let word = WORDS[usize::try_from(random % as_u64(WORDS.len())).unwrap_or(0)].as_bytes();
            let end = (at + word.len()).min(LINE - 1);
            copy_from(&mut line[at..end], word, 0);
            at = end + 1;
            random = mix(random);
        }
        line[LINE - 1] = b'\n';
        line
    }

    /// Returns the first bytes of the format, cut to the file's length where it is smaller.
    fn head(&self) -> Vec<u8> {
        let mut head = match self.shape {
            Shape::Jpeg => jpeg_head(),
            Shape::Heic => boxes(b"ftypheic\0\0\0\0mif1heic", self.length),
            Shape::Movie => boxes(b"ftypqt  \0\0\0\0qt  wide", self.length),
            Shape::Audio => boxes(b"ftypM4A \0\0\0\0M4A mp42", self.length),
            Shape::Text | Shape::Noise => Vec::new(),
        };
        head.truncate(usize::try_from(self.length).unwrap_or(usize::MAX));
        head
    }
}

/// Returns the header of a 4032 x 3024 baseline JPEG up to the start of the scan.
fn jpeg_head() -> Vec<u8> {
    let mut head = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x48\x00\x48\x00\x00".to_vec();
    head.extend_from_slice(&[0xFF, 0xDB, 0x00, 0x43, 0x00]);
    head.extend_from_slice(&[1; 64]);
    head.extend_from_slice(
        b"\xFF\xC0\x00\x11\x08\x0B\xD0\x0F\xC0\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00",
    );
    head.extend_from_slice(b"\xFF\xDA\x00\x0C\x03\x01\x00\x02\x00\x03\x00\x00\x3F\x00");
    head
}

/// Returns a file type box and the header of a media box that reaches to the end (size 1: 64-bit length follows).
fn boxes(file_type: &[u8], length: u64) -> Vec<u8> {
    let size = u32::try_from(file_type.len() + 4).unwrap_or(0);
    let mut head = size.to_be_bytes().to_vec();
    head.extend_from_slice(file_type);
    let media = length.saturating_sub(as_u64(head.len()));
    head.extend_from_slice(&1_u32.to_be_bytes());
    head.extend_from_slice(b"mdat");
    head.extend_from_slice(&media.to_be_bytes());
    head
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Copies `source[skip..]` over all of `target`, as far as both reach.
fn copy_from(target: &mut [u8], source: &[u8], skip: usize) {
    for (to, from) in target.iter_mut().zip(source.iter().skip(skip)) {
        *to = *from;
    }
}

/// Writes the part of `piece` (which lies at `place` of the file) that falls into `buffer` (which lies at `offset`).
fn overlay(buffer: &mut [u8], offset: u64, place: u64, piece: &[u8]) {
    let skip = usize::try_from(offset.saturating_sub(place)).unwrap_or(usize::MAX);
    let at = usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX);
    if let Some(target) = buffer.get_mut(at..) {
        copy_from(target, piece, skip);
    }
}

/// Reads a [`Generated`] file from beginning to end.
#[derive(Debug, Clone)]
pub struct GeneratedReader {
    file: Generated,
    position: u64,
}

impl Read for GeneratedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(self.position, buffer);
        self.position += as_u64(count);
        Ok(count)
    }
}

/// Reads shared bytes from beginning to end.
#[derive(Debug, Clone)]
pub(crate) struct BytesReader {
    bytes: Arc<[u8]>,
    position: usize,
}

impl BytesReader {
    pub(crate) fn new(bytes: Arc<[u8]>) -> Self {
        Self { bytes, position: 0 }
    }
}

impl Read for BytesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.bytes.get(self.position..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(file: Generated) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.reader().read_to_end(&mut bytes).unwrap();
        bytes
    }

    const SHAPES: [Shape; 6] =
        [Shape::Jpeg, Shape::Heic, Shape::Movie, Shape::Audio, Shape::Text, Shape::Noise];

    #[test]
    fn a_read_at_any_place_agrees_with_the_whole() {
        for shape in SHAPES {
            for length in [0, 1, 3, 20, 33, 100, 1000] {
                let file = Generated { seed: 5, id: 9, length, shape };
                let bytes = whole(file);
                assert_eq!(bytes.len(), usize::try_from(length).unwrap());
                for offset in 0..=length {
                    for size in [1, 7, 8, 9, 64, 130] {
                        let mut buffer = vec![0; size];
                        let count = file.read_at(offset, &mut buffer);
                        let start = usize::try_from(offset).unwrap();
                        let expected = &bytes[start..(start + size).min(bytes.len())];
                        assert_eq!(
                            &buffer[..count],
                            expected,
                            "{shape:?} {length} {offset} {size}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn files_begin_and_end_as_their_format_does() {
        let of = |shape| whole(Generated { seed: 1, id: 1, length: 5000, shape });
        let jpeg = of(Shape::Jpeg);
        assert!(jpeg.starts_with(b"\xFF\xD8\xFF\xE0") && jpeg.ends_with(b"\xFF\xD9"));
        assert_eq!(&of(Shape::Heic)[..12], b"\0\0\0\x18ftypheic");
        assert_eq!(&of(Shape::Movie)[4..12], b"ftypqt  ");
        let media = u64::from_be_bytes(of(Shape::Heic)[32..40].try_into().unwrap());
        assert_eq!(media, 5000 - 24, "the media box reaches to the end");
        assert!(
            std::str::from_utf8(&of(Shape::Text)).unwrap().lines().all(|line| line.len() <= 63)
        );
    }

    #[test]
    fn other_ids_and_seeds_give_other_bytes() {
        let of = |seed, id| whole(Generated { seed, id, length: 256, shape: Shape::Noise });
        assert_ne!(of(1, 1), of(1, 2));
        assert_ne!(of(1, 1), of(2, 1));
        assert_eq!(of(1, 1), of(1, 1));
    }
}
