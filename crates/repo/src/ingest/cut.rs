//! Where a file is cut into blobs.
//!
//! The format allows any cut. Small files stay whole; SQLite databases are cut on their own pages. A new row goes to the end of its
//! table and anywhere into each index, so that nearly all pages that change are those of indexes: each of them is a blob, and all
//! others are taken together in groups (`docs/decisions/0012`). Write-ahead logs are cut into groups of frames, so that what is
//! appended moves no cut; everything else is cut where its content says so (`FastCDC`), so that bytes put in
//! or taken out in the middle move no other cut. The places depend on a secret of the repository.

use std::num::NonZeroUsize;

use fastcdc::v2020::{Normalization, get_gear_with_seed, select_masks};

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One blob (several only above 8 MiB).
    Whole,
    /// By content, about 1 MiB; a file of up to 1 MiB is one blob.
    Content,
    /// On database pages: those of indexes alone, the others in groups.
    Sqlite {
        /// Size of a page in bytes.
        page: u32,
    },
    /// In groups of frames of a write-ahead log.
    Wal {
        /// Size of a page in bytes; a frame has 24 more.
        page: u32,
    },
}

/// The first bytes of every SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
/// The first bytes of every write-ahead log, but for the last bit.
const WAL: u32 = 0x377f_0682;
/// Before the frames of a write-ahead log.
const WAL_HEADER: usize = 32;
/// Before the page of a frame.
const FRAME_HEADER: usize = 24;

impl Cut {
    /// How many first bytes [`Cut::sniff`] wants to see.
    pub const SNIFF: usize = 18;

    /// Chooses by the first bytes of a file.
    pub fn sniff(first: &[u8]) -> Self {
        if let Some(page) = wal_page(first) {
            return Self::Wal { page };
        }
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

/// Returns the size of the pages of a write-ahead log, if that is what begins so.
fn wal_page(first: &[u8]) -> Option<u32> {
    let (magic, rest) = first.get(..Cut::SNIFF)?.split_first_chunk::<4>()?;
    let page = u32::from_be_bytes(*rest.get(4..)?.first_chunk::<4>()?);
    let is_log = u32::from_be_bytes(*magic) & !1 == WAL;
    (is_log && page.is_power_of_two() && (512..=1 << 16).contains(&page)).then_some(page)
}

/// Cuts of a file of unknown kind are at least this far apart.
const MIN: usize = 512 << 10;
/// … on average so far …
const AVERAGE: usize = 1 << 20;
/// … and never farther. Also the largest blob there is.
pub(crate) const MAX: usize = 8 << 20;
/// No cut before this many bytes of a file: what is smaller is one blob.
const FIRST_MIN: usize = 1 << 20;
/// A group of database pages, where a writer is not told otherwise.
pub(crate) const GROUP: NonZeroUsize = NonZeroUsize::new(64 << 10).expect("it is not zero");

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
    /// The first cut, and then as often as this.
    After {
        first: usize,
        every: usize,
    },
    Content {
        min: usize,
    },
    Pages(Pages),
}

/// Where in a database the cutter is.
#[derive(Debug, Clone, Copy)]
struct Pages {
    page: usize,
    /// Groups end where a multiple of this many bytes does.
    window: usize,
    /// Bytes since the last such place.
    at: usize,
    /// The page at hand is a blob of its own.
    alone: bool,
    /// It is the first one: it begins with the file's header, which every change of the database changes.
    first: bool,
}

impl Pages {
    fn new(page: usize, window: usize) -> Self {
        Self { page, window, at: 0, alone: true, first: true }
    }

