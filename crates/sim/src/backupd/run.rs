//! One backup, step after step (docs/protocol.md, "Full backup" and "Incremental").

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use lifeboat_mobilesync::status;
use lifeboat_mobilesync::{
    BackupState, FileId, ManifestDb, ManifestError, SnapshotState, StatusPlist,
};
use lifeboat_wire::devicelink::{PhoneMessage, Status, StatusResponse};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::cache::Cache;
use super::errors;
use super::fail::{MbError, Stop, Underlying, code};
use super::link::{Link, Stored, failures};
use super::manifest::{self, Method};
use super::mishap::Mishaps;
use super::opening::{Opening, STATUS_VERSION, is_wanted};
use super::plan::{Known, Plan, Sealing};
use super::secrets::{FileKeys, Vault};
use crate::disk::DiskError;
use crate::options::{Ios, Password, Reuse};
use crate::phone::{PasscodeAnswer, Phone, PromptReason};

/// Files in one message.
pub(super) const BATCH: usize = 128;

/// Space that must stay free beside what is sent.
const SPARE: u64 = 128 << 20;

/// How much more than needed the host is asked to free.
const PURGE_SURPLUS: u64 = 2 << 30;

const PURGE_URGENCY: i64 = 4;

/// The part of a job's time that is foreseen for looking at what lies on the host.
const OPENING_SHARE: f64 = 0.05;

/// Versions of DeviceLink from which on a message may be sent.
const KNOWS_MOVE_ITEMS: i64 = 200;
const KNOWS_FREE_SPACE: i64 = 300;
const KNOWS_PURGE: i64 = 400;

/// The steps of a backup, as the fault `error` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Request,
    Status,
    Scan,
    Space,
    Directories,
    Upload,
    Manifest,
    Moving,
    Removing,
    Verify,
}

impl Step {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Status => "status",
            Self::Scan => "scan",
            Self::Space => "space",
            Self::Directories => "directories",
            Self::Upload => "upload",
            Self::Manifest => "manifest",
            Self::Moving => "moving",
            Self::Removing => "removing",
            Self::Verify => "verify",
        }
    }
}

/// A backup that runs.
pub(super) struct Run<'l, S> {
    pub(super) link: &'l mut Link<S>,
    pub(super) phone: Arc<Phone>,
    pub(super) udid: String,
    pub(super) cache: Cache,
    pub(super) uuid: String,
    /// What was sent, one file a line, for `sent/files.txt`.
    pub(super) sent_files: String,
    /// What befalls the phone on the way.
    pub(super) mishaps: Mishaps,
    /// The backup password, from the keychain.
    pub(super) password: Option<Password>,
    /// Where keys of encrypted backups come from.
    pub(super) vault: Vault,
    pub(super) keys: FileKeys,
    /// How this backup is encrypted, once that is decided.
    pub(super) sealing: Option<Sealing>,
    /// Temporary files so far: their names are numbered.
    temporary: u32,
}

impl<'l, S: AsyncRead + AsyncWrite + Unpin + Send> Run<'l, S> {
    pub(super) fn new(link: &'l mut Link<S>, phone: &Arc<Phone>) -> Result<Self, Stop> {
        let vault = Vault::open(phone);
        let keys = vault.begin().map_err(|error| MbError::local(&error))?;
        Ok(Self {
            password: phone.backup_password(),
            vault,
            keys,
            sealing: None,
            link,
            phone: Arc::clone(phone),
            udid: phone.udid().to_owned(),
            cache: Cache::open(&phone.folder)?,
            uuid: String::new(),
            sent_files: String::new(),
            mishaps: Mishaps::new(phone),
            temporary: 0,
        })
    }

    /// Returns the path of something in the backup's folder on the host.
    pub(super) fn on_host(&self, name: &str) -> String {
        format!("{}/{name}", self.udid)
    }

