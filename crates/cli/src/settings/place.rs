//! Where things lie: one place has one name, however it is written.

use std::fmt::Write as _;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use lifeboat_repo::Location;
use sha2::{Digest as _, Sha256};

/// How many symbolic links are followed, as systems do.
const MOST_LINKS: usize = 40;
/// The longest name of a file, in bytes, that every file system takes …
const LONGEST_NAME: usize = 255;
/// … and what beside a key is longest after its name.
const LONGEST_END: usize = ".sheet-not-shown".len();

/// Returns a path from the root folder on, without links, `.` and `..`. What is not there is taken as it is written: a place has
/// the same name before it is made and while its disk is away.
pub(super) fn canonical(path: &Utf8Path) -> Utf8PathBuf {
    let Ok(path) = camino::absolute_utf8(path) else { return path.to_owned() };
    // What is still to be looked at, the next part last.
    let mut left = parts(&path);
    let mut links = 0;
    let mut found = Utf8PathBuf::new();
    while let Some(part) = left.pop() {
        if part == ".." {
            found.pop();
            continue;
        }
        let next = found.join(&part);
        let link = fs_err::read_link(&next).ok();
        match link.and_then(|link| Utf8PathBuf::from_path_buf(link).ok()) {
            Some(link) if links < MOST_LINKS => {
                links += 1;
                left.extend(parts(&link));
            }
            _ => found = next,
        }
    }
    found
}

/// Returns the parts of a path, the last first. The root folder is one, which put after something takes its place.
fn parts(path: &Utf8Path) -> Vec<String> {
    let parts = path.components().filter(|part| *part != Utf8Component::CurDir);
    let mut parts: Vec<String> = parts.map(|part| part.as_str().to_owned()).collect();
    parts.reverse();
    parts
}

/// Whether a place is another or lies in it.
pub(super) fn is_within(inner: &Utf8Path, outer: &Utf8Path) -> bool {
    canonical(inner).starts_with(canonical(outer))
}

/// Returns the folder of a repository, if it is one on this computer.
pub(super) fn folder(repository: &str) -> Option<Utf8PathBuf> {
    match repository.parse() {
        Ok(Location::Local(path)) => Some(path),
        _ => None,
    }
}

/// Whether a repository lies in this folder.
pub(super) fn is_at(repository: &str, place: &Utf8Path) -> bool {
    folder(repository).is_some_and(|folder| canonical(&folder) == canonical(place))
}

/// Returns the file with the key of a repository. That of the default one lies beside the configuration; those of others in a
/// folder there, by their place. One that lies under the name that an older program gave it stays there.
pub(super) fn key_file(config: &Utf8Path, repository: &str, is_default: bool) -> Utf8PathBuf {
    if is_default {
        return config.join("repository.key");
    }
    let place = match folder(repository) {
        Some(folder) => canonical(&folder).into_string(),
        None => repository.to_owned(),
    };
    let keys = config.join("keys");
    let file = |name: String| keys.join(format!("{name}.key"));
    let own = file(short(escaped(&place)));
    let older = file(escaped(&as_written(repository)));
    if !own.exists() && older.exists() { older } else { own }
}

/// Returns the place of a repository as older programs named its key.
fn as_written(repository: &str) -> String {
    if repository.contains("://") {
        return repository.to_owned();
    }
    let absolute = camino::absolute_utf8(Utf8Path::new(repository));
    absolute.map_or_else(
        |_| repository.to_owned(),
        |path| path.as_str().trim_end_matches('/').to_owned(),
    )
}

/// Returns a place as the name of a file.
fn escaped(place: &str) -> String {
    let mut name = String::new();
    for byte in place.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                name.push(char::from(byte));
            }
            other => write!(name, "%{other:02X}").expect("a String takes everything"),
        }
    }
    name
}

/// Returns a name, or its digest where it is too long for a file.
fn short(name: String) -> String {
    if name.len() + LONGEST_END <= LONGEST_NAME {
        return name;
    }
    format!("sha256-{}", hex::encode(Sha256::digest(name.as_bytes())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(repository: &str) -> Utf8PathBuf {
        key_file(Utf8Path::new("/c"), repository, false)
    }

    proptest! {
        #[test]
        fn two_repositories_never_share_a_key_file(one in "/[ -~]{1,12}", other in "/[ -~]{1,12}") {
            // `/.`, `//` and `/..` are other words for one place.
            let is_one = canonical(Utf8Path::new(&one)) == canonical(Utf8Path::new(&other));
            prop_assert_eq!(key(&one) == key(&other), is_one);
        }

        #[test]
        fn no_name_is_too_long(place in "/[a-zü/ ]{0,400}") {
            let longest = key(&place).with_extension("sheet-not-shown");
            prop_assert!(longest.file_name().is_some_and(|name| name.len() <= LONGEST_NAME));
        }

        #[test]
        fn noise_never_panics(noise in any::<String>()) {
            drop(key(&noise));
        }
    }

    #[cfg(unix)]
    #[test]
    fn one_place_has_one_key_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = canonical(Utf8Path::from_path(dir.path()).unwrap());
        fs_err::create_dir_all(root.join("disk")).unwrap();
        fs_err::os::unix::fs::symlink("disk", root.join("link")).unwrap();
        let config = root.join("config");
        let own = key_file(&config, root.join("disk/r").as_str(), false);
        let spellings = ["x/../disk/r", "link/r", "./disk//r/", "link/../disk/r", "disk/r/."];
        for spelling in spellings.map(|spelling| format!("{root}/{spelling}")) {
            for repository in
                [spelling.clone(), format!("file://{spelling}"), format!("local:{spelling}")]
            {
                assert_eq!(key_file(&config, &repository, false), own, "{repository}");
            }
        }
        // The disk is not mounted: the place keeps its name.
        fs_err::remove_dir(root.join("disk")).unwrap();
        assert_eq!(key_file(&config, root.join("link/r").as_str(), false), own);
        assert!(is_within(&root.join("link/r/data"), &root.join("disk/r")));
        assert!(!is_within(&root.join("disk/r2"), &root.join("disk/r")));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_in_a_circle_come_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::os::unix::fs::symlink("b", root.join("a")).unwrap();
        fs_err::os::unix::fs::symlink("a", root.join("b")).unwrap();
        assert!(canonical(&root.join("a/r")).as_str().ends_with("/r"));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_under_its_older_name_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = canonical(Utf8Path::from_path(dir.path()).unwrap());
        fs_err::create_dir_all(root.join("disk")).unwrap();
        fs_err::os::unix::fs::symlink("disk", root.join("link")).unwrap();
        let config = root.join("config");
        fs_err::create_dir_all(config.join("keys")).unwrap();
        for (number, repository) in
            [format!("{root}/link/r"), format!("file://{root}/r"), format!("{root}/x/../y")]
                .into_iter()
                .enumerate()
        {
            let older = config.join("keys").join(format!("{}.key", escaped(&repository)));
            let own = key_file(&config, &repository, false);
            assert_ne!(own, older);
            fs_err::write(&older, number.to_string()).unwrap();
            assert_eq!(key_file(&config, &repository, false), older);
            fs_err::write(&own, "its own").unwrap();
            assert_eq!(key_file(&config, &repository, false), own);
        }
    }
}
