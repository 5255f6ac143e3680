use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use lifeboat_wire::{
    devicelink::{FileErrors, Status},
    files,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    BackupError, FileError, FileProblem, HostFailure, HostFiles, HostPath, Observer, ProblemSource,
    TransferEvent,
};

/// How many messages may wait for the thread. With what one message holds at most, a few MiB of content.
const WAITING: usize = 24;

/// What happens to the file being received.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It begins.
    Begin { path: HostPath, device_path: String },
    /// Some of its content.
    Data(Bytes),
    /// It ends, with the phone's code and text.
    End { code: u8, text: String },
}

/// What became of one batch of files.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) problems: Vec<FileProblem>,
    /// Our own failures, by path on the host.
    pub(super) errors: FileErrors,
    pub(super) failure: Option<HostFailure>,
    /// Whether a control file arrived, so that the batch must be durable before it is answered.
    control: bool,
}

type Call = Box<dyn FnOnce(&mut dyn HostFiles) + Send>;

enum Command {
    Receive(Vec<Incoming>),
    EndOfBatch(oneshot::Sender<Batch>),
    Call(Call),
}

/// The thread on which [`HostFiles`] works, in the order of the commands.
pub(super) struct Worker {
    commands: mpsc::Sender<Command>,
    threads: JoinSet<()>,
}

impl Worker {
    pub(super) fn start(files: Box<dyn HostFiles>, observer: Arc<dyn Observer>) -> Self {
        let (commands, received) = mpsc::channel(WAITING);
        let mut threads = JoinSet::new();
        threads.spawn_blocking(move || work(files, &*observer, received));
        Self { commands, threads }
    }

    /// Hands over what arrived of a batch. Waits while the thread is behind.
    pub(super) fn receive(&self, incoming: Vec<Incoming>) -> impl Work<()> {
        self.send(Command::Receive(incoming))
    }

    /// Ends a batch: everything handed over is written, control files are durable.
    pub(super) fn end_of_batch(&self) -> impl Work<Batch> {
        let (answer, batch) = oneshot::channel();
        let sent = self.send(Command::EndOfBatch(answer));
        async move {
            sent.await?;
            batch.await.map_err(|_| BackupError::WorkerEnded)
        }
    }

    /// Makes one call on the thread.
    pub(super) fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn HostFiles) -> T + Send + 'static,
    ) -> impl Work<T> {
        let (answer, result) = oneshot::channel();
        let call = move |files: &mut dyn HostFiles| {
            // Nobody waits any more when the session was dropped.
            drop(answer.send(call(files)));
        };
        let sent = self.send(Command::Call(Box::new(call)));
        async move {
            sent.await?;
            result.await.map_err(|_| BackupError::WorkerEnded)
        }
    }

    /// Ends the thread, after it has dropped a file that is not complete. One that does not come to an end in time is left
    /// behind: no program can end a thread that waits for a disk.
    pub(super) async fn end(self, limit: Duration) {
        let Self { commands, mut threads } = self;
        drop(commands);
        let all = async { while threads.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(
                seconds = limit.as_secs(),
                "a file operation does not come to an end and is left behind"
            );
        }
    }

    fn send(&self, command: Command) -> impl Work<()> {
        let commands = self.commands.clone();
        async move { commands.send(command).await.map_err(|_| BackupError::WorkerEnded) }
    }
}

/// What the thread was asked for, on its way. Dropping it gives the wait up, not the work.
pub(super) trait Work<T>: Future<Output = Result<T, BackupError>> + 'static {}

impl<T, F: Future<Output = Result<T, BackupError>> + 'static> Work<T> for F {}

fn work(
    mut files: Box<dyn HostFiles>,
    observer: &dyn Observer,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut receiver = Receiver { observer, file: None, batch: Batch::default() };
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Receive(incoming) => {
                for incoming in incoming {
                    receiver.take(&mut *files, incoming);
                }
            }
            Command::EndOfBatch(answer) => {
                drop(answer.send(receiver.end(&mut *files)));
            }
            Command::Call(call) => call(&mut *files),
        }
    }
    receiver.abandon(&mut *files);
}

/// The file being received.
struct Open {
    path: HostPath,
    device_path: String,
    bytes: u64,
    /// We failed with it; what still arrives is dropped.
    failed: bool,
}

/// Receives batch after batch.
struct Receiver<'a> {
    observer: &'a dyn Observer,
    file: Option<Open>,
    batch: Batch,
}

