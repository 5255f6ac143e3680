//! The phone itself: one object that every part of the simulator shares.
//!
//! It holds who the phone is, its content, what it remembers, what its owner is asked, and tells
//! notifications. Nothing here speaks a protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_wire::lockdown::notification;
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::time::Instant;

use crate::cable::{Cable, Hub};
use crate::diary;
use crate::disk::{AfcSpace, Disk, DiskError, Frozen, Life};
use crate::fault::{FaultError, Faults};
use crate::identity::Identity;
use crate::keys::{DeviceKey, KeyError};
use crate::log::{self, Line, Log};
use crate::memory::{self, Consent, Kept, Memory, MemoryError, TrustedHost};
use crate::options::{Clock, History, Ios, OptionsError, Password, PhoneSpec};
use crate::services::Ports;
use crate::services::afc::Locks;
use crate::state::{Leftover, State, StateError};
use crate::traffic::Traffic;

/// Posted when the owner has answered the trust dialog: pairing may be tried again.
const REQUEST_PAIR: &str = "com.apple.mobile.lockdown.request_pair";

/// The key of the state that stands for the backup password: it can be taken away with all settings, and never be read.
const BACKUP_PASSWORD: &str = "backup-password";

const SECONDS_OF_A_DAY: i64 = 86_400;

/// How long a phone that was told to restart still answers.
const GOING_DOWN: Duration = Duration::from_millis(300);

/// One simulated phone.
pub struct Phone {
    /// The numbers that never change.
    pub identity: Identity,
    /// What it was described as.
    pub spec: PhoneSpec,
    /// Its own folder in the state folder; every part may keep files there.
    pub folder: Utf8PathBuf,
    /// Its content. Lock it only between awaits, and for long work only in `spawn_blocking`.
    pub disk: Mutex<Disk>,
    /// What went over the wire in the last job.
    pub traffic: Traffic,
    /// What it does wrong.
    pub faults: Faults,
    /// What its processes write.
    pub log: Log,
    /// The cable it hangs on.
    pub cable: Cable,
    /// Services that were started and wait for the host.
    pub(crate) ports: Ports,
    /// Files of the AFC service that are open or locked.
    pub(crate) afc: Locks,
    pub(crate) key: DeviceKey,
    clock: Clock,
    ask: bool,
    kept: Mutex<Kept>,
    asked_since: Mutex<BTreeMap<String, Instant>>,
    prompt: Mutex<Option<Prompt>>,
    notices: broadcast::Sender<String>,
    restart: Notify,
    /// How often the owner has tapped the X that cancels what a computer does.
    cancels: watch::Sender<u64>,
}

/// Why the phone asks for the passcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptReason {
    /// A host wants a backup.
    Backup,
    /// A host wants to change the backup password.
    ChangePassword,
}

/// What came of asking for the passcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasscodeAnswer {
    /// The owner entered it, or there is none.
    Entered,
    /// The owner sent the sheet away.
    Cancelled,
    /// Nobody answered in time.
    TimedOut,
}

/// A passcode sheet on the screen.
struct Prompt {
    reason: PromptReason,
    answer: oneshot::Sender<PasscodeAnswer>,
}

/// Takes the sheet off the screen, however the wait for it ended.
struct Sheet<'a>(&'a Phone);

