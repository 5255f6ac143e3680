//! Requests that only look at a backup on the host.

use std::fmt::Write as _;

use lifeboat_mobilesync::{EntryKind, ManifestDb, ManifestPlist, StatusPlist};
use tokio::io::{AsyncRead, AsyncWrite};

use super::cache::Cache;
use super::fail::{MbError, Stop, Underlying, code};
use super::link::Link;
use super::opening::unreadable;
use crate::phone::Phone;

/// Describes a backup in a text for people.
pub(super) async fn info<S>(link: &mut Link<S>, phone: &Phone, source: &str) -> Result<String, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let cache = Cache::open(&phone.folder)?;
    let manifest = manifest(link, &cache, source).await?;
    let path = format!("{source}/Status.plist");
    let target = cache.fetched("Status.plist");
    if let Err(refusal) = link.download(&path, 0.0, &target).await? {
        return Err(MbError::reading("Error reading status", refusal.underlying(&path)).into());
    }
    let status = StatusPlist::parse(&fs_err::read(&target)?)
        .map_err(|error| MbError::reading("Error reading status", unreadable(&error, &path)))?;
    let lockdown = |key: &str| {
        manifest.lockdown.get(key).and_then(plist::Value::as_string).unwrap_or("-").to_owned()
    };
    let mut text = String::new();
    for (label, value) in [
        ("Device Name", lockdown("DeviceName")),
        ("Product Type", lockdown("ProductType")),
        ("Product Version", lockdown("ProductVersion")),
        ("Build Version", lockdown("BuildVersion")),
        ("Serial Number", lockdown("SerialNumber")),
        ("Unique Identifier", lockdown("UniqueDeviceID")),
        ("Backup UUID", status.uuid),
        ("Snapshot State", status.snapshot_state.as_str().to_owned()),
        ("Backup State", status.backup_state.as_str().to_owned()),
        ("Is Encrypted", manifest.is_encrypted.to_string()),
        ("Was Passcode Set", manifest.was_passcode_set.to_string()),
        ("Applications", manifest.applications.len().to_string()),
    ] {
        writeln!(text, "{label}: {value}").map_err(|error| MbError::local(&error))?;
    }
    Ok(text)
}

/// Lists the files of a backup, one a line, separated by commas.
pub(super) async fn list<S>(link: &mut Link<S>, phone: &Phone, source: &str) -> Result<String, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let cache = Cache::open(&phone.folder)?;
    let manifest = manifest(link, &cache, source).await?;
    if manifest.is_encrypted {
        return Err(MbError::new(207, "Invalid password when restoring encrypted backup").into());
    }
    let mut text = "Domain,Path,Size,Mode,Modified,FileID\n".to_owned();
    let rows = ManifestDb::open(&cache.fetched("Manifest.db")).and_then(|db| db.rows());
    let (rows, _) = rows.map_err(|error| MbError::new(code::CORRUPT, &error.to_string()))?;
    for row in rows.iter().filter(|row| row.kind == EntryKind::File) {
        let Some(file) = &row.file else { continue };
        let path = row.relative_path.replace('"', "\"\"");
        writeln!(
            text,
            "{},\"{path}\",{},{:o},{},{}",
            row.domain, file.size, file.mode, file.modified, row.file_id
        )
        .map_err(|error| MbError::local(&error))?;
    }
    Ok(text)
}

async fn manifest<S>(link: &mut Link<S>, cache: &Cache, source: &str) -> Result<ManifestPlist, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    for name in ["Manifest.plist", "Manifest.db"] {
        let path = format!("{source}/{name}");
        if let Err(refusal) = link.download(&path, 0.0, &cache.fetched(name)).await? {
            return Err(MbError::reading(
                "Error reading backup properties",
                refusal.underlying(&path),
            )
            .into());
        }
    }
    let bytes = fs_err::read(cache.fetched("Manifest.plist"))?;
    let path = format!("{source}/Manifest.plist");
    ManifestPlist::parse(&bytes).map_err(|error| {
        let underlying: Underlying = unreadable(&error, &path);
        MbError::reading("Error reading backup properties", underlying).into()
    })
}
