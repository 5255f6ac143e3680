//! Where a file is cut into blobs.
//!
//! The format allows any cut. Small files stay whole; SQLite databases are cut into groups of their own pages, so that
//! one changed row costs one group; everything else is cut where its content says so (`FastCDC`), so that bytes put in
//! or taken out in the middle move no other cut. The places depend on a secret of the repository.

use fastcdc::v2020::{Normalization, get_gear_with_seed, select_masks};

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One blob (several only above 8 MiB).
    Whole,
    /// By content, about 1 MiB; a file of up to 1 MiB is one blob.
    Content,
    /// In groups of database pages.
    Sqlite {
        /// Size of a page in bytes.
        page: u32,
    },
}

/// The first bytes of every SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

impl Cut {
    /// How many first bytes [`Cut::sniff`] wants to see.
    pub const SNIFF: usize = 18;

    /// Chooses by the first bytes of a file.
    pub fn sniff(first: &[u8]) -> Self {
        let page = match first {
            [magic @ .., high, low] if first.len() == Self::SNIFF && magic == SQLITE => {
                u32::from(u16::from_be_bytes([*high, *low]))
            }
            _ => {
                return match first.get(..Self::SNIFF) {
                    Some(head) if head.len() < first.len() => Self::sniff(head),
                    _ => Self::Content,
                };
            }
        };
        // 1 stands for 65536, which does not fit.
        let page = if page == 1 { 1 << 16 } else { page };
        if page.is_power_of_two() && page >= 512 { Self::Sqlite { page } } else { Self::Content }
    }
}

/// Cuts of a file of unknown kind are at least this far apart.
const MIN: usize = 512 << 10;
/// … on average so far …
const AVERAGE: usize = 1 << 20;
/// … and never farther. Also the largest blob there is.
pub(crate) const MAX: usize = 8 << 20;
/// No cut before this many bytes of a file: what is smaller is one blob.
const FIRST_MIN: usize = 1 << 20;
/// A group of database pages.
pub(crate) const SQLITE_GROUP: usize = 64 << 10;

/// The tables of the content-defined cut: one secret of a repository.
#[derive(Debug)]
pub(crate) struct Gear {
    table: [u64; 256],
    strict: u64,
    relaxed: u64,
}

impl Gear {
    /// Makes the tables of this secret.
    pub(crate) fn new(seed: u64) -> Self {
        let (gear, _) = get_gear_with_seed(seed);
        let mut table = [0; 256];
        table.copy_from_slice(&gear);
        let (strict, relaxed) = select_masks(AVERAGE, Normalization::Level1);
        Self { table, strict, relaxed }
    }
}

/// Finds the cuts of one file while it streams by.
#[derive(Debug)]
pub(crate) struct Cutter {
    rule: Rule,
    /// Bytes since the last cut.
    position: usize,
    hash: u64,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Every(usize),
    Content { min: usize },
}

impl Cutter {
    pub(crate) fn new(cut: Cut) -> Self {
        let rule = match cut {
            Cut::Whole => Rule::Every(MAX),
            Cut::Content => Rule::Content { min: FIRST_MIN },
            Cut::Sqlite { page } => Rule::Every(SQLITE_GROUP.max(page as usize)),
        };
        Self { rule, position: 0, hash: 0 }
    }

    /// Returns how many bytes of `data` belong to the blob at hand if it ends inside (or at the end of) `data`.
    pub(crate) fn next(&mut self, gear: &Gear, data: &[u8]) -> Option<usize> {
        let found = match self.rule {
            Rule::Every(size) => {
                let rest = size - self.position;
                (data.len() >= rest).then_some(rest)
            }
            Rule::Content { min } => self.by_content(gear, data, min),
        };
        if found.is_none() {
            self.position += data.len();
            return None;
        }
        self.position = 0;
        self.hash = 0;
        if let Rule::Content { min } = &mut self.rule {
            *min = MIN;
        }
        found
    }

    /// Scans with the strict mask up to the average, then with the relaxed one up to the maximum.
    fn by_content(&mut self, gear: &Gear, data: &[u8], min: usize) -> Option<usize> {
        let mut done = min.saturating_sub(self.position).min(data.len());
        for (limit, mask) in [(AVERAGE, gear.strict), (MAX, gear.relaxed)] {
            let end = limit.saturating_sub(self.position).min(data.len());
            let Some(part) = data.get(done..end) else { continue };
            let mut hash = self.hash;
            let hit = part.iter().position(|byte| {
                hash = (hash << 1).wrapping_add(gear.table[usize::from(*byte)]);
                hash & mask == 0
            });
            self.hash = hash;
            if let Some(at) = hit {
                // The byte that fits the mask opens the next blob, as the published algorithm has it.
                return Some(done + at).filter(|length| self.position + length > 0);
            }
            done = end;
        }
        (self.position + data.len() >= MAX).then(|| MAX - self.position)
    }
}