impl Receiver<'_> {
    fn take(&mut self, files: &mut dyn HostFiles, incoming: Incoming) {
        match incoming {
            Incoming::Begin { path, device_path } => {
                self.abandon(files);
                let result = files.begin(&path);
                self.file = Some(Open { path, device_path, bytes: 0, failed: false });
                self.check(files, result);
            }
            Incoming::Data(data) => {
                let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.batch.bytes = self.batch.bytes.saturating_add(bytes);
                self.observer.tell(TransferEvent::Received { bytes });
                let Some(open) = &mut self.file else { return };
                open.bytes = open.bytes.saturating_add(bytes);
                if !open.failed {
                    let result = files.write(&data);
                    self.check(files, result);
                }
            }
            Incoming::End { code, text } => self.finish(files, code, text),
        }
    }

    fn finish(&mut self, files: &mut dyn HostFiles, code: u8, text: String) {
        let Some(open) = &self.file else { return };
        if open.failed {
            self.file = None;
            return;
        }
        if code != files::SUCCESS {
            files.abandon();
            let problem = FileProblem {
                path: open.path.to_string(),
                device_path: open.device_path.clone(),
                status: Status::from_end_code(code),
                text,
                by: ProblemSource::Phone,
            };
            self.observer.tell(TransferEvent::FileError(&problem));
            self.batch.problems.push(problem);
            self.file = None;
            return;
        }
        // A status that is on disk must never be newer than what it describes.
        let result = match open.path.inside() {
            "Status.plist" => files.sync().and_then(|()| files.finish()),
            _ => files.finish(),
        };
        if self.check(files, result)
            && let Some(open) = self.file.take()
        {
            self.batch.files += 1;
            self.batch.control |= is_control(&open.path);
            self.observer.tell(TransferEvent::FileReceived {
                path: &open.path,
                device_path: &open.device_path,
                bytes: open.bytes,
            });
        }
        self.file = None;
    }

    fn end(&mut self, files: &mut dyn HostFiles) -> Batch {
        self.abandon(files);
        let mut batch = std::mem::take(&mut self.batch);
        if batch.control
            && let Err(error) = files.sync()
        {
            batch.fail(&error, "");
        }
        batch
    }

    /// Drops a file that is not complete.
    fn abandon(&mut self, files: &mut dyn HostFiles) {
        if let Some(open) = self.file.take()
            && !open.failed
        {
            files.abandon();
        }
    }

    /// Says whether all is well with the file being received; notes a failure of ours.
    fn check(&mut self, files: &mut dyn HostFiles, result: Result<(), FileError>) -> bool {
        let Some(open) = &mut self.file else {
            return false;
        };
        let Err(error) = result else {
            return true;
        };
        open.failed = true;
        files.abandon();
        let problem = problem(&error, open.path.as_str(), &open.device_path);
        self.batch.fail(&error, open.path.as_str());
        self.observer.tell(TransferEvent::FileError(&problem));
        self.batch.problems.push(problem);
        false
    }
}

impl Batch {
    fn fail(&mut self, error: &FileError, path: &str) {
        if !path.is_empty() {
            self.errors.insert(path, error.upload_status(), error.phone_text());
        }
        let failure =
            HostFailure { status: error.upload_status(), ..HostFailure::new(error, path) };
        // A full disk says more than whatever else went wrong.
        match &self.failure {
            Some(first) if first.is_full() || !failure.is_full() => {}
            _ => self.failure = Some(failure),
        }
    }
}

impl HostFailure {
    pub(super) fn new(error: &FileError, path: &str) -> Self {
        let text = match error {
            FileError::Io(source) => source.to_string(),
            other => other.to_string(),
        };
        Self { status: error.status(), text, path: path.to_owned() }
    }

    /// Makes the failure of a disk that does not answer.
    pub(super) fn hangs(limit: Duration) -> Self {
        let text = format!("a file operation did not end within {} s", limit.as_secs());
        Self { status: Status::GENERIC, text, path: String::new() }
    }
}

/// Makes the problem of a failure of ours.
pub(super) fn problem(error: &FileError, path: &str, device_path: &str) -> FileProblem {
    FileProblem {
        path: path.to_owned(),
        device_path: device_path.to_owned(),
        status: error.status(),
        text: HostFailure::new(error, path).text,
        by: ProblemSource::Host,
    }
}

/// Says whether a file describes the backup rather than being part of it.
fn is_control(path: &HostPath) -> bool {
    let inside = path.inside();
    let inside = inside.strip_prefix("Snapshot/").unwrap_or(inside);
    matches!(inside, "Status.plist" | "Manifest.plist" | "Manifest.db")
}
