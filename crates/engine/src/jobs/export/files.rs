//! Plain files: `<Domain>/<relative path>`, with times and modes.
//!
//! Links are made last and nothing is written through one: a backup that holds a link to `/etc` and a file “below” it
//! writes nothing there.

use std::collections::BTreeMap;

use camino::Utf8Path;
use jiff::Timestamp;
use lifeboat_mobilesync::crypto::Decrypt;
use lifeboat_mobilesync::{EntryKind, FileId, ManifestDb, Row};
use lifeboat_repo::{Content, Node, NodeKind, moment};

use super::{Export, Renamed, cannot_write, failed, make_folder};
use crate::error::{Cause, JobError};
use crate::layout::{FILES, NamedFile, Names, SEALED, is_plain, name};
use crate::working_tree::base;

/// The mode of a domain's folder, whatever it is on the device: nobody else goes in.
const TOP: u32 = 0o700;

/// What is done after all files are written.
#[derive(Default)]
struct Later {
    links: Vec<(String, String)>,
    folders: Vec<(String, u32, Timestamp)>,
    sealed: BTreeMap<FileId, Node>,
}

/// Writes them.
pub(super) fn write(export: &mut Export<'_>) -> Result<Vec<Renamed>, JobError> {
    let mut later = Later::default();
    let (repository, snapshot) = (export.repository.clone(), export.snapshot);
    repository.walk(snapshot, |entry| {
        let (top, rest) = entry.path.split_once('/').unwrap_or((&entry.path, ""));
        match (top, &entry.node.kind) {
            (SEALED, NodeKind::File(_)) => {
                if let Ok(id) = entry.name().parse() {
                    later.sealed.insert(id, entry.node.clone());
                }
            }
            (FILES, kind) if !rest.is_empty() => {
                let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
                if !is_plain(domain, path) || !fits_here(rest) {
                    return Err(JobError::new(
                        Cause::RepositoryDamaged,
                        "a name in the snapshot leaves its folder",
                    ));
                }
                match kind {
                    NodeKind::Directory => {
                        export.folder(rest)?;
                        later.folders.push((rest.to_owned(), entry.node.mode, entry.node.modified));
                    }
                    NodeKind::File(content) => {
                        let file = export.file(rest, content)?;
                        finish(&file, entry.node.mode, entry.node.modified)?;
                    }
                    NodeKind::Symlink(target) => {
                        later.links.push((rest.to_owned(), target.clone()));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let renamed = if later.sealed.is_empty() { Vec::new() } else { sealed(export, &later.sealed)? };
    finish_later(export, &later)?;
    Ok(renamed)
}

/// Makes links, and gives folders their modes and times.
fn finish_later(export: &Export<'_>, later: &Later) -> Result<(), JobError> {
    for (path, target) in &later.links {
        let place = export.target.join(path);
        if let Some(parent) = place.parent() {
            make_folder(parent)?;
        }
        link(target, &place).map_err(|error| cannot_write(&error))?;
    }
    // A folder's time is set when nothing in it changes any more.
    for (path, mode, modified) in later.folders.iter().rev() {
        let mode = if path.contains('/') { (mode & 0o777) | 0o700 } else { TOP };
        finish_folder(&export.target.join(path), mode, *modified)?;
    }
    Ok(())
}

/// Writes what could not lie under its name, under a name made from it.
fn sealed(
    export: &mut Export<'_>,
    sealed: &BTreeMap<FileId, Node>,
) -> Result<Vec<Renamed>, JobError> {
    let ids = base::ids(export.repository, export.snapshot)?;
    let mut renamed = Vec::new();
    for (id, node) in sealed {
        let Some(content) = node.content() else { continue };
        let own = ids.get(&id.to_string()).cloned().unwrap_or_else(|| id.to_string());
        let (domain, path) = own.split_once('/').unwrap_or((&own, ""));
        // A disk that tells upper from lower case may hold what a snapshot must not rely on.
        let fits = is_plain(domain, path)
            && fits_here(&own)
            && !path.is_empty()
            && is_free(export.target, &own);
        let to = if fits { own.clone() } else { escaped(domain, path, id) };
        if let Some((parent, _)) = to.rsplit_once('/') {
            export.folder(parent)?;
        }
        let Some(file) = plain(export, id, &own, &to, content)? else { continue };
        finish(&file, node.mode, node.modified)?;
        if to != own {
            renamed.push(Renamed { from: own, to });
        }
    }
    Ok(renamed)
}

/// Writes what lies sealed: of an encrypted backup decrypted, where its key is known.
fn plain(
    export: &mut Export<'_>,
    id: &FileId,
    own: &str,
    to: &str,
    content: &Content,
) -> Result<Option<fs_err::File>, JobError> {
    let Some(opened) = export.opened else { return export.file(to, content).map(Some) };
    let why = match opened.resealer.key(id) {
        Ok(_) if content.size == 0 => {
            return export.write(to, std::io::empty()).map(Some);
        }
        Ok(key) if content.size.is_multiple_of(16) => {
            let reader = export.repository.reader(content)?;
            return export.write(to, Decrypt::new(&key, reader)).map(Some);
        }
        Ok(_) => "truncated",
        Err(error) => {
            tracing::info!(%error, "a file stays sealed");
            "no-key"
        }
    };
    let (domain, path) = own.split_once('/').unwrap_or((own, ""));
    let (domain, path) = (Some(domain.to_owned()), path.to_owned());
    export.sealed.push(NamedFile { domain, path, why: why.to_owned() });
    Ok(None)
}

/// Writes a backup that lies sealed as a whole, whose password is known: the names are in its manifest.
pub(super) fn write_sealed(export: &mut Export<'_>) -> Result<Vec<Renamed>, JobError> {
    let Some(opened) = export.opened else {
        return Err(JobError::new(Cause::Internal, "the keys are not there"));
    };
    let mut sealed = BTreeMap::new();
    let repository = export.repository.clone();
    base::for_each_file(&repository, export.snapshot, export.about, |stored| {
        if let Some(id) = stored.id() {
            sealed.insert(id, stored.content);
        }
        Ok(())
    })?;
    let unread =
        |error| JobError::of(Cause::RepositoryDamaged, "Manifest.db cannot be read", &error);
    let database = ManifestDb::open(&opened.manifest).map_err(unread)?;
    let mut names = Names::new();
    let named = database.for_each(|row| names.add(&row.domain, &row.relative_path, row.kind));
    named.map_err(unread)?;
    let mut writing = WritingRows { later: Later::default(), renamed: Vec::new(), names, sealed };
    let mut failed = None;
    let read = database.for_each(|row| {
        if failed.is_none() {
            failed = writing.row(export, &row).err();
        }
    });
    read.map_err(unread)?;
    failed.map_or(Ok(()), Err)?;
    finish_later(export, &writing.later)?;
    Ok(writing.renamed)
}

/// What is known while the rows of a sealed backup are written.
struct WritingRows {
    later: Later,
    renamed: Vec<Renamed>,
    names: Names,
    sealed: BTreeMap<FileId, Content>,
}

impl WritingRows {
    fn row(&mut self, export: &mut Export<'_>, row: &Row) -> Result<(), JobError> {
        let own = name(&row.domain, &row.relative_path);
        let place = self.names.place(&row.domain, &row.relative_path, row.kind);
        let place = place.filter(|_| fits_here(&own)).map(|_| own.clone());
        let record = row.file.as_ref();
        let mode = record.map_or(0o600, |file| file.mode & 0o7777);
        let modified = moment(record.map_or(0, |file| file.modified), 0);
        match (row.kind, place) {
            (EntryKind::Directory, Some(place)) => {
                export.folder(&place)?;
                self.later.folders.push((place, mode, modified));
            }
            (EntryKind::Symlink, Some(place)) => {
                let target = record.and_then(|file| file.target.clone());
                self.later.links.extend(target.map(|target| (place, target)));
            }
            (EntryKind::Directory | EntryKind::Symlink, None) => {}
            (EntryKind::File, place) => {
                let Some(content) = self.sealed.remove(&row.file_id) else { return Ok(()) };
                let free = place.filter(|place| is_free(export.target, place));
                let to =
                    free.unwrap_or_else(|| escaped(&row.domain, &row.relative_path, &row.file_id));
                if let Some((parent, _)) = to.rsplit_once('/') {
                    export.folder(parent)?;
                }
                let Some(file) = plain(export, &row.file_id, &own, &to, &content)? else {
                    return Ok(());
                };
                finish(&file, mode, modified)?;
                if to != own {
                    self.renamed.push(Renamed { from: own, to });
                }
            }
        }
        Ok(())
    }
}

/// Whether a name means the same on this system as in the backup.
fn fits_here(path: &str) -> bool {
    !cfg!(windows) || !path.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
}

/// Whether nothing has this name and nothing but folders are above it. No link was made yet.
fn is_free(target: &Utf8Path, path: &str) -> bool {
    let is_folder = |path: &str| match fs_err::symlink_metadata(target.join(path)) {
        Ok(meta) => meta.is_dir(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    fs_err::symlink_metadata(target.join(path)).is_err()
        && path.match_indices('/').all(|(at, _)| path.get(..at).is_some_and(is_folder))
}

/// Makes a name that can be one and that no other file has: signs that cannot stay are written as `%XX`, long parts are cut,
/// folders on the way and the file itself get the beginning of the file's ID.
fn escaped(domain: &str, path: &str, id: &FileId) -> String {
    let id = id.to_string();
    let short = id.get(..8).unwrap_or(&id);
    let mut parts: Vec<String> =
        std::iter::once(domain).chain(path.split('/')).map(escape).collect();
    let last = parts.len() - 1;
    for (index, part) in parts.iter_mut().enumerate() {
        if index > 0 || !is_plain(domain, "") {
            if index == last {
                part.push('~');
                part.push_str(short);
            } else {
                part.push('~');
            }
        }
    }
    parts.join("/")
}

fn escape(part: &str) -> String {
    let mut text = String::new();
    for sign in part.chars() {
        if sign.is_control() || matches!(sign, '\\' | '%' | '/') {
            let mut bytes = [0; 4];
            for byte in sign.encode_utf8(&mut bytes).bytes() {
                text.push('%');
                text.push_str(&hex::encode_upper([byte]));
            }
        } else {
            text.push(sign);
        }
        if text.len() > 200 {
            break;
        }
    }
    if text.chars().all(|sign| sign == '.') { text.replace('.', "%2E") } else { text }
}

fn finish(file: &fs_err::File, mode: u32, modified: Timestamp) -> Result<(), JobError> {
    set_mode(file, (mode & 0o777) | 0o600)?;
    set_time(file, modified)
}

fn finish_folder(path: &Utf8Path, mode: u32, modified: Timestamp) -> Result<(), JobError> {
    let file = fs_err::File::open(path).map_err(|error| cannot_write(&error))?;
    set_mode(&file, mode)?;
    set_time(&file, modified)
}

fn set_time(file: &fs_err::File, time: Timestamp) -> Result<(), JobError> {
    let name = file.path().display();
    let what = || format!("cannot set the time of {name}");
    file.file().set_modified(time.into()).map_err(|error| failed(&what(), &error))
}

#[cfg(unix)]
fn set_mode(file: &fs_err::File, mode: u32) -> Result<(), JobError> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
        .map_err(|error| cannot_write(&error))
}

#[cfg(not(unix))]
fn set_mode(_file: &fs_err::File, _mode: u32) -> Result<(), JobError> {
    Ok(())
}

#[cfg(unix)]
fn link(target: &str, path: &Utf8Path) -> std::io::Result<()> {
    fs_err::os::unix::fs::symlink(target, path)
}

/// Elsewhere a link may need rights that a person does not have: its target is written into a file.
#[cfg(not(unix))]
fn link(target: &str, path: &Utf8Path) -> std::io::Result<()> {
    fs_err::write(path, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_name_is_plain_and_says_what_it_was() {
        let id = FileId::of("D", "x");
        let long = "x".repeat(400);
        for (domain, path) in [
            ("D", "a"),
            ("D", ".."),
            ("D", "../a"),
            ("D", "/etc/x"),
            ("..", "a"),
            ("D/E", "b"),
            ("D", "a\0b\\c"),
            ("D", &long),
            ("D", ""),
        ] {
            let made = escaped(domain, path, &id);
            let (first, rest) = made.split_once('/').unwrap();
            assert!(is_plain(first, rest), "{domain:?} {path:?} → {made:?}");
        }
        assert_eq!(
            escaped("HomeDomain", "a/B", &id),
            format!("HomeDomain/a~/B~{}", id.to_string().get(..8).unwrap())
        );
    }
}
