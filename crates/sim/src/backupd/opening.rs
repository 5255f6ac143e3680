//! What lies on the host decides whether a backup is full or incremental, and whether an earlier one has to be brought
//! to its end first (docs/protocol.md, "How the phone chooses full or incremental" and "Resume after a break").

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8Path;
use lifeboat_mobilesync::manifest::unseal;
use lifeboat_mobilesync::property_list::PlistError;
use lifeboat_mobilesync::status::{self, VERSION};
use lifeboat_mobilesync::{
    BackupState, EntryKind, FileId, ManifestDb, ManifestError, ManifestPlist, MbFile,
    SnapshotState, StatusPlist,
};
use lifeboat_wire::devicelink::Status;
use tokio::io::{AsyncRead, AsyncWrite};

use super::cache::Journal;
use super::errors;
use super::fail::{MbError, Stop, Underlying, code};
use super::link::Stored;
use super::run::{Run, apart};
use super::secrets::{Secrets, SecretsError};

/// The highest table of domains that is understood.
const NEWEST_DOMAINS: u32 = 24;

/// A row of the last manifest.
#[derive(Debug, Clone)]
pub(super) struct OldRow {
    pub(super) flags: u32,
    pub(super) kind: EntryKind,
    pub(super) file: MbFile,
}

/// The rows of the last manifest by ID. The manifest itself lies in the cache.
pub(super) type OldRows = BTreeMap<FileId, OldRow>;

/// What the host's files mean for this job.
#[derive(Debug)]
pub(super) struct Opening {
    /// Names the phone's own folder for the job.
    pub(super) uuid: String,
    /// Everything is sent.
    pub(super) full: bool,
    /// What the host's backup was worth before.
    pub(super) before: BackupState,
    /// The last manifest, if what it lists can be built upon.
    pub(super) old: OldRows,
    /// What an earlier, broken try of the same job left on the host.
    pub(super) resume: Option<Resume>,
    /// The folder is of an older format and is set aside first.
    pub(super) set_aside: bool,
    /// What opens the last manifest, when that is encrypted and built upon.
    pub(super) secrets: Option<Arc<Secrets>>,
}

/// Whether this phone can read the database of the host.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is not encrypted.
    Plain,
    /// It is; it was opened.
    Sealed(Arc<Secrets>),
    /// The password of this phone does not open it, or there is none.
    Closed,
}

impl Opened {
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

/// What an earlier try left.
#[derive(Debug)]
pub(super) struct Resume {
    /// Files in `Snapshot/`.
    pub(super) stored: Stored,
    /// What the phone knows to have sent.
    pub(super) journal: Journal,
}

impl Opening {
    fn fresh(before: BackupState) -> Self {
        let uuid = uuid::Uuid::new_v4().to_string().to_uppercase();
        let (old, resume, secrets) = (OldRows::new(), None, None);
        Self { uuid, full: true, before, old, resume, set_aside: false, secrets }
    }
}

/// What `Status.plist` on the host says.
enum Found {
    Nothing,
    /// A version that is not understood: as good as nothing.
    Foreign,
    /// Older than 3.3.
    Older,
    Status(StatusPlist),
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Reads what lies on the host and brings an earlier run to its end where that is still to be done.
    pub(super) async fn opening(&mut self) -> Result<Opening, Stop> {
        let found = match self.read_status().await? {
            Found::Nothing | Found::Foreign => return Ok(Opening::fresh(BackupState::Empty)),
            Found::Older => {
                return Ok(Opening { set_aside: true, ..Opening::fresh(BackupState::Empty) });
            }
            Found::Status(found) => found,
        };
        // The UUID names a folder on the phone: what is none is not taken over.
        let uuid = match uuid::Uuid::parse_str(&found.uuid) {
            Ok(uuid) => uuid.to_string().to_uppercase(),
            Err(_) => uuid::Uuid::new_v4().to_string().to_uppercase(),
        };
        let fresh = Opening { uuid: uuid.clone(), ..Opening::fresh(found.backup_state) };
        match found.snapshot_state {
            SnapshotState::Finished if found.is_full_backup => Ok(fresh),
            SnapshotState::Finished => self.build_upon(fresh).await,
            SnapshotState::Uploading => {
                let opening =
                    if found.is_full_backup { fresh } else { self.build_upon(fresh).await? };
                self.resume_upload(opening).await
            }
            SnapshotState::Moving => {
                self.finish_moving().await?;
                self.finish_removing(&uuid).await?;
                self.build_upon(fresh).await
            }
            SnapshotState::Removing => {
                self.finish_removing(&uuid).await?;
                self.build_upon(fresh).await
            }
        }
    }