    /// Makes a backup.
    pub(super) async fn backup(mut self) -> Result<(), Stop> {
        self.say("Starting backup");
        self.step(Step::Request)?;
        self.passcode(PromptReason::Backup).await?;
        self.preconditions()?;
        self.cache.clear_sent()?;
        self.step(Step::Status)?;
        self.say("Starting to retrieve previous backup status");
        // Whatever is left to be done of an earlier run is a small part of this one.
        self.link.share = OPENING_SHARE;
        let opening = self.opening().await?;
        self.link.share = 1.0;
        self.uuid.clone_from(&opening.uuid);
        let kind = if opening.full { "full" } else { "incremental" };
        self.phone.traffic.update(|job| job.kind = Some(kind.to_owned()));
        let word = if self.password.is_some() { "enabled" } else { "disabled" };
        self.say(&format!("Encryption is {word}"));
        if opening.resume.is_some() {
            self.say("Resuming after failure during 'uploading' phase");
        }
        if opening.set_aside {
            self.say("Performing full backup to replace unsupported format");
        }
        self.say("Starting preflight");
        self.step(Step::Scan)?;
        self.readiness()?;
        self.mischief().await?;
        self.sealing = self.sealing(&opening).await?;
        let (full, before, set_aside) = (opening.full, opening.before, opening.set_aside);
        let mut plan = self.scan(opening).await?;
        let count = plan.sends().len();
        self.say(&format!("uploadSize:{0}({0}), uploadFileCount:{count}", plan.bytes));
        self.space(plan.bytes).await?;
        self.say("Finished preflight in 1s");
        let aside = if set_aside { Some(self.set_aside().await?) } else { None };
        self.directories().await?;
        fs_err::create_dir_all(self.cache.running(&self.uuid))?;
        let uuid = self.uuid.clone();
        self.upload_status(&uuid, before, SnapshotState::Uploading, full).await?;
        self.step(Step::Upload)?;
        let uploaded = self.upload(&mut plan).await;
        fs_err::write(self.cache.sent().join("files.txt"), &self.sent_files)?;
        uploaded?;
        self.say(&format!("Uploaded {count} files"));
        self.step(Step::Manifest)?;
        let plan = self.manifests(plan, full).await?;
        self.upload_status(&uuid, BackupState::New, SnapshotState::Moving, full).await?;
        self.step(Step::Moving)?;
        let moves = plan.moves();
        self.move_payloads(&moves).await?;
        self.say(&format!("Moved {} files", moves.len()));
        self.move_manifest("Manifest.plist").await?;
        self.move_manifest("Manifest.db").await?;
        self.upload_status(&uuid, BackupState::New, SnapshotState::Removing, full).await?;
        self.step(Step::Removing)?;
        self.remove_payloads(&plan.surplus).await?;
        self.say(&format!("Removed {} items", plan.surplus.len()));
        self.remove_snapshot().await?;
        self.upload_status(&uuid, BackupState::New, SnapshotState::Finished, false).await?;
        self.step(Step::Verify)?;
        self.verify().await?;
        if let Some(aside) = aside {
            self.remove(vec![aside], 100.0).await?;
        }
        self.cache.clear_running()?;
        self.say("Finished backup");
        Ok(())
    }

    /// Asks the owner for the passcode, where a phone does.
    pub(super) async fn passcode(&mut self, reason: PromptReason) -> Result<(), Stop> {
        let locked = |reason| Stop::from(errors::worded(code::LOCKED, reason, &self.udid));
        if self.phone.is_before_first_unlock() {
            return Err(locked(""));
        }
        // For a new backup password every version that is played asks; without a passcode nobody is asked.
        if reason == PromptReason::Backup && !self.phone.asks_passcode_for_backup() {
            return Ok(());
        }
        let phone = Arc::clone(&self.phone);
        tokio::select! {
            biased;
            answer = phone.ask_passcode(reason) => match answer {
                PasscodeAnswer::Entered => Ok(()),
                PasscodeAnswer::Cancelled => Err(locked("")),
                PasscodeAnswer::TimedOut => {
                    // The constant text, whatever the time was.
                    self.say("Timed out waiting 30 minutes for passcode");
                    Err(locked("timeout"))
                }
            },
            error = self.link.left() => Err(error.into()),
        }
    }

    /// Decides with which keys the backup is made: those of the host's keybag, if it is continued.
    async fn sealing(&mut self, opening: &Opening) -> Result<Option<Sealing>, Stop> {
        let Some(password) = self.password.clone() else { return Ok(None) };
        let spec = &self.phone.spec.encryption;
        let empty_files = spec.empty_files;
        if let Some(secrets) = opening.secrets.clone() {
            return Ok(Some(Sealing { secrets, empty_files }));
        }
        let again = spec.full_keybag == Reuse::Kept || opening.resume.is_some();
        let vault = self.vault.clone();
        let secrets = apart(move || vault.full(&password, again)).await?;
        let secrets = secrets.map_err(|error| MbError::local(&error))?;
        Ok(Some(Sealing { secrets, empty_files }))
    }

