use std::{sync::Arc, time::Duration};

use lifeboat_wire::{
    devicelink::{HostMessage, PhoneMessage, Status, StatusResponse, VersionAnswer},
    files::{self, Decoder},
    lockdown::service,
    plist_frame,
};
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    BackupError, BackupReply, BackupRequest, CancelledBy, DeviceError, HostFailure, HostFiles,
    Observer, PasswordChange, ProtocolError, Roots, TransferEvent, TransferStage,
    side::{Side, SideEvent},
    transport::Transport,
    worker::{Work, Worker},
};
use crate::{error::LinkError, link::Link, sync::SyncLock};

/// The newest version of DeviceLink we speak, and the oldest.
pub(super) const DEVICELINK: i64 = 400;
pub(super) const OLDEST_DEVICELINK: i64 = 300;
/// Versions of MobileBackup2 we speak.
pub(super) const MOBILEBACKUP2: [f64; 2] = [2.0, 2.1];

/// What the phone is told of whatever is outstanding when the job ends.
const CANCELLED: &str = "Cancelled by host";

/// How much of the name of an unknown message is kept, in characters.
const NAME: usize = 100;

/// How long a device may take to take the sync lock back: one that is gone never does.
const RELEASE: Duration = Duration::from_secs(5);

/// Backs a device up into `files`.
///
/// Takes the sync lock, starts the service, asks for a backup and serves the phone until it answers. It comes back when the phone
/// has ended the job, when the link is lost, or shortly after `cancel`: in every case the session is ended in order,
/// a file that is not complete is dropped, and what arrived before is left as it is. Where an operation of `files` hangs, it is
/// left behind: it may still end later.
pub async fn backup(
    link: &Link,
    request: BackupRequest,
    files: Box<dyn HostFiles>,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<BackupReply, BackupError> {
    ask(link, Request::Backup(request), files, observer, cancel).await
}

/// Sets, changes or removes the backup password of a device (`docs/protocol.md` 8.3).
///
/// The device asks for its passcode, and then works on `files` as in a backup: where they hold an encrypted backup it reads
/// `Manifest.plist`, and sends it again with its keybag wrapped anew. What an error means for the password that the device has
/// is what [`is_unchanged`](super::PasswordChange::is_unchanged) says.
pub async fn change_password(
    link: &Link,
    change: PasswordChange,
    files: Box<dyn HostFiles>,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<BackupReply, BackupError> {
    ask(link, Request::Password(change), files, observer, cancel).await
}

/// Makes one request and serves the phone until it has answered.
async fn ask(
    link: &Link,
    request: Request,
    files: Box<dyn HostFiles>,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<BackupReply, BackupError> {
    observer.tell(TransferEvent::Stage(TransferStage::Starting));
    let (lock, notices) = tokio::select! {
        taken = SyncLock::take(link) => taken?,
        () = cancel.cancelled() => return Err(BackupError::Cancelled(CancelledBy::Host)),
    };
    let outcome = async {
        let stream = tokio::select! {
            started = link.start_service(service::MOBILEBACKUP2) => started?,
            () = cancel.cancelled() => return Err(BackupError::Cancelled(CancelledBy::Host)),
        };
        let (mux, device) = (link.mux().clone(), link.device().clone());
        let side = Side {
            cancel: cancel.clone(),
            notices: Some(notices),
            gone: Some(Box::pin(async move { mux.gone(&device).await })),
            refused: false,
        };
        let job = Job { udid: link.device().udid.clone(), request, patience: Patience::default() };
        run(stream, &job, files, observer, side).await
    }
    .await;
    if tokio::time::timeout(RELEASE, lock.release()).await.is_err() {
        tracing::debug!("the device did not take the sync lock back in time");
    }
    outcome
}

/// What is asked of the phone. Everything else of a session is the same for every request.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Back up.
    Backup(BackupRequest),
    /// Set, change or remove the backup password.
    Password(PasswordChange),
}

impl Request {
    fn to_dictionary(&self, udid: &str) -> Dictionary {
        let mut keys = Dictionary::new();
        match self {
            Self::Backup(request) => {
                keys.insert("MessageName".into(), "Backup".into());
                keys.insert("TargetIdentifier".into(), udid.into());
                keys.insert("SourceIdentifier".into(), udid.into());
                if request.force_full {
                    let options = Dictionary::from_iter([("ForceFullBackup", true)]);
                    keys.insert("Options".into(), Value::Dictionary(options));
                }
            }
            Self::Password(change) => {
                keys.insert("MessageName".into(), "ChangePassword".into());
                keys.insert("TargetIdentifier".into(), udid.into());
                change.put(&mut keys);
            }
        }
        keys
    }
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For each message until the request is sent.
    pub(super) opening: Duration,
    /// For the phone's next sign of life: it may look at its data for an hour. A lost link is noticed otherwise.
    pub(super) idle: Duration,
    /// Until the phone has taken what is sent to it, at most a block of a file: it asked for it and reads.
    pub(super) writing: Duration,
    /// For one operation on our own files: a disk that is slow may need minutes to make a batch durable, one that is gone
    /// never answers.
    pub(super) files: Duration,
    /// For an orderly end.
    pub(super) parting: Duration,
    /// For the last operation on our own files when the session has ended.
    pub(super) leaving: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            opening: Duration::from_mins(1),
            idle: Duration::from_hours(6),
            writing: Duration::from_mins(2),
            files: Duration::from_mins(15),
            parting: Duration::from_secs(3),
            leaving: Duration::from_secs(10),
        }
    }
}