    async fn read_status(&mut self) -> Result<Found, Stop> {
        const TEXT: &str = "Error reading status";
        let path = self.on_host(status::NAME);
        let target = self.cache.fetched(status::NAME);
        if let Err(refusal) = self.link.download(&path, 0.0, &target).await? {
            return match refusal.status {
                Status::NOT_FOUND => Ok(Found::Nothing),
                _ => Err(MbError::reading(TEXT, refusal.underlying(&path)).into()),
            };
        }
        let bytes = fs_err::read(&target)?;
        let unreadable = |error: &PlistError| MbError::reading(TEXT, unreadable(error, &path));
        let version = StatusPlist::parse_version(&bytes).map_err(|error| unreadable(&error))?;
        let Some(version) = version else { return Ok(Found::Older) };
        match version.parse::<f64>() {
            Ok(number) if !(2.4..4.0).contains(&number) => return Ok(Found::Foreign),
            Ok(number) if number < 3.3 => return Ok(Found::Older),
            Ok(_) => {}
            Err(_) => return Ok(Found::Foreign),
        }
        StatusPlist::parse(&bytes).map(Found::Status).map_err(|error| unreadable(&error).into())
    }

    /// Opens the last manifest and checks that its payloads are there; if it cannot be built upon, all is sent anew.
    async fn build_upon(&mut self, fresh: Opening) -> Result<Opening, Stop> {
        let (manifest, opened) = self.fetch_manifests(1.0).await?;
        if manifest.is_encrypted != self.password.is_some() {
            self.say("Encryption settings changed: performing full backup");
            return Ok(fresh);
        }
        let secrets = match opened {
            Opened::Plain => None,
            Opened::Sealed(secrets) => Some(secrets),
            Opened::Closed => {
                self.say("Password has changed: performing full backup");
                return Ok(fresh);
            }
        };
        let Some(old) = self.read_rows().await? else { return Ok(fresh) };
        let (stored, _) = self.link.walk(&self.udid.clone(), 2.0).await?;
        let missing = old.iter().find(|(id, row)| is_wanted(row.flags) && !stored.contains_key(id));
        if let Some((id, _)) = missing {
            tracing::info!(%id, "a payload is missing on the host: everything is sent again");
            return Ok(fresh);
        }
        Ok(Opening { full: false, old, secrets, ..fresh })
    }

    /// Fetches both manifests into the cache, where the database lies opened if the password of this phone opens it.
    pub(super) async fn fetch_manifests(
        &mut self,
        progress: f64,
    ) -> Result<(ManifestPlist, Opened), Stop> {
        const TEXT: &str = "Error reading backup properties";
        let path = self.on_host("Manifest.plist");
        let target = self.cache.fetched("Manifest.plist");
        if let Err(refusal) = self.link.download(&path, progress, &target).await? {
            return Err(MbError::reading(TEXT, refusal.underlying(&path)).into());
        }
        let bytes = fs_err::read(&target)?;
        let manifest = ManifestPlist::parse(&bytes)
            .map_err(|error| MbError::reading(TEXT, unreadable(&error, &path)))?;
        let domains = manifest
            .system_domains_version
            .as_deref()
            .and_then(|version| version.split('.').next());
        if domains
            .and_then(|version| version.parse::<u32>().ok())
            .is_some_and(|version| version > NEWEST_DOMAINS)
        {
            return Err(MbError::new(code::VERSION, "Unsupported system domains version").into());
        }
        let path = self.on_host("Manifest.db");
        let target = self.cache.fetched("Manifest.db");
        if let Err(refusal) = self.link.download(&path, progress, &target).await? {
            return Err(
                MbError::reading("Error reading manifest", refusal.underlying(&path)).into()
            );
        }
        let opened = self.open_manifest(&manifest).await?;
        Ok((manifest, opened))
    }

