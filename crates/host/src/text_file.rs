//! Short files of text, read with a limit: a path may lead to something without an end.

use std::io::{self, Read as _};

use camino::Utf8Path;

/// Reads a file of text that has at most `most` bytes.
///
/// # Errors
///
/// Where it cannot be read, is not UTF-8, or is longer ([`io::ErrorKind::FileTooLarge`]); each names the file.
pub fn read_text(path: &Utf8Path, most: u64) -> io::Result<String> {
    let file = fs_err::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        let what = format!("{path} is longer than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;

    #[test]
    fn the_last_byte_that_fits_is_read_and_one_more_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("text")).unwrap();
        fs_err::write(&path, "four").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "four");
        let error = read_text(&path, 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), format!("{path} is longer than 3 bytes"));
        fs_err::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_refused() {
        let error = read_text(Utf8Path::new("/dev/zero"), 1 << 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