/// One request to one phone.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) udid: String,
    pub(super) request: Request,
    pub(super) patience: Patience,
}

/// Runs one job over a stream to the service.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    job: &Job,
    files: Box<dyn HostFiles>,
    observer: Arc<dyn Observer>,
    side: Side,
) -> Result<BackupReply, BackupError> {
    let mut session = Session {
        transport: Transport::new(stream),
        side,
        worker: Worker::start(files, Arc::clone(&observer)),
        observer,
        roots: Roots::new(job.udid.as_str()),
        patience: job.patience,
        limit: job.patience.opening,
        gone: false,
        stage: TransferStage::Starting,
        reply: BackupReply::default(),
        failure: None,
        uploading: None,
        sending: false,
        in_file: false,
        owed: false,
        declined: None,
        answered: false,
        prompted: false,
    };
    let outcome = session.drive(job).await;
    session.part(outcome.as_ref().err()).await;
    let Session { worker, reply, failure, declined, gone, .. } = session;
    worker.end(job.patience.leaving).await;
    match (outcome, failure) {
        (Ok(()), _) => Ok(reply),
        (Err(BackupError::Device(error)), Some(failure)) => {
            Err(BackupError::Host { failure, device: Some(Box::new(error)) })
        }
        (Err(error), None) if !gone => Err(blamed(error, declined)),
        (Err(error), _) => Err(error),
    }
}

/// Names the unknown message behind which the phone went no further, where that was its last one.
fn blamed(error: BackupError, declined: Option<String>) -> BackupError {
    let ended = matches!(
        error,
        BackupError::Device(_)
            | BackupError::NoAnswer { .. }
            | BackupError::Link(LinkError::Lost(_) | LinkError::Timeout { .. })
    );
    match declined {
        Some(name) if ended => BackupError::UnknownMessage { name, then: Box::new(error) },
        _ => error,
    }
}

/// Whether the phone ended the request because it was not unlocked.
fn is_locked(error: &BackupError) -> bool {
    matches!(error, BackupError::Device(error) if error.code == DeviceError::LOCKED)
}