    /// Looks through the disk. No message is sent meanwhile.
    async fn scan(&mut self, opening: Opening) -> Result<Plan, Stop> {
        tokio::time::sleep(Duration::from_secs(self.phone.spec.knobs.scan_silence)).await;
        let phone = Arc::clone(&self.phone);
        let known = Known {
            old: opening.old,
            resume: opening.resume,
            journal: self.cache.all_journals()?,
            sealing: self.sealing.clone(),
        };
        let plan = apart(move || Ok::<_, DiskError>(Plan::make(phone.freeze()?, known)));
        plan.await?.map_err(|error| MbError::local(&error).into())
    }

    /// Makes sure of space on the host (docs/protocol.md, "Free-space negotiation").
    async fn space(&mut self, bytes: u64) -> Result<(), Stop> {
        self.step(Step::Space)?;
        let demand = |name: &str, key: &str| {
            let fault = self.phone.faults.fire(name)?;
            fault.number(key).and_then(|bytes| u64::try_from(bytes).ok())
        };
        let (demanded, missing) = (demand("space-demand", "bytes"), demand("purge", "bytes"));
        let mut need = demanded.unwrap_or(bytes).saturating_add(SPARE);
        let Some(mut free) = self.free_space().await? else { return Ok(()) };
        if let Some(missing) = missing {
            need = free.saturating_add(missing);
        }
        for purged in [false, true] {
            tracing::debug!(need, free, "free space");
            self.say(&format!("Free disk space on drive: {free}"));
            if free > need {
                return Ok(());
            }
            if purged || self.link.version < KNOWS_PURGE {
                break;
            }
            let amount = (need - free).saturating_add(PURGE_SURPLUS);
            self.say(&format!("Need extra space on host: {amount}. Requesting host to purge now"));
            let message = PhoneMessage::PurgeDiskSpace { amount, urgency: PURGE_URGENCY };
            if !self.link.ask(&message).await?.status.is_ok() {
                break;
            }
            let Some(now) = self.free_space().await? else { return Ok(()) };
            free = now;
        }
        let bytes = need.saturating_sub(SPARE);
        self.say(&format!(
            "Insufficient free disk space on drive to backup ({free} < {bytes} + {SPARE})"
        ));
        Err(MbError::no_space().into())
    }

    /// Returns the free bytes of the host; nothing when it cannot say, which is no reason to stop.
    async fn free_space(&mut self) -> Result<Option<u64>, Stop> {
        if self.link.version < KNOWS_FREE_SPACE {
            return Ok(None);
        }
        let answer = self.link.ask(&PhoneMessage::GetFreeDiskSpace).await?;
        Ok(if answer.status.is_ok() { answer.as_bytes() } else { None })
    }

    /// Renames the folder of an older format; gives back its new name.
    async fn set_aside(&mut self) -> Result<String, Stop> {
        let stamp = self.phone.now().strftime("%Y%m%d-%H%M%S").to_string();
        let aside = format!("{}-{stamp}", self.udid);
        let answer = self.move_items(vec![(self.udid.clone(), aside.clone())], 5.0).await?;
        if !answer.status.is_ok() {
            let underlying = Underlying::of_answer(&answer, Some(&self.udid));
            return Err(MbError::writing("Error renaming old backup", underlying).into());
        }
        Ok(aside)
    }

