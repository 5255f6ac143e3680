//! What befalls a good phone in a backup: what its state forbids, and faults of the moment (docs/protocol.md 7.7, 9).

use std::sync::Arc;
use std::time::Duration;

use lifeboat_mobilesync::FileId;
use lifeboat_wire::files;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::BackupdError;
use super::errors;
use super::fail::{MbError, Stop, Underlying, code};
use super::plan::Plan;
use super::run::{BATCH, Run};
use super::upload::path_of;
use crate::fault::Fault;
use crate::log::AGENT;
use crate::phone::Phone;
use crate::state::{Forbids, Leftover};

/// Room that the phone needs for its own temporary copies.
const ROOM: u64 = 128 << 20;

/// Files that may be skipped in a scan.
const MAY_BE_SKIPPED: i64 = 10;

/// The file that a real phone announces and can never read: no row of the manifest names it.
const HARMLESS: (&str, &str) =
    ("HomeDomain", "Library/Application Support/FileProvider/backup/backup_manifest.db");

/// How often what has changed meanwhile is sent.
const ATTEMPTS: usize = 2;

/// What has befallen the phone in this backup.
pub(super) struct Mishaps {
    cancels: watch::Receiver<u64>,
    locked: bool,
    /// Whether the file that can never be read was announced.
    harmless_told: bool,
    /// Files that changed while they were sent, by their place in the plan.
    pub(super) modified: Vec<usize>,
    /// What lies under the error of the upload.
    pub(super) underlying: Option<Underlying>,
}

impl Mishaps {
    pub(super) fn new(phone: &Arc<Phone>) -> Self {
        let cancels = phone.cancels();
        Self {
            cancels,
            locked: false,
            harmless_told: false,
            modified: Vec::new(),
            underlying: None,
        }
    }

    /// Whether the owner has tapped the X since the job began.
    pub(super) fn cancelled(&self) -> bool {
        self.cancels.has_changed().unwrap_or(false)
    }

    /// Whether a file cannot be read because the screen is locked.
    pub(super) fn locked(&mut self, path: &str) -> bool {
        if self.locked {
            self.underlying.get_or_insert(Underlying {
                code: code::DRIVE,
                text: "Input/output error (5)".to_owned(),
                path: Some(path.to_owned()),
            });
        }
        self.locked
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Writes a line into the log.
    pub(super) fn say(&self, text: &str) {
        self.phone.say(&format!("{AGENT}: {text}"));
    }

    /// What forbids every backup, in the order in which a phone looks.
    pub(super) fn preconditions(&self) -> Result<(), Stop> {
        let state = self.phone.state();
        let refuse = |code, reason| Err(errors::worded(code, reason, &self.udid).into());
        match state.management.forbids {
            Some(Forbids::Behaviour) => return refuse(555, ""),
            Some(why) => return refuse(22, why.reason()),
            None => {}
        }
        if !state.setup_finished {
            return refuse(212, "");
        }
        if state.restoring {
            self.say("iTunes Backup is unavailable while an iCloud Restore is in progress");
            return refuse(25, "");
        }
        if state.management.encrypted_backup && self.password.is_none() {
            return refuse(207, "management");
        }
        Ok(())
    }

    /// What keeps the phone from looking through its files.
    pub(super) fn readiness(&self) -> Result<(), Stop> {
        let refuse = |code, reason| Err(errors::worded(code, reason, &self.udid).into());
        match self.phone.state().leftover {
            Leftover::Nothing => {}
            Leftover::Snapshot => return refuse(3, ""),
            Leftover::Mounts => return refuse(14, ""),
            Leftover::Busy => return refuse(15, ""),
        }
        if self.phone.space().free < ROOM {
            return refuse(106, "");
        }
        let skipped = self.phone.faults.fire("skipped-files");
        if let Some(count) = skipped.and_then(|fault| fault.number("count")) {
            self.say(&format!("Skipped {count} files during the file scan"));
            if count > MAY_BE_SKIPPED {
                let text =
                    format!("Too many skipped files during scanning ({count} > {MAY_BE_SKIPPED})");
                return Err(MbError::new(code::DRIVE, &text).into());
            }
        }
        Ok(())
    }

    /// What happens before a file is sent.
    pub(super) async fn before_file(&mut self, path: &str) -> Result<(), Stop> {
        let phone = Arc::clone(&self.phone);
        let sent = i64::try_from(phone.traffic.job().files_sent).unwrap_or(i64::MAX);
        let due = |fault: &Fault| sent >= fault.number("after").unwrap_or(0);
        if phone.faults.fire_if("cancel", due).is_some() {
            phone.cancel_sync();
        }
        if let Some(fault) = phone.faults.fire_if("pause", due) {
            // The fault would come again with the next file.
            phone.faults.remove("pause");
            phone.say("dasd: Thermal pressure level 30: activities are paused");
            self.link.flush().await?;
            let seconds = fault.number("seconds").and_then(|seconds| u64::try_from(seconds).ok());
            tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(5))).await;
        }
        if phone.faults.fire_if("locked-during-run", due).is_some() {
            phone.lock_screen().map_err(|error| MbError::local(&error))?;
            self.mishaps.locked = true;
        }
        if phone.faults.fire_if("crash", |fault| fault.concerns("file", path)).is_some() {
            phone.say(&format!(
                "{AGENT}/fault: *** Terminating app due to uncaught exception 'NSInternalInconsistencyException', \
                 reason: 'No operation found for path: {path}'"
            ));
            self.link.flush().await?;
            return Err(BackupdError::Dropped.into());
        }
        Ok(())
    }

    /// Sends again what has changed while it was sent; gives back how many files cannot be had.
    pub(super) async fn send_modified(&mut self, plan: &mut Plan) -> Result<u64, Stop> {
        let mut failed = 0;
        for attempt in 1..=ATTEMPTS {
            let modified = std::mem::take(&mut self.mishaps.modified);
            let Some(first) = modified.first() else { break };
            let path = path_of(plan, *first);
            for at in &modified {
                let path = path_of(plan, *at);
                self.say(&format!("File modified while being uploaded (<private:{path}>)"));
            }
            if attempt == ATTEMPTS {
                self.say(&format!("Failed to upload after {attempt} batches"));
                self.mishaps.underlying = Some(Underlying {
                    code: 9,
                    text: "File modified while being uploaded".to_owned(),
                    path: Some(path),
                });
                return Ok(failed + modified.len() as u64);
            }
            for batch in modified.chunks(BATCH) {
                failed += self.upload_batch(plan, batch, 90.0, 0).await?;
            }
        }
        Ok(failed)
    }

    /// Announces the file that can never be read, once; gives back its path on the host.
    pub(super) async fn send_harmless(&mut self) -> Result<Option<String>, Stop> {
        let told = std::mem::replace(&mut self.mishaps.harmless_told, true);
        if told || self.phone.faults.fire("harmless-io-error").is_none() {
            return Ok(None);
        }
        let (domain, path) = HARMLESS;
        let target = format!("{}/Snapshot/{}", self.udid, FileId::of(domain, path).path());
        let mut head = Vec::with_capacity(256);
        files::encode_upload(&format!("/.ba/mobile/{path}"), &target, &mut head);
        self.link.write(&head).await?;
        self.broken_end().await?;
        Ok(Some(target))
    }
}