impl Drop for Sheet<'_> {
    fn drop(&mut self) {
        drop(lock(&self.0.prompt).take());
        self.0.notify(notification::AUTHENTICATION_DISMISSED);
    }
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl Phone {
    /// Opens the phone that lives in `folder`, or makes it. It is not plugged in yet. Slow: it
    /// makes content and a key.
    pub fn open(
        spec: PhoneSpec,
        folder: &Utf8Path,
        hub: Arc<Hub>,
        clock: Clock,
        ask: bool,
    ) -> Result<Self, PhoneError> {
        spec.check()?;
        let identity = Identity::new(&spec)?;
        memory::private_folder(folder).map_err(MemoryError::from)?;
        let kept = Kept::open(&folder.join("memory.json"), || Memory::new(&spec, clock()))?;
        let faults = Faults::default();
        for fault in &spec.fault {
            faults.set(&fault.name, fault.texts())?;
        }
        let key = DeviceKey::open(&folder.join("device-key.der"))?;
        let disk = open_disk(&spec, &folder.join("disk"), clock())?;
        Ok(Self {
            identity,
            folder: folder.to_owned(),
            disk: Mutex::new(disk),
            traffic: Traffic::default(),
            faults,
            log: Log::default(),
            cable: Cable::new(hub),
            ports: Ports::default(),
            afc: Locks::default(),
            key,
            clock,
            ask,
            kept: Mutex::new(kept),
            asked_since: Mutex::default(),
            prompt: Mutex::new(None),
            notices: broadcast::Sender::new(256),
            restart: Notify::new(),
            cancels: watch::Sender::new(0),
            spec,
        })
    }

    /// Returns the iOS version.
    pub fn ios(&self) -> Ios {
        self.spec.ios
    }

    /// Returns the iOS version it tells.
    pub fn version(&self) -> String {
        self.state().version.unwrap_or_else(|| self.ios().version().to_owned())
    }

    /// Returns the build it tells.
    pub fn build(&self) -> String {
        if self.state().beta { self.ios().beta_build() } else { self.ios().build().to_owned() }
    }

    /// Returns what is set on it and measured by it.
    pub fn state(&self) -> State {
        lock(&self.kept).get().state.clone()
    }

    /// Sets one key of its state, as its owner, its management or the weather does.
    pub fn set_state(&self, key: &str, value: &str) -> Result<(), PhoneError> {
        if key == BACKUP_PASSWORD {
            return self.reset_all_settings(value);
        }
        let mut state = self.state();
        state.set(key, value)?;
        self.remember(|memory| memory.state = state)?;
        if key.starts_with("icloud") || key.starts_with("management") {
            self.notify(notification::BACKUP_DOMAIN_CHANGED);
        }
        if key.starts_with("storage") {
            self.notify(notification::DISK_USAGE_CHANGED);
        }
        Ok(())
    }

    /// Returns the backup password.
    pub fn backup_password(&self) -> Option<Password> {
        lock(&self.kept).get().backup_password.clone()
    }

    /// Whether backups are encrypted.
    pub fn encrypts(&self) -> bool {
        lock(&self.kept).get().backup_password.is_some()
    }

    /// Sets or removes the backup password: keychain first, then what lockdown tells.
    pub(crate) fn set_backup_password(&self, new: Option<Password>) -> Result<(), MemoryError> {
        let changed = self.remember(|memory| {
            let will = Some(new.is_some());
            let changed = memory.will_encrypt != will;
            (memory.backup_password, memory.will_encrypt) = (new, will);
            changed
        })?;
        if changed {
            self.notify(notification::BACKUP_DOMAIN_CHANGED);
        }
        Ok(())
    }

    /// Does what Reset All Settings does to the backup password: the one way without it. A password is set by a host alone.
    fn reset_all_settings(&self, value: &str) -> Result<(), PhoneError> {
        if !value.is_empty() {
            let (key, value) = (BACKUP_PASSWORD.to_owned(), "…".to_owned());
            return Err(StateError { key, value }.into());
        }
        Ok(self.set_backup_password(None)?)
    }

    /// Returns the room on the phone.
    pub fn space(&self) -> AfcSpace {
        let storage = self.state().storage;
        let content = self.disk().afc_space();
        let total = storage.capacity.unwrap_or(content.total);
        AfcSpace { total, free: storage.available.unwrap_or(content.free).min(total) }
    }

    /// Returns a consistent view of the content for one backup, with a diary that says what the state says.
    pub fn freeze(&self) -> Result<Frozen, DiskError> {
        let diary = diary::files(&self.memory());
        let mut disk = self.disk();
        for (name, settings) in diary {
            disk.keep_preference(name, &settings, self.host_now())?;
        }
        let mut frozen = disk.freeze()?;
        if self.spec.encryption.history == History::Encrypted {
            frozen.keep_history_for_encrypted();
        }
        Ok(frozen)
    }

    /// Returns nanoseconds since the phone was started, as its log counts them.
    pub fn uptime(&self) -> u64 {
        let memory = self.memory();
        let started = memory
            .started
            .unwrap_or(memory.born - i64::from(memory.state.uptime_days) * SECONDS_OF_A_DAY);
        let seconds = self.host_now().as_second().saturating_sub(started);
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000)
    }

    /// Lets a process write a line: `PROCESS: TEXT`, as [`Line::parse`] reads it.
    pub fn say(&self, text: &str) {
        self.log.write(Line::parse(text, self.now(), self.spec.log.private));
    }

    /// Returns what a listener hears at once.
    pub(crate) fn early_lines(&self) -> Vec<Line> {
        let (now, private) = (self.now(), self.spec.log.private);
        let mut lines: Vec<Line> =
            self.spec.log.lines.iter().map(|text| Line::parse(text, now, private)).collect();
        if self.faults.fire("log-control-characters").is_some() {
            lines.extend(log::hostile(now));
        }
        lines
    }

    /// Returns the identifier, as lockdownd tells it.
    pub fn udid(&self) -> &str {
        &self.identity.udid
    }

    /// Returns the time on the phone, which the fault `clock` shifts.
    pub fn now(&self) -> jiff::Timestamp {
        let now = (self.clock)();
        let offset = self.faults.get("clock").and_then(|fault| fault.number("offset"));
        offset
            .and_then(|seconds| now.checked_add(jiff::SignedDuration::from_secs(seconds)).ok())
            .unwrap_or(now)
    }

    /// Sets the clock, as a host may: what the fault `clock` had shifted is right again, or shifted by what the host says.
    pub fn set_clock(&self, seconds: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float beyond every date stays beyond every date"
        )]
        let offset = (seconds as i64).saturating_sub((self.clock)().as_second());
        let offset = BTreeMap::from([("offset".to_owned(), offset.to_string())]);
        // The name and the number are right: nothing else can be refused.
        drop(self.faults.set("clock", offset));
    }

    /// Returns the time of the host, whatever the phone's clock shows: content is made with it.
    pub fn host_now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    /// Returns the content. Never hold it across an await.
    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    /// Returns a copy of what the phone remembers.
    pub fn memory(&self) -> Memory {
        lock(&self.kept).get().clone()
    }

    /// Changes what the phone remembers.
    pub fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> Result<T, MemoryError> {
        lock(&self.kept).change(change)
    }

    /// Returns what its days bring.
    pub(crate) fn life(&self) -> Life {
        self.spec.knobs.life
    }

    /// Whether every backup has to ask for the passcode.
    pub fn asks_passcode_for_backup(&self) -> bool {
        let asks = self.spec.knobs.passcode_prompt;
        self.spec.knobs.passcode && asks.unwrap_or_else(|| self.ios().asks_passcode())
    }

    /// Whether the screen is locked with a passcode.
    pub fn is_locked(&self) -> bool {
        let fault = self.faults.is_on("locked") || self.faults.is_on("before-first-unlock");
        self.spec.knobs.passcode && (fault || lock(&self.kept).get().locked)
    }

    /// Whether the phone was restarted and not unlocked since.
    pub fn is_before_first_unlock(&self) -> bool {
        let memory = lock(&self.kept).get().before_first_unlock;
        self.spec.knobs.passcode && (memory || self.faults.is_on("before-first-unlock"))
    }

    /// Locks the screen.
    pub fn lock_screen(&self) -> Result<(), MemoryError> {
        self.remember(|memory| memory.locked = true)
    }

    /// Unlocks the screen, as the owner does with the passcode.
    pub fn unlock_screen(&self) -> Result<(), MemoryError> {
        self.remember(|memory| {
            memory.locked = false;
            memory.before_first_unlock = false;
        })
    }

    /// Asks the phone to restart; `Phone::restarts` does it.
    pub fn ask_restart(&self) {
        self.restart.notify_one();
    }

    /// Restarts the phone whenever it is asked to. It leaves the bus, comes back not yet unlocked, and has no leftovers of aborted
    /// backups any more; an owner who answers by himself then types the passcode.
    pub(crate) async fn restarts(&self) {
        loop {
            self.restart.notified().await;
            tokio::time::sleep(GOING_DOWN).await;
            self.pull_cable();
            let passcode = self.spec.knobs.passcode;
            let started = self.host_now().as_second();
            let remembered = self.remember(|memory| {
                memory.locked = passcode;
                memory.before_first_unlock = passcode;
                memory.started = Some(started);
                memory.state.leftover = Leftover::Nothing;
            });
            if let Err(error) = remembered {
                tracing::error!(%error, "a phone cannot remember its restart");
            }
            tokio::time::sleep(Duration::from_secs(self.spec.knobs.restart_seconds)).await;
            self.cable.plug();
            if self.ask || self.faults.is_on("passcode-ignored") {
                continue;
            }
            tokio::time::sleep(self.owner_delay()).await;
            if let Err(error) = self.unlock_screen() {
                tracing::error!(%error, "a phone cannot remember that it was unlocked");
            }
        }
    }

    /// Taps the X in the status area: what a computer does with the phone is to end.
    pub fn cancel_sync(&self) {
        self.cancels.send_modify(|count| *count += 1);
        self.notify(notification::SYNC_CANCEL_REQUEST);
    }

    /// Hears of every tap on the X from now on.
    pub(crate) fn cancels(&self) -> watch::Receiver<u64> {
        self.cancels.subscribe()
    }

    /// Pulls the cable out: every connection breaks, and services that were started are gone.
    pub fn pull_cable(&self) {
        self.cable.unplug();
        self.ports.close();
    }

    /// Posts a notification to every observer.
    pub fn notify(&self, name: &str) {
        tracing::debug!(name, "notification");
        drop(self.notices.send(name.to_owned()));
    }

    /// Hears of every notification from now on.
    pub fn notices(&self) -> broadcast::Receiver<String> {
        self.notices.subscribe()
    }

    /// Shows the passcode sheet and waits for the owner. Dropping the future takes it away again.
    pub async fn ask_passcode(&self, reason: PromptReason) -> PasscodeAnswer {
        if !self.spec.knobs.passcode {
            return PasscodeAnswer::Entered;
        }
        let (answer, answered) = oneshot::channel();
        drop(lock(&self.prompt).replace(Prompt { reason, answer }));
        let sheet = Sheet(self);
        self.notify(notification::AUTHENTICATION_PRESENTED);
        let refuses = self.faults.fire("passcode-cancelled").is_some();
        let owner = async {
            if self.ask || self.faults.is_on("passcode-ignored") {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.owner_delay()).await;
            if refuses { PasscodeAnswer::Cancelled } else { PasscodeAnswer::Entered }
        };
        let limit = Duration::from_secs(self.spec.knobs.passcode_timeout);
        let outcome = tokio::select! {
            biased;
            answer = answered => answer.unwrap_or(PasscodeAnswer::Cancelled),
            answer = owner => answer,
            () = tokio::time::sleep(limit) => PasscodeAnswer::TimedOut,
        };
        drop(sheet);
        tracing::debug!(?reason, ?outcome, "passcode sheet");
        outcome
    }

    /// What the passcode is being asked for at the moment, if it is.
    pub fn prompt(&self) -> Option<PromptReason> {
        lock(&self.prompt).as_ref().map(|prompt| prompt.reason)
    }

    /// Answers the passcode sheet, or the passcode that follows the trust dialog.
    pub fn answer_passcode(&self, entered: bool) -> Result<(), PhoneError> {
        let answer = if entered { PasscodeAnswer::Entered } else { PasscodeAnswer::Cancelled };
        if let Some(prompt) = lock(&self.prompt).take() {
            return prompt.answer.send(answer).map_err(|_| PhoneError::NoPrompt);
        }
        let consent = if entered { Consent::Trusted } else { Consent::Denied };
        if self.change_consents(Consent::PasscodeWanted, consent)? {
            self.notify(REQUEST_PAIR);
            return Ok(());
        }
        Err(PhoneError::NoPrompt)
    }

    /// Taps Trust (or Don't Trust) in the trust dialog; true when the passcode has to follow.
    pub fn answer_trust(&self, trust: bool) -> Result<bool, PhoneError> {
        let passcode = trust && self.spec.knobs.passcode;
        let consent = match (trust, passcode) {
            (false, _) => Consent::Denied,
            (true, true) => Consent::PasscodeWanted,
            (true, false) => Consent::Trusted,
        };
        if !self.change_consents(Consent::Asked, consent)? {
            return Err(PhoneError::NoTrustDialog);
        }
        if !passcode {
            self.notify(REQUEST_PAIR);
        }
        Ok(passcode)
    }

    fn change_consents(&self, from: Consent, to: Consent) -> Result<bool, MemoryError> {
        self.remember(|memory| {
            let mut changed = false;
            for consent in memory.consents.values_mut().filter(|consent| **consent == from) {
                *consent = to;
                changed = true;
            }
            changed
        })
    }

    /// Returns what the owner says to a computer, showing the trust dialog when it is new. The
    /// answer goes by `SystemBUID`: a tool may come back with a new `HostID`.
    pub(crate) fn consent(&self, system_buid: &str) -> Result<Consent, MemoryError> {
        if self.faults.fire("trust-denied").is_some() {
            return Ok(Consent::Denied);
        }
        let known = lock(&self.kept).get().consents.get(system_buid).copied();
        let consent = match known {
            Some(Consent::Denied) => {
                // Told once; the next try shows the dialog again.
                self.remember(|memory| memory.consents.remove(system_buid))?;
                return Ok(Consent::Denied);
            }
            Some(Consent::Asked) | None if self.owner_has_answered(system_buid) => Consent::Trusted,
            Some(consent) => consent,
            None => Consent::Asked,
        };
        self.remember(|memory| memory.consents.insert(system_buid.to_owned(), consent))?;
        Ok(consent)
    }

    /// Whether the owner, who answers by itself, has had the time to.
    fn owner_has_answered(&self, system_buid: &str) -> bool {
        let now = Instant::now();
        let mut asked = lock(&self.asked_since);
        let since = *asked.entry(system_buid.to_owned()).or_insert(now);
        let ignored = self.ask || self.faults.is_on("trust-ignored");
        let answered = !ignored && now.duration_since(since) >= self.owner_delay();
        if answered {
            asked.remove(system_buid);
        }
        answered
    }

    fn owner_delay(&self) -> Duration {
        Duration::from_millis(self.spec.knobs.owner_delay_ms)
    }

    /// Returns a computer the phone trusts.
    pub(crate) fn trusted_host(&self, host_id: &str) -> Option<TrustedHost> {
        if self.faults.is_on("invalid-host") {
            return None;
        }
        lock(&self.kept).get().hosts.get(host_id).cloned()
    }
}

