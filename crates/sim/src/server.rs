//! The server: phones, a bus, a control socket, from start to end.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::bus::Bus;
use crate::cable::Hub;
use crate::channel::Stream;
use crate::ctl;
use crate::memory::private_folder;
use crate::options::{Listen, Options, OptionsError};
use crate::phone::{Phone, PhoneError};
use crate::records::Records;

/// Phones that are being served. Dropping it ends everything without waiting.
#[derive(Debug)]
pub struct Server {
    /// The address clients use, as `USBMUXD_SOCKET_ADDRESS` takes it.
    pub listening: String,
    /// The phones, in the order of the options.
    pub phones: Vec<Arc<Phone>>,
    tasks: TaskTracker,
    sockets: Vec<Utf8PathBuf>,
    end: CancellationToken,
    _end_when_dropped: DropGuard,
    _state: StateLock,
}

/// How long connections may take to end at a shutdown.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Serves simulated phones until [`Server::shutdown`], or until the server is dropped.
pub async fn serve(options: Options) -> Result<Server, SimError> {
    private_folder(&options.state)?;
    let state = StateLock::take(&options.state)?;
    let hub = Arc::new(Hub::default());
    let phones = open_phones(&options, &hub).await?;
    let records = Records::open(&options.state.join("pairing"))?;
    let bus = Arc::new(Bus::new(phones.clone(), records, hub));
    let tasks = TaskTracker::new();
    let end = CancellationToken::new();
    let mut sockets = Vec::new();
    let listening = match &options.listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|source| SimError::Listen { address: address.to_string(), source })?;
            let listening = listener.local_addr()?.to_string();
            tasks.spawn(accept_tcp(listener, bus, tasks.clone(), end.clone()));
            listening
        }
        Listen::Unix(path) => {
            accept_unix(path, bus, &tasks, &end)?;
            sockets.push(path.clone());
            path.to_string()
        }
    };
    sockets.extend(serve_ctl(&options.state, &phones, &tasks, &end)?);
    for phone in &phones {
        if phone.spec.knobs.plugged {
            phone.cable.plug();
        }
        let phone = Arc::clone(phone);
        spawn(&tasks, &end, async move { phone.restarts().await });
    }
    let guard = end.clone().drop_guard();
    Ok(Server { listening, phones, tasks, sockets, end, _end_when_dropped: guard, _state: state })
}

impl Server {
    /// Pulls all cables, ends all connections and waits until that is done.
    pub async fn shutdown(self) {
        for phone in &self.phones {
            phone.pull_cable();
        }
        self.end.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!("connections to simulated phones did not end in time");
        }
        for socket in &self.sockets {
            drop(fs_err::remove_file(socket));
        }
    }

    /// Waits until the server ends, which it does when nothing can be accepted any more.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}

async fn open_phones(options: &Options, hub: &Arc<Hub>) -> Result<Vec<Arc<Phone>>, SimError> {
    let mut phones = Vec::new();
    let mut known = BTreeSet::new();
    for spec in options.phones.clone() {
        let udid = crate::identity::Identity::new(&spec).map_err(PhoneError::from)?.udid;
        if !known.insert(udid.to_ascii_lowercase()) {
            return Err(OptionsError::SameUdid { udid }.into());
        }
        let folder = options.state.join("phones").join(&udid);
        private_folder(&options.state.join("phones"))?;
        let (hub, clock, ask) = (Arc::clone(hub), Arc::clone(&options.clock), options.ask);
        let open = spawn_blocking(move || Phone::open(spec, &folder, hub, clock, ask));
        phones.push(Arc::new(open.await.map_err(io::Error::from)??));
    }
    Ok(phones)
}

/// Runs what serves a connection until it ends, or the server does.
fn spawn<F>(tasks: &TaskTracker, end: &CancellationToken, serve: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let end = end.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = serve => {}
            () = end.cancelled() => {}
        }
    });
}

fn spawn_client(
    tasks: &TaskTracker,
    end: &CancellationToken,
    bus: &Arc<Bus>,
    stream: impl Stream + 'static,
) {
    let bus = Arc::clone(bus);
    spawn(tasks, end, async move { bus.serve(stream).await });
}

async fn accept_tcp(
    listener: TcpListener,
    bus: Arc<Bus>,
    tasks: TaskTracker,
    end: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a client was gone at once");
                }
                spawn_client(&tasks, &end, &bus, stream);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Errors of `accept` pass: a client that went away, or no more file descriptors for a moment.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a client could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[cfg(unix)]
fn accept_unix(
    path: &Utf8Path,
    bus: Arc<Bus>,
    tasks: &TaskTracker,
    end: &CancellationToken,
) -> Result<(), SimError> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let source = io::ErrorKind::AddrInUse.into();
        return Err(SimError::Listen { address: path.to_string(), source });
    }
    let listener =
        ctl::bind(path).map_err(|source| SimError::Listen { address: path.to_string(), source })?;
    let (connections, end) = (tasks.clone(), end.clone());
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = end.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => spawn_client(&connections, &end, &bus, stream),
                Err(error) => pause(&error).await,
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn accept_unix(
    path: &Utf8Path,
    _: Arc<Bus>,
    _: &TaskTracker,
    _: &CancellationToken,
) -> Result<(), SimError> {
    let source = io::ErrorKind::Unsupported.into();
    Err(SimError::Listen { address: path.to_string(), source })
}

/// Serves the control socket and returns where it is.
#[cfg(unix)]
fn serve_ctl(
    state: &Utf8Path,
    phones: &[Arc<Phone>],
    tasks: &TaskTracker,
    end: &CancellationToken,
) -> Result<Option<Utf8PathBuf>, SimError> {
    let path = state.join(ctl::SOCKET);
    let listener = ctl::bind(&path)
        .map_err(|source| SimError::Listen { address: path.to_string(), source })?;
    let (connections, end, phones) = (tasks.clone(), end.clone(), phones.to_vec());
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = end.cancelled() => return,
            };
            let phones = phones.clone();
            match accepted {
                Ok((stream, _)) => spawn(&connections, &end, async move {
                    if let Err(error) = ctl::serve(&phones, stream).await {
                        tracing::warn!(%error, "an order was not understood");
                    }
                }),
                Err(error) => pause(&error).await,
            }
        }
    });
    Ok(Some(path))
}

#[cfg(not(unix))]
fn serve_ctl(
    _: &Utf8Path,
    _: &[Arc<Phone>],
    _: &TaskTracker,
    _: &CancellationToken,
) -> Result<Option<Utf8PathBuf>, SimError> {
    Ok(None)
}

/// Two servers on one state folder would write over each other.
#[derive(Debug)]
struct StateLock {
    _file: fs_err::File,
}

impl StateLock {
    fn take(state: &Utf8Path) -> Result<Self, SimError> {
        let file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(state.join("lock"))?;
        match file.file().try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(SimError::InUse { state: state.to_owned() })
            }
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// Simulated phones cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The socket cannot be made.
    #[error("nothing can listen on {address}")]
    Listen {
        /// Where it should have been.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Another server has this state folder.
    #[error("another simulator uses {state}")]
    InUse {
        /// The folder.
        state: Utf8PathBuf,
    },
    /// A description cannot be followed.
    #[error("the phones cannot be as described")]
    Options(#[from] OptionsError),
    /// A phone cannot be had.
    #[error("a simulated phone does not start")]
    Phone(#[from] PhoneError),
    /// The state folder cannot be used.
    #[error("the state folder cannot be used")]
    State(#[from] io::Error),
}