    /// Returns how many bytes of `data` belong to the blob at hand, of which there are `position` already, if it ends inside: that
    /// is known as soon as the first byte of the next page is.
    fn next(&mut self, position: usize, data: &[u8]) -> Option<usize> {
        let mut done = 0;
        loop {
            let inside = self.at % self.page;
            if inside == 0 {
                let alone = self.first || is_index(*data.get(done)?);
                if position + done > 0 && (alone || self.alone || self.at == 0) {
                    return Some(done);
                }
                self.alone = alone;
            }
            let rest = self.page - inside;
            let taken = rest.min(data.len() - done);
            done += taken;
            self.at = (self.at + taken) % self.window;
            if taken < rest {
                return None;
            }
            self.first = false;
        }
    }
}

/// Says whether a page is one of an index, or one that leads to others, by its first byte (the database file format of SQLite, 1.6).
/// The leaves of tables, what overflows them, and free pages are not.
fn is_index(first: u8) -> bool {
    /// Interior page of an index, interior page of a table, leaf of an index.
    const KINDS: [u8; 3] = [2, 5, 10];
    KINDS.contains(&first)
}

impl Cutter {
    /// Makes one; pages and frames are taken in groups of about `group` bytes, one at least.
    pub(crate) fn new(cut: Cut, group: NonZeroUsize) -> Self {
        let together = |piece: usize| (group.get().min(MAX / 2) / piece).max(1) * piece;
        let rule = match cut {
            Cut::Whole => Rule::Every(MAX),
            Cut::Content => Rule::Content { min: FIRST_MIN },
            Cut::Sqlite { page } => {
                let page = page.max(1) as usize;
                Rule::Pages(Pages::new(page, together(page)))
            }
            Cut::Wal { page } => {
                let every = together(page as usize + FRAME_HEADER);
                Rule::After { first: WAL_HEADER + every, every }
            }
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
            Rule::After { first, .. } => {
                let rest = first - self.position;
                (data.len() >= rest).then_some(rest)
            }
            Rule::Content { min } => self.by_content(gear, data, min),
            Rule::Pages(ref mut pages) => pages.next(self.position, data),
        };
        if found.is_none() {
            self.position += data.len();
            return None;
        }
        self.position = 0;
        self.hash = 0;
        match &mut self.rule {
            Rule::Content { min } => *min = MIN,
            Rule::After { first, every } => *first = *every,
            Rule::Every(_) | Rule::Pages(_) => {}
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

#[cfg(test)]
mod tests {
    use fastcdc::v2020::cut_gear;
    use proptest::prelude::*;

    use super::*;

    /// Bytes that look like noise, always the same for a seed.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    /// Cuts `data`, handed over in pieces, and returns the lengths.
    fn lengths(cut: Cut, gear: &Gear, data: &[u8], piece: usize) -> Vec<usize> {
        let mut cutter = Cutter::new(cut, GROUP);
        let mut lengths = Vec::new();
        let mut length = 0;
        for mut piece in data.chunks(piece) {
            while let Some(end) = cutter.next(gear, piece) {
                lengths.push(length + end);
                length = 0;
                piece = &piece[end..];
            }
            length += piece.len();
        }
        lengths.extend((length > 0).then_some(length));
        lengths
    }

    /// The same with the published function, which wants everything at once.
    fn published(seed: u64, mut data: &[u8]) -> Vec<usize> {
        let (gear, gear_ls) = get_gear_with_seed(seed);
        let (strict, relaxed) = select_masks(AVERAGE, Normalization::Level1);
        let mut lengths = Vec::new();
        let mut min = FIRST_MIN;
        while !data.is_empty() {
            let (strict_ls, relaxed_ls) = (strict << 1, relaxed << 1);
            let (_, length) = cut_gear(
                data, min, AVERAGE, MAX, strict, relaxed, strict_ls, relaxed_ls, &gear, &gear_ls,
            );
            lengths.push(length);
            data = &data[length..];
            min = MIN;
        }
        lengths
    }

    #[test]
    fn the_same_cuts_as_the_published_algorithm() {
        let data = noise(42, 14_000_003);
        for seed in [0, 0x1234_5678_9abc_def0] {
            let expected = published(seed, &data);
            assert!(expected.len() > 5, "{expected:?}");
            for piece in [data.len(), 65_536, 10_007] {
                assert_eq!(lengths(Cut::Content, &Gear::new(seed), &data, piece), expected);
            }
        }
    }

    #[test]
    fn without_any_edge_the_largest_blobs() {
        let zeros = vec![0; 20 << 20];
        assert_eq!(lengths(Cut::Content, &Gear::new(1), &zeros, 99_999), [MAX, MAX, 4 << 20]);
        assert_eq!(lengths(Cut::Whole, &Gear::new(1), &zeros, 99_999), [MAX, MAX, 4 << 20]);
    }

    #[test]
    fn small_files_are_whole_and_databases_are_cut_by_pages() {
        let gear = Gear::new(7);
        let data = noise(1, 1 << 20);
        assert_eq!(lengths(Cut::Content, &gear, &data, 4096), [1 << 20]);
        assert_eq!(lengths(Cut::Content, &gear, &[], 1), [0; 0]);
    }

    /// A database whose pages are of these kinds, by their first byte.
    fn database(page: usize, kinds: &[u8]) -> Vec<u8> {
        let mut data = noise(3, page * kinds.len());
        for (page, kind) in data.chunks_mut(page).zip(kinds) {
            page[0] = *kind;
        }
        data
    }

    #[test]
    fn pages_of_indexes_are_alone_and_the_others_in_groups() {
        const PAGE: usize = 4096;
        let gear = Gear::new(7);
        let mut kinds = [13; 40];
        (kinds[0], kinds[5], kinds[6], kinds[30]) = (b'S', 10, 2, 5);
        // Whatever flows over, or is free.
        kinds[20] = 0;
        let expected = [1, 4, 1, 1, 9, 14, 1, 1, 8].map(|pages| pages * PAGE);
        let data = database(PAGE, &kinds);
        let cut = Cut::Sqlite { page: u32::try_from(PAGE).unwrap() };
        for piece in [1, 999, PAGE, 70_000, data.len()] {
            assert_eq!(lengths(cut, &gear, &data, piece), expected, "{piece}");
        }
        // Where the end of the file is no end of a page.
        let short = lengths(cut, &gear, &data[..39 * PAGE + 7], 999);
        assert_eq!(short.last(), Some(&(7 * PAGE + 7)));
    }

    #[test]
    fn a_page_that_changes_its_kind_moves_no_cut_beyond_its_group() {
        const PAGE: usize = 1024;
        let gear = Gear::new(7);
        let ends = |kinds: &[u8]| -> std::collections::BTreeSet<usize> {
            let mut end = 0;
            let all = lengths(
                Cut::Sqlite { page: u32::try_from(PAGE).unwrap() },
                &gear,
                &database(PAGE, kinds),
                999,
            );
            all.into_iter()
                .map(|length| {
                    end += length;
                    end
                })
                .collect()
        };
        let before = [13; 300];
        let mut after = before;
        after[100] = 10;
        let moved: Vec<_> = ends(&before).symmetric_difference(&ends(&after)).copied().collect();
        assert_eq!(moved, [100 * PAGE, 101 * PAGE]);
    }

    #[test]
    fn logs_are_cut_by_frames_so_that_what_is_appended_moves_no_cut() {
        let gear = Gear::new(7);
        let data = noise(1, 32 + 40 * 4120);
        let cut = Cut::Wal { page: 4096 };
        let all = lengths(cut, &gear, &data, 999);
        assert_eq!(all, [32 + 15 * 4120, 15 * 4120, 10 * 4120]);
        assert_eq!(lengths(cut, &gear, &data[..32 + 30 * 4120], 70_000), all[..2]);
    }

    #[test]
    fn a_group_is_what_the_writer_is_told_and_one_page_at_least() {
        let first = |group: usize, cut| {
            let mut cutter = Cutter::new(cut, NonZeroUsize::new(group).unwrap());
            cutter.next(&Gear::new(7), &vec![0; 1 << 20])
        };
        let second = |group: usize, page: u32| {
            let mut cutter = Cutter::new(Cut::Sqlite { page }, NonZeroUsize::new(group).unwrap());
            let zeros = vec![0; 1 << 20];
            let first = cutter.next(&Gear::new(7), &zeros);
            assert_eq!(first, Some(page as usize), "the first page is alone");
            cutter.next(&Gear::new(7), &zeros)
        };
        assert_eq!(second(4096, 4096), Some(4096));
        assert_eq!(second(16 << 10, 4096), Some(12 << 10));
        assert_eq!(second(4096, 65_536), Some(65_536));
        assert_eq!(first(1, Cut::Wal { page: 512 }), Some(32 + 536));
    }

    #[test]
    fn the_first_bytes_tell() {
        let database = |page: u16| [SQLITE.as_slice(), &page.to_be_bytes()].concat();
        assert_eq!(Cut::sniff(&database(4096)), Cut::Sqlite { page: 4096 });
        assert_eq!(Cut::sniff(&database(1)), Cut::Sqlite { page: 65_536 });
        assert_eq!(Cut::sniff(&[database(512), vec![0; 500]].concat()), Cut::Sqlite { page: 512 });
        assert_eq!(Cut::sniff(&database(1000)), Cut::Content);
        assert_eq!(Cut::sniff(&database(256)), Cut::Content);
        assert_eq!(Cut::sniff(&database(4096)[..17]), Cut::Content);
        assert_eq!(Cut::sniff(b""), Cut::Content);
        assert_eq!(Cut::sniff(b"bplist00"), Cut::Content);
        let log = |last: u8, page: u32| {
            [&[0x37, 0x7f, 0x06, last, 0, 0x2d, 0xe2, 0x18], &page.to_be_bytes()[..], &[0; 20]]
                .concat()
        };
        assert_eq!(Cut::sniff(&log(0x82, 4096)), Cut::Wal { page: 4096 });
        assert_eq!(Cut::sniff(&log(0x83, 65_536)), Cut::Wal { page: 65_536 });
        assert_eq!(Cut::sniff(&log(0x84, 4096)), Cut::Content);
        assert_eq!(Cut::sniff(&log(0x82, 1000)), Cut::Content);
        assert_eq!(Cut::sniff(&log(0x82, 0)), Cut::Content);
        assert_eq!(Cut::sniff(&log(0x82, 4096)[..17]), Cut::Content);
    }

    proptest! {
        #[test]
        fn sniffing_takes_anything(first in prop::collection::vec(any::<u8>(), 0..40)) {
            let magic = [SQLITE.as_slice(), &first].concat();
            for bytes in [&first, &magic] {
                if let Cut::Sqlite { page } = Cut::sniff(bytes) {
                    prop_assert!(page.is_power_of_two() && (512..=65_536).contains(&page));
                }
            }
        }
    }
}