/// Opens the content, or makes it: under another name first, so that half of it is never taken for
/// the whole.
fn open_disk(spec: &PhoneSpec, folder: &Utf8Path, now: jiff::Timestamp) -> Result<Disk, DiskError> {
    if !folder.exists() {
        let unfinished = folder.with_extension("unfinished");
        if unfinished.exists() {
            fs_err::remove_dir_all(&unfinished)?;
        }
        let ios = spec.ios.version();
        let mut disk = Disk::create(&unfinished, spec.profile, spec.seed, ios, now)?;
        if spec.days > 0 {
            disk.live_so(spec.knobs.life, spec.days, now)?;
        }
        drop(disk);
        fs_err::rename(&unfinished, folder)?;
    }
    Disk::open(folder)
}

/// Locks state that is consistent after every change, so that a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A phone cannot be had, or cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// Its description cannot be followed.
    #[error("the phone cannot be as described")]
    Options(#[from] OptionsError),
    /// What it remembers cannot be kept.
    #[error("the phone cannot remember")]
    Memory(#[from] MemoryError),
    /// It has no such state.
    #[error("the phone cannot be in that state")]
    State(#[from] StateError),
    /// It cannot do that wrong.
    #[error("the phone cannot do that wrong")]
    Fault(#[from] FaultError),
    /// Its key cannot be had.
    #[error("the phone has no key")]
    Key(#[from] KeyError),
    /// Its content cannot be made or opened.
    #[error("the content of the phone is not there")]
    Disk(#[from] DiskError),
    /// The passcode is not being asked for.
    #[error("the phone does not ask for its passcode")]
    NoPrompt,
    /// The trust dialog is not on the screen.
    #[error("the phone does not show the trust dialog")]
    NoTrustDialog,
}
