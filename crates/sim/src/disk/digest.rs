//! The oracle: what a backup would take now, as `sha256sum` prints it.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::entry::{Entry, Kind};
use super::frozen::Frozen;

/// Bytes read at once: large enough that opening files does not matter, small enough for any cache.
const CHUNK: usize = 256 * 1024;

/// Writes one line a regular file, `<hex>  <Domain>/<relative path>`, sorted by the bytes of domain and path. Names
/// with a backslash, line feed or carriage return are escaped as `sha256sum` does it: a backslash before the line and
/// `\\`, `\n`, `\r` in it.
pub fn digest(frozen: &Frozen, encrypted: bool, out: &mut impl Write) -> io::Result<()> {
    let mut files: Vec<(String, &Entry)> = frozen
        .taken(encrypted)
        .filter(|entry| entry.kind == Kind::File)
        .map(|entry| (format!("{}/{}", entry.domain, entry.relative_path), entry))
        .collect();
    files.sort_unstable_by(|(left, _), (right, _)| left.as_bytes().cmp(right.as_bytes()));
    let mut buffer = vec![0; CHUNK];
    for (name, entry) in files {
        let hash = hash(frozen.open(entry)?, &mut buffer)?;
        out.write_all(line(&hash, &name).as_bytes())?;
    }
    Ok(())
}

fn hash(mut reader: Box<dyn Read + Send>, buffer: &mut [u8]) -> io::Result<String> {
    let mut hasher = Sha256::new();
    loop {
        let count = match reader.read(buffer) {
            Ok(0) => return Ok(hex::encode(hasher.finalize())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}

fn line(hash: &str, name: &str) -> String {
    if name.contains(['\\', '\n', '\r']) {
        let name = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        format!("\\{hash}  {name}\n")
    } else {
        format!("{hash}  {name}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_sha256sum() {
        assert_eq!(line("00", "HomeDomain/a b \u{e9}"), "00  HomeDomain/a b \u{e9}\n");
        assert_eq!(line("00", "D/a\\b"), "\\00  D/a\\\\b\n");
        assert_eq!(line("00", "D/a\nb\rc"), "\\00  D/a\\nb\\rc\n");
    }
}
