//! What is mounted where. Linux is tested, macOS is not, Windows is not supported.

use camino::{Utf8Path, Utf8PathBuf};

use crate::look::LookError;

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub path: Utf8PathBuf,
    /// The type of the file system, as the system calls it (`ext4`, `vfat`, `nfs4`).
    pub kind: String,
    /// What is mounted there (`/dev/sda1`, `server:/share`).
    pub source: String,
    /// Nothing can be written there.
    pub read_only: bool,
}

/// Returns the mount that holds `path`: the deepest one above it, of equals the last.
pub fn holding<'a>(mounts: &'a [Mount], path: &Utf8Path) -> Option<&'a Mount> {
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.path));
    above.max_by_key(|mount| mount.path.components().count())
}

/// Parses `/proc/self/mountinfo`; lines that make no sense are left out.
pub fn parse_mountinfo(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(4);
    let path = Utf8PathBuf::from(unescape(fields.next()?));
    let options = fields.next()?;
    let mut fields = right.split(' ');
    let kind = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    let whole = fields.next().unwrap_or_default();
    let read_only = [options, whole].iter().any(|list| list.split(',').any(|word| word == "ro"));
    Some(Mount { path, kind, source, read_only })
}

/// Undoes the kernel's escapes (`\040` is a blank).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\')
            .then(|| tail.first_chunk::<3>())
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Parses what `mount` prints on macOS (`/dev/disk3s1 on /Volumes/Disk (apfs, local, read-only)`).
#[cfg(any(test, target_os = "macos"))]
fn parse_mount_command(text: &str) -> Vec<Mount> {
    let read = |line: &str| {
        let (source, rest) = line.split_once(" on ")?;
        let (path, options) = rest.rsplit_once(" (")?;
        let mut options = options.trim_end_matches(')').split(", ");
        let kind = options.next()?.to_owned();
        let read_only = options.any(|option| option == "read-only");
        Some(Mount { path: path.into(), kind, source: source.to_owned(), read_only })
    };
    text.lines().filter_map(read).collect()
}

/// Lists what is mounted.
#[cfg(target_os = "linux")]
pub fn list() -> Result<Vec<Mount>, LookError> {
    let bytes = fs_err::read("/proc/self/mountinfo")
        .map_err(|error| LookError::from_io("list of mounts", error))?;
    Ok(parse_mountinfo(&String::from_utf8_lossy(&bytes)))
}

/// Lists what is mounted.
#[cfg(target_os = "macos")]
pub fn list() -> Result<Vec<Mount>, LookError> {
    use crate::command::{Command, run};
    let output = run(&Command::new("/sbin/mount").limit(std::time::Duration::from_secs(3)))
        .map_err(|_| LookError::NotThere { what: "list of mounts".to_owned() })?;
    Ok(parse_mount_command(&String::from_utf8_lossy(&output.stdout)))
}

/// Says that this program cannot tell here.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub fn list() -> Result<Vec<Mount>, LookError> {
    Err(LookError::Unsupported { what: "what is mounted" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 22 8:17 / /media/My\\040Disk ro,nosuid - vfat /dev/sdb1 rw\n\
        41 22 0:50 / /srv rw - nfs4 server:/share ro\nnoise\n";

    #[test]
    fn mounts_are_read_and_the_deepest_holds_a_path() {
        let mounts = parse_mountinfo(TEXT);
        assert_eq!(mounts.len(), 3);
        let disk = holding(&mounts, Utf8Path::new("/media/My Disk/a/b")).unwrap();
        assert_eq!((disk.kind.as_str(), disk.read_only), ("vfat", true));
        assert!(holding(&mounts, Utf8Path::new("/srv/x")).unwrap().read_only, "the whole is");
        assert_eq!(holding(&mounts, Utf8Path::new("/media")).unwrap().kind, "ext4");
        assert!(holding(&[], Utf8Path::new("/")).is_none());
    }

    #[test]
    fn the_list_of_macos_is_read() {
        let text = "/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)\n\
            /dev/disk5s1 on /Volumes/A (B) (exfat, local, nodev)\n";
        let mounts = parse_mount_command(text);
        assert_eq!(mounts[0].kind, "apfs");
        assert!(mounts[0].read_only);
        assert_eq!((mounts[1].path.as_str(), mounts[1].kind.as_str()), ("/Volumes/A (B)", "exfat"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_a_root() {
        assert!(holding(&list().unwrap(), Utf8Path::new("/")).is_some());
    }

    proptest! {
        #[test]
        fn noise_never_panics(text in any::<String>(), tail in any::<Vec<u8>>()) {
            drop(parse_mountinfo(&text));
            drop(parse_line(&format!("1 2 3 4 \\04 {text} - \\777\\ {}", String::from_utf8_lossy(&tail))));
        }
    }
}