/// A conversation with one phone.
pub(super) struct Session<S> {
    pub(super) transport: Transport<S>,
    side: Side,
    pub(super) worker: Worker,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) roots: Roots,
    pub(super) patience: Patience,
    /// The limit for the next wait for the phone.
    limit: Duration,
    /// The mux says that the device is gone.
    gone: bool,
    pub(super) stage: TransferStage,
    pub(super) reply: BackupReply,
    /// The failure of our own files that says most.
    failure: Option<HostFailure>,
    /// Stands inside a batch that the phone sends.
    pub(super) uploading: Option<Decoder>,
    /// We stand inside a batch that we send.
    pub(super) sending: bool,
    /// We stand inside a file of that batch.
    pub(super) in_file: bool,
    /// The phone waits for an answer.
    owed: bool,
    /// The name of the phone's last message, where it is not known and was declined.
    declined: Option<String>,
    /// The phone has answered the request, or ended the session.
    answered: bool,
    /// The phone has asked for its passcode.
    prompted: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn drive(&mut self, job: &Job) -> Result<(), BackupError> {
        self.shake_hands().await?;
        self.say_hello().await?;
        let request = job.request.to_dictionary(&job.udid);
        self.send(&HostMessage::ProcessMessage(request)).await?;
        self.limit = self.patience.idle;
        self.enter(TransferStage::Preparing);
        loop {
            let message = self.message().await?;
            if let PhoneMessage::ProcessMessage(response) = message {
                self.answered = true;
                let outcome = outcome(&response);
                if outcome.as_ref().is_err_and(is_locked) {
                    self.hear_of_prompt().await;
                }
                self.enter(TransferStage::Closing);
                return outcome;
            }
            self.owed = true;
            self.declined = None;
            if let Some(answer) = self.serve(message).await? {
                self.send(&HostMessage::Status(answer)).await?;
            }
            self.owed = false;
        }
    }

    /// Waits a moment for word of the passcode sheet. It comes on another connection than the answer, and of a sheet that somebody
    /// dismisses at once it may come after it.
    async fn hear_of_prompt(&mut self) {
        let limit = self.patience.parting;
        let told = async {
            while !self.prompted && self.side.hears() {
                let event = self.side.event().await;
                if self.note(event).is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(limit, told).await.is_err() {
            tracing::debug!("the device told of no passcode sheet");
        }
    }

    async fn shake_hands(&mut self) -> Result<(), BackupError> {
        let major = match self.message().await? {
            PhoneMessage::VersionExchange { major, .. } => major,
            other => return Err(unexpected(&other)),
        };
        if major < OLDEST_DEVICELINK {
            return Err(BackupError::NoCommonVersion {
                protocol: "DeviceLink",
                offered: major.to_string(),
            });
        }
        self.reply.devicelink = major.min(DEVICELINK);
        self.send(&HostMessage::VersionExchange {
            answer: VersionAnswer::Ok,
            version: Some(DEVICELINK),
        })
        .await?;
        match self.message().await? {
            PhoneMessage::DeviceReady => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn say_hello(&mut self) -> Result<(), BackupError> {
        let versions = MOBILEBACKUP2.map(Value::Real).to_vec();
        let hello = Dictionary::from_iter([
            ("MessageName", Value::from("Hello")),
            ("SupportedProtocolVersions", Value::Array(versions)),
        ]);
        self.send(&HostMessage::ProcessMessage(hello)).await?;
        let response = match self.message().await? {
            PhoneMessage::ProcessMessage(response) => response,
            other => return Err(unexpected(&other)),
        };
        match outcome(&response) {
            // Here the number 1 says that no version is common.
            Err(BackupError::Device(error)) if error.code == 1 => {
                Err(BackupError::NoCommonVersion { protocol: "MobileBackup2", offered: error.text })
            }
            result => result,
        }
    }

    /// Reads the next message of the phone.
    async fn message(&mut self) -> Result<PhoneMessage, BackupError> {
        loop {
            // Whatever it was that cannot be read: the phone waits for an answer.
            let next = self.transport.message().inspect_err(|_| self.owed = true)?;
            if let Some(message) = next {
                self.reply.messages += 1;
                if let PhoneMessage::Disconnect { reason } = message {
                    self.answered = true;
                    return Err(BackupError::NoAnswer { reason });
                }
                tracing::trace!(message = message.name(), "from the device");
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// Waits for more bytes, or for whatever ends the job.
    pub(super) async fn fill(&mut self) -> Result<(), BackupError> {
        loop {
            let limit = if self.gone { self.patience.parting } else { self.limit };
            let event = tokio::select! {
                // First, or a fast stream would not let itself be interrupted.
                biased;
                event = self.side.event() => event,
                filled = self.transport.fill(limit) => return self.unless_gone(filled),
            };
            self.note(event)?;
        }
    }

    /// Sends bytes, unless the job has ended. Where it ends meanwhile, what was begun still goes out if the phone takes it
    /// soon: only behind it can the phone be told how the job ends.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        if let Some(by) = self.side.cancelled() {
            return Err(BackupError::Cancelled(by));
        }
        let Patience { writing, parting, .. } = self.patience;
        let mut events = Vec::new();
        let written = {
            let mut write = std::pin::pin!(self.transport.write(bytes, writing));
            loop {
                tokio::select! {
                    biased;
                    written = &mut write => break written,
                    event = self.side.event() => match event {
                        SideEvent::Passcode { .. } => events.push(event),
                        SideEvent::Gone => {
                            events.push(event);
                            break Err(LinkError::DeviceNotFound.into());
                        }
                        SideEvent::Stop(stop) => {
                            let written = tokio::time::timeout(parting, &mut write).await;
                            break written.unwrap_or(Err(stop));
                        }
                    }
                }
            }
        };
        for event in events {
            self.note(event)?;
        }
        self.unless_gone(written)
    }

    /// Makes one call on the thread of our own files.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut dyn HostFiles) -> T + Send + 'static,
    ) -> Result<T, BackupError> {
        let called = self.worker.call(call);
        self.wait(called).await
    }

    /// Waits for the thread of our own files, or for whatever ends the job.
    pub(super) async fn wait<T>(&mut self, work: impl Work<T>) -> Result<T, BackupError> {
        let limit = self.patience.files;
        let mut work = std::pin::pin!(tokio::time::timeout(limit, work));
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    return done.unwrap_or_else(|_| Err(BackupError::Host {
                        failure: HostFailure::hangs(limit),
                        device: None,
                    }));
                }
                event = self.side.event() => self.note(event)?,
            }
        }
    }

    async fn send(&mut self, message: &HostMessage) -> Result<(), BackupError> {
        self.write(&plist_frame::encode(&message.encode())).await
    }

    fn note(&mut self, event: SideEvent) -> Result<(), BackupError> {
        match event {
            SideEvent::Passcode { shown: true } => {
                self.prompted = true;
                self.enter(TransferStage::WaitingForPasscode);
            }
            SideEvent::Passcode { shown: false } => {
                if self.stage == TransferStage::WaitingForPasscode {
                    self.enter(TransferStage::Preparing);
                }
            }
            SideEvent::Gone => self.gone = true,
            SideEvent::Stop(error) => return Err(error),
        }
        Ok(())
    }

    /// Says in place of whatever else failed that the device is gone.
    fn unless_gone(&self, result: Result<(), BackupError>) -> Result<(), BackupError> {
        match result {
            Err(BackupError::Link(_)) if self.gone => {
                let detached = std::io::Error::new(
                    std::io::ErrorKind::NotConnected,
                    "the device was detached",
                );
                Err(LinkError::Lost(detached).into())
            }
            result => result,
        }
    }

    /// Enters a stage and tells of it once.
    pub(super) fn enter(&mut self, stage: TransferStage) {
        if self.stage != stage {
            self.stage = stage;
            self.observer.tell(TransferEvent::Stage(stage));
        }
    }

    /// Notes a message that is not known and is declined.
    pub(super) fn decline(&mut self, name: &str) {
        let name: String = name.chars().take(NAME).collect();
        self.observer.tell(TransferEvent::UnknownMessage { name: &name });
        self.declined = Some(name);
    }

    /// Keeps the failure that says most: the first, or the first that says that the disk is full.
    pub(super) fn note_failure(&mut self, failure: HostFailure) {
        match &self.failure {
            Some(first) if first.is_full() || !failure.is_full() => {}
            _ => self.failure = Some(failure),
        }
    }

    /// Ends the session as politely as its state allows, in bounded time.
    async fn part(&mut self, error: Option<&BackupError>) {
        let readable = match error {
            // The link stands: only our patience came to an end.
            Some(BackupError::Link(LinkError::Timeout { .. })) => true,
            Some(BackupError::Link(_)) => return,
            Some(BackupError::Protocol(error)) => error.in_step(),
            _ => true,
        };
        let limit = self.patience.parting;
        if readable {
            let refused = tokio::time::timeout(limit, self.refuse()).await;
            if !matches!(refused, Ok(Ok(()))) {
                tracing::debug!("the device did not come to an end in time");
            }
        }
        let farewell = tokio::time::timeout(limit, self.say_goodbye()).await;
        if !matches!(farewell, Ok(Ok(()))) {
            tracing::debug!("the device closed the session first");
        }
    }

    /// Answers whatever is outstanding with an error until the phone ends the job.
    async fn refuse(&mut self) -> Result<(), BackupError> {
        let limit = self.patience.parting;
        // Before the request nothing is outstanding.
        let asked = self.stage != TransferStage::Starting;
        while asked && !self.answered && !self.transport.is_cut() {
            self.drain().await?;
            if self.owed {
                self.end_batch().await?;
                let no = StatusResponse::error(Status::GENERIC, CANCELLED);
                self.transport.send(&HostMessage::Status(no), limit).await?;
                self.owed = false;
            }
            match self.transport.message()? {
                Some(PhoneMessage::ProcessMessage(_) | PhoneMessage::Disconnect { .. }) => {
                    self.answered = true;
                }
                Some(PhoneMessage::Ping) => {}
                Some(message) => {
                    self.owed = true;
                    self.sending = matches!(message, PhoneMessage::DownloadFiles { .. });
                    if matches!(message, PhoneMessage::UploadFiles { .. }) {
                        self.uploading = Some(Decoder::upload());
                    }
                }
                None => self.transport.fill(limit).await?,
            }
        }
        Ok(())
    }

    /// Ends the file that we are sending with an error, and its batch.
    async fn end_batch(&mut self) -> Result<(), BackupError> {
        let limit = self.patience.parting;
        if self.in_file {
            let mut end = Vec::new();
            files::encode_end(files::GENERIC_FAILURE, CANCELLED, &mut end);
            self.transport.write(&end, limit).await?;
            self.in_file = false;
        }
        if self.sending {
            self.transport.write(&files::TERMINATOR, limit).await?;
            self.sending = false;
        }
        Ok(())
    }

    /// Says goodbye, hears the phone's, closes. Inside a message or a batch of ours it would be taken for a part of that: there
    /// only the stream is closed.
    async fn say_goodbye(&mut self) -> Result<(), BackupError> {
        if self.transport.is_cut() || self.sending {
            return self.transport.shutdown().await;
        }
        let limit = self.patience.parting;
        let goodbye = HostMessage::Disconnect { reason: None };
        self.transport.send(&goodbye, limit).await?;
        while self.answered {
            match self.transport.message()? {
                Some(PhoneMessage::Disconnect { .. }) => break,
                Some(_) => {}
                None => self.transport.fill(limit).await?,
            }
        }
        self.transport.shutdown().await
    }
}

fn unexpected(message: &PhoneMessage) -> BackupError {
    let name = message.name().chars().take(200).collect();
    ProtocolError::Unexpected(name).into()
}

/// Reads the answer to a request: its number may come as a real one (`docs/protocol.md` 5.5).
pub(super) fn outcome(response: &Dictionary) -> Result<(), BackupError> {
    let whole = |code: &&Value| code.as_real().is_none_or(|real| real.fract() == 0.0);
    let code = response
        .get("ErrorCode")
        .filter(whole)
        .and_then(Status::from_value)
        .ok_or(ProtocolError::NoErrorCode)?
        .0;
    if code == 0 {
        return Ok(());
    }
    let description = response.get("ErrorDescription").and_then(Value::as_string);
    Err(BackupError::Device(DeviceError::parse(code, description)))
}
