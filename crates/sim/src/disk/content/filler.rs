//! Documents of apps, as many and as large as are missing to the size of the profile.

use crate::disk::apps::{AppKind, InstalledApp};
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;

/// Shares of file sizes below one megabyte as measured on a real phone (docs/format.md 6.1): percent of the files, smallest size, largest size.
const SIZES: [(u64, u64, u64); 7] = [
    (11, 16, 64),
    (26, 64, 256),
    (22, 256, 1_024),
    (13, 1_024, 4_096),
    (9, 4_096, 16_384),
    (12, 16_384, 65_536),
    (7, 65_536, 262_144),
];

/// A file this small does not count.
const SMALL: u64 = 600;

/// Large downloads take what remains, in files of at most this.
const LARGE: u64 = 40_000_000;

pub(crate) fn create(maker: &mut Maker<'_>, apps: &[InstalledApp]) {
    let mut rng = Rng::new(maker.seed, "filler");
    let (files, bytes) = maker.totals();
    let mut files = maker.amounts.files.saturating_sub(files);
    let mut bytes = maker.amounts.bytes.saturating_sub(bytes);
    let domains: Vec<String> = apps
        .iter()
        .filter(|app| app.kind == AppKind::User)
        .map(|app| format!("AppDomain-{}", app.bundle_id))
        .collect();
    let mut number = 0;
    while files > 0 && !domains.is_empty() {
        // Towards the end the sizes are those that are left; before it, what phones have. A profile whose bytes are
        // used up gets its number of files all the same, small ones.
        let large = (bytes / LARGE + 1).min(files / 2 + 1);
        let length = if bytes < files * SMALL {
            size(&mut rng).min(SMALL)
        } else if files <= large {
            bytes / files
        } else {
            size(&mut rng).min(bytes / files * 8 + 16).min(bytes)
        };
        let domain = &domains[usize::try_from(number).unwrap_or(0) % domains.len()];
        let (folder, extension, shape) = match rng.below(10) {
            0..=3 => ("data", "json", Shape::Text),
            4 | 5 => ("data", "bin", Shape::Noise),
            6 | 7 => ("images", "jpg", Shape::Jpeg),
            8 => ("sounds", "m4a", Shape::Audio),
            _ => ("logs", "log", Shape::Text),
        };
        let path = format!(
            "Library/Application Support/{folder}/{:03}/{number:06}.{extension}",
            number / 200
        );
        maker.generated(domain, &path, shape, length).permissions(0o600);
        files -= 1;
        bytes = bytes.saturating_sub(length);
        number += 1;
    }
}

fn size(rng: &mut Rng) -> u64 {
    let mut dice = rng.below(100);
    for (share, low, high) in SIZES {
        if dice < share {
            return low + rng.below(high - low);
        }
        dice -= share;
    }
    0
}