    async fn directories(&mut self) -> Result<(), Stop> {
        self.step(Step::Directories)?;
        let seed = self.phone.spec.knobs.directory_order;
        for (place, top) in (0_u64..).zip([self.udid.clone(), self.on_host("Snapshot")]) {
            self.create_directory(top.clone()).await?;
            let mut names: Vec<String> = (0..=255_u8).map(|name| format!("{name:02x}")).collect();
            if seed != 0 {
                names.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_mul(2).wrapping_add(place)));
            }
            for name in names {
                self.create_directory(format!("{top}/{name}")).await?;
            }
        }
        Ok(())
    }

    async fn create_directory(&mut self, path: String) -> Result<(), Stop> {
        let message = PhoneMessage::CreateDirectory {
            path: path.clone(),
            progress: Some(self.link.forward(5.0)),
        };
        let answer = self.link.ask(&message).await?;
        if answer.status.is_ok() || answer.status == Status::EXISTS {
            return Ok(());
        }
        let underlying = Underlying::of_answer(&answer, Some(&path));
        Err(MbError::writing("Error creating directory", underlying).into())
    }

    /// Writes `Status.plist` on the host.
    pub(super) async fn upload_status(
        &mut self,
        uuid: &str,
        backup_state: BackupState,
        snapshot_state: SnapshotState,
        full: bool,
    ) -> Result<(), Stop> {
        let bytes = StatusPlist {
            backup_state,
            date: manifest::moment(self.phone.now()),
            is_full_backup: full,
            snapshot_state,
            uuid: uuid.to_owned(),
            version: STATUS_VERSION.to_owned(),
        }
        .encode();
        self.cache.keep(status::NAME, &bytes)?;
        let progress = match snapshot_state {
            SnapshotState::Uploading => 10.0,
            SnapshotState::Moving => 92.0,
            SnapshotState::Removing => 96.0,
            SnapshotState::Finished => 98.0,
        };
        let (device, host) = (self.temporary_name(), self.on_host(status::NAME));
        self.upload_control(&device, &host, &mut bytes.as_slice(), progress, bytes.len() as u64)
            .await
    }

    pub(super) fn temporary_name(&mut self) -> String {
        self.temporary += 1;
        let suffix: String = uuid::Uuid::new_v4().simple().to_string().chars().take(6).collect();
        format!("/var/tmp/tmp.{}.{suffix}", self.temporary)
    }

    /// Makes both manifests and sends them to `Snapshot/`.
    async fn manifests(&mut self, plan: Plan, full: bool) -> Result<Plan, Stop> {
        let now = self.phone.now();
        let sealed = self.manifest_key()?;
        let bytes = manifest::property_list(
            &self.phone,
            &plan.frozen,
            manifest::moment(now),
            sealed.as_ref().map(|sealed| (sealed.secrets.bag.as_slice(), &sealed.wrapped)),
        );
        self.cache.keep("Manifest.plist", &bytes)?;
        let host = self.on_host("Snapshot/Manifest.plist");
        let device = self.temporary_name();
        self.upload_control(&device, &host, &mut bytes.as_slice(), 90.5, bytes.len() as u64)
            .await?;
        let seed = self.phone.spec.seed ^ now.as_microsecond().unsigned_abs();
        let method = Method::of(self.phone.spec.knobs.manifest, !full, seed);
        let (last, plain) =
            (self.cache.fetched("Manifest.db"), self.cache.running(&self.uuid).join("Manifest.db"));
        let target = if sealed.is_some() { plain.with_extension("sealed") } else { plain.clone() };
        let padded = self.phone.spec.encryption.manifest_padding;
        let more = self.phone.spec.knobs.more_folders;
        let made = apart({
            let target = target.clone();
            move || {
                manifest::database(&plan, method, &last, &plain, more)?;
                if let Some(sealed) = sealed {
                    manifest::seal(&sealed.key, padded, &plain, &target)?;
                }
                Ok::<_, ManifestError>(plan)
            }
        });
        let plan = made.await?.map_err(|error| MbError::local(&error))?;
        let mut file = fs_err::File::open(&target)?;
        let size = file.metadata()?.len();
        let device = if self.phone.ios() >= Ios::V17 {
            "backup_manifest.db".to_owned()
        } else {
            self.temporary_name()
        };
        let host = self.on_host("Snapshot/Manifest.db");
        let reader: &mut (dyn Read + Send) = &mut file;
        self.upload_control(&device, &host, reader, 91.0, size).await?;
        fs_err::rename(&target, self.cache.sent().join("Manifest.db"))?;
        Ok(plan)
    }

    async fn move_items(
        &mut self,
        items: Vec<(String, String)>,
        progress: f64,
    ) -> Result<StatusResponse, Stop> {
        let old_name = self.link.version < KNOWS_MOVE_ITEMS;
        let progress = Some(self.link.forward(progress));
        Ok(self.link.ask(&PhoneMessage::MoveItems { items, progress, old_name }).await?)
    }

    /// Moves payloads from `Snapshot/` into their place.
    pub(super) async fn move_payloads(&mut self, ids: &[FileId]) -> Result<(), Stop> {
        for batch in ids.chunks(BATCH) {
            let items = batch.iter().map(|id| {
                let path = id.path();
                (self.on_host(&format!("Snapshot/{path}")), self.on_host(&path))
            });
            let answer = self.move_items(items.collect(), 95.0).await?;
            self.check_batch(&answer, "moving")?;
        }
        Ok(())
    }

    fn check_batch(&self, answer: &StatusResponse, doing: &str) -> Result<(), Stop> {
        if answer.status.is_ok() {
            return Ok(());
        }
        let failed = failures(answer);
        let first = failed.0.iter().next();
        let underlying = match first {
            Some((path, fault)) => Underlying::of(fault.status, Some(&fault.text), Some(path)),
            None => Underlying::of_answer(answer, None),
        };
        tracing::info!(udid = self.udid, failed = failed.0.len(), "a batch failed");
        Err(MbError::writing(&format!("Error {doing} files"), underlying).into())
    }

    /// Moves a manifest into its place. A database that is not there is tolerated.
    pub(super) async fn move_manifest(&mut self, name: &str) -> Result<(), Stop> {
        let from = self.on_host(&format!("Snapshot/{name}"));
        let answer = self.move_items(vec![(from.clone(), self.on_host(name))], 95.5).await?;
        let status = match failures(&answer).0.get(&from) {
            Some(fault) => fault.status,
            None => answer.status,
        };
        if answer.status.is_ok() || (name == "Manifest.db" && status == Status::NOT_FOUND) {
            return Ok(());
        }
        let underlying = Underlying::of(status, answer.text.as_deref(), Some(&from));
        Err(MbError::writing("Error moving manifest", underlying).into())
    }

    async fn remove(&mut self, paths: Vec<String>, progress: f64) -> Result<StatusResponse, Stop> {
        let old_name = self.link.version < KNOWS_MOVE_ITEMS;
        let progress = Some(self.link.forward(progress));
        let answer =
            self.link.ask(&PhoneMessage::RemoveItems { paths, progress, old_name }).await?;
        // What is not there need not be removed.
        let gone = match answer.status {
            Status::NOT_FOUND => true,
            Status::MULTI => {
                failures(&answer).0.values().all(|fault| fault.status == Status::NOT_FOUND)
            }
            _ => false,
        };
        Ok(if gone { StatusResponse::ok() } else { answer })
    }

    /// Removes payloads whose files are gone.
    pub(super) async fn remove_payloads(&mut self, ids: &[FileId]) -> Result<(), Stop> {
        for batch in ids.chunks(BATCH) {
            let paths = batch.iter().map(|id| self.on_host(&id.path())).collect();
            let answer = self.remove(paths, 97.0).await?;
            self.check_batch(&answer, "removing")?;
        }
        Ok(())
    }

    /// Removes `Snapshot/`, and the index that very old backups have.
    pub(super) async fn remove_snapshot(&mut self) -> Result<(), Stop> {
        let answer = self.remove(vec![self.on_host("Snapshot")], 97.5).await?;
        if !answer.status.is_ok() {
            let underlying = Underlying::of_answer(&answer, None);
            return Err(MbError::writing("Error removing snapshot directory", underlying).into());
        }
        let answer = self.remove(vec![self.on_host("Manifest.mbdx")], 97.5).await?;
        self.check_batch(&answer, "removing")
    }

    /// Reads the backup back: the manifests can be read, and every payload they name is there.
    async fn verify(&mut self) -> Result<(), Stop> {
        if self.fetch_manifests(99.0).await?.1.is_closed() {
            return Err(MbError::new(code::CORRUPT, "Error reading manifest").into());
        }
        let (stored, _) = self.link.walk(&self.udid.clone(), 100.0).await?;
        let path = self.cache.fetched("Manifest.db");
        let missing = apart(move || missing(&path, &stored)).await?.map_err(|error| {
            let underlying =
                Underlying::unreadable(&error.to_string(), &self.on_host("Manifest.db"));
            MbError::reading("Error reading manifest", underlying)
        })?;
        if missing > 0 && !self.phone.faults.is_on("forgotten") {
            tracing::info!(missing, "payloads are missing on the host");
            return Err(
                MbError::new(code::CORRUPT, "Manifest references files not in backup").into()
            );
        }
        Ok(())
    }
}

/// Does long work on a thread of its own.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|error| MbError::local(&error).into())
}

/// Counts rows whose payload is not there.
fn missing(manifest: &Utf8Path, stored: &Stored) -> Result<u64, ManifestError> {
    let mut missing = 0;
    ManifestDb::open(manifest)?.for_each(|row| {
        if is_wanted(row.flags) && !stored.contains_key(&row.file_id) {
            missing += 1;
        }
    })?;
    Ok(missing)
}