    /// Opens the database in the cache. What is damaged stays as it is: whoever reads it will say so.
    async fn open_manifest(&mut self, manifest: &ManifestPlist) -> Result<Opened, Stop> {
        if !manifest.is_encrypted {
            return Ok(Opened::Plain);
        }
        let Some(password) = self.password.clone() else { return Ok(Opened::Closed) };
        for (value, missing) in
            [(&manifest.keybag, "keybag"), (&manifest.manifest_key, "encryption-key")]
        {
            if value.is_none() {
                return Err(errors::worded(code::CORRUPT, missing, &self.udid).into());
            }
        }
        let vault = self.vault.clone();
        let manifest = manifest.clone();
        let sealed = self.cache.fetched("Manifest.db");
        let opened = apart(move || {
            let Some(secrets) = vault.unlock(&password, &manifest)? else {
                return Ok(Opened::Closed);
            };
            let key = secrets.open(manifest.manifest_key.as_deref().unwrap_or_default())?;
            let plain = sealed.with_added_extension("opened");
            match unseal(&key, &sealed, &plain) {
                Ok(_) => fs_err::rename(&plain, &sealed)?,
                Err(error) => tracing::info!(%error, "the manifest on the host cannot be opened"),
            }
            Ok::<_, SecretsError>(Opened::Sealed(secrets))
        });
        opened.await?.map_err(|error| match error {
            SecretsError::Keybag(error) => {
                let path = self.on_host("Manifest.plist");
                MbError::reading(
                    "Error reading backup properties",
                    Underlying::unreadable(&error.to_string(), &path),
                )
                .into()
            }
            other => MbError::local(&other).into(),
        })
    }

    /// Reads the rows of the manifest in the cache; nothing when it is damaged.
    async fn read_rows(&mut self) -> Result<Option<OldRows>, Stop> {
        let path = self.cache.fetched("Manifest.db");
        match apart(move || read_rows(&path)).await? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) => {
                tracing::info!(%error, "the manifest on the host is damaged: everything is sent again");
                Ok(None)
            }
        }
    }

    /// Finds out what an earlier try has already sent.
    async fn resume_upload(&mut self, opening: Opening) -> Result<Opening, Stop> {
        let Some(journal) = self.cache.journal(&opening.uuid)? else { return Ok(opening) };
        let (stored, _) = self.link.walk(&self.on_host("Snapshot"), 3.0).await?;
        Ok(Opening { resume: Some(Resume { stored, journal }), ..opening })
    }

    /// Moves what is left in `Snapshot/` where it belongs.
    async fn finish_moving(&mut self) -> Result<(), Stop> {
        let snapshot = self.on_host("Snapshot");
        let (stored, listing) = self.link.walk(&snapshot, 1.0).await?;
        let ids: Vec<FileId> = stored.into_keys().collect();
        self.move_payloads(&ids).await?;
        for name in ["Manifest.plist", "Manifest.db"] {
            if listing.0.contains_key(name) {
                self.move_manifest(name).await?;
            }
        }
        Ok(())
    }

    /// Removes what the manifest does not name, and `Snapshot/`.
    async fn finish_removing(&mut self, uuid: &str) -> Result<(), Stop> {
        self.upload_status(uuid, BackupState::New, SnapshotState::Removing, true).await?;
        let (_, opened) = self.fetch_manifests(1.0).await?;
        let (stored, _) = self.link.walk(&self.udid.clone(), 2.0).await?;
        if !opened.is_closed()
            && let Some(rows) = self.read_rows().await?
        {
            let surplus: Vec<FileId> = stored
                .into_keys()
                .filter(|id| rows.get(id).is_none_or(|row| row.kind != EntryKind::File))
                .collect();
            self.remove_payloads(&surplus).await?;
        }
        self.remove_snapshot().await?;
        self.upload_status(uuid, BackupState::New, SnapshotState::Finished, false).await
    }
}

fn read_rows(path: &Utf8Path) -> Result<OldRows, ManifestError> {
    let db = ManifestDb::open(path)?;
    db.quick_check()?;
    let mut rows = OldRows::new();
    db.for_each(|row| {
        if let Some(file) = row.file {
            rows.insert(row.file_id, OldRow { flags: row.flags, kind: row.kind, file });
        }
    })?;
    Ok(rows)
}

/// Says whether a row must have a payload: a regular file that was not lost on its way.
pub(super) const fn is_wanted(flags: u32) -> bool {
    flags & 0b11_0110 == 0
}

/// How the phone words a property list it cannot read.
pub(super) fn unreadable(error: &PlistError, path: &str) -> Underlying {
    match error {
        PlistError::Empty => {
            Underlying::unreadable("Cannot parse a NULL or zero-length data", path)
        }
        other => Underlying::unreadable(&other.to_string(), path),
    }
}

/// The version of `Status.plist` that is written.
pub(super) const STATUS_VERSION: &str = VERSION;
