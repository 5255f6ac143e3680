//! The sync lock and the notifications around a job (`docs/protocol.md` 8.5).
//!
//! The lock keeps another host out and shows the sync arrows on the device. A device that does not give it is backed
//! up all the same by analysis; a lock that somebody else holds is an error, for two hosts would disturb each other.

use std::time::Duration;

use idevice::IdeviceError;
use idevice::afc::AfcClient;
use idevice::afc::errors::AfcError;
use idevice::afc::file::OwnedFileDescriptor;
use idevice::afc::opcode::{AfcFopenMode, AfcLockOp};
use idevice::notification_proxy::NotificationProxyClient;
use lifeboat_wire::lockdown::{notification, service};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::LinkError;
use crate::limit::{ANSWER, within};
use crate::link::Link;

/// The file whose lock is the sync lock.
const LOCK_FILE: &str = "/com.apple.itunes.lock_sync";
/// How often the lock is asked for, and how long between.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// How many notices may wait to be heard.
const WAITING: usize = 16;

/// What the device tells beside the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The passcode sheet is on the screen.
    PasscodeShown,
    /// The passcode sheet is gone: answered or not.
    PasscodeGone,
    /// The person tapped cancel on the device.
    CancelRequested,
}

/// Why the sync lock was not given.
#[derive(Debug, Error)]
pub enum SyncError {
    /// Another host holds it.
    #[error("another program is syncing with the device")]
    Held,
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// The sync lock of a device. Give it back with [`release`](Self::release).
pub struct SyncLock {
    poster: NotificationProxyClient,
    file: Option<OwnedFileDescriptor>,
    /// Listens to the device; ends when the lock is dropped.
    _listener: JoinSet<()>,
}

impl SyncLock {
    /// Takes the lock. The receiver hears the device's notices until the lock is released.
    pub async fn take(link: &Link) -> Result<(Self, mpsc::Receiver<Notice>), SyncError> {
        let (sender, notices) = mpsc::channel(WAITING);
        let observer = observe(link).await?;
        let mut listener = JoinSet::new();
        listener.spawn(listen(observer, sender));
        let mut poster =
            NotificationProxyClient::new(link.start(service::NOTIFICATION_PROXY).await?);
        let afc = AfcClient::new(link.start(service::AFC).await?);
        post(&mut poster, notification::SYNC_WILL_START).await?;
        let opened =
            within(ANSWER, "opening the sync lock", afc.open_owned(LOCK_FILE, AfcFopenMode::Rw))
                .await;
        let mut lock = Self { poster, file: None, _listener: listener };
        match opened {
            Ok(file) => {
                if let Err(error) = lock.acquire(file).await {
                    lock.release().await;
                    return Err(error);
                }
            }
            Err(error) => tracing::info!(%error, "the device has no sync lock"),
        }
        Ok((lock, notices))
    }

    async fn acquire(&mut self, mut file: OwnedFileDescriptor) -> Result<(), SyncError> {
        post(&mut self.poster, notification::SYNC_LOCK_REQUEST).await?;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let asked = tokio::time::timeout(ANSWER, file.lock(AfcLockOp::ExclusiveLock)).await;
            match asked {
                Ok(Ok(())) => {
                    self.file = Some(file);
                    post(&mut self.poster, notification::SYNC_DID_START).await?;
                    return Ok(());
                }
                Ok(Err(IdeviceError::Afc(AfcError::OpWouldBlock))) => {}
                Ok(Err(error)) => return Err(LinkError::from(error).into()),
                Err(_) => {
                    let seconds = ANSWER.as_secs();
                    return Err(
                        LinkError::Timeout { doing: "taking the sync lock", seconds }.into()
                    );
                }
            }
        }
        Err(SyncError::Held)
    }

    /// Gives the lock back and tells the device that the job is over. What fails here changes nothing any more.
    pub async fn release(mut self) {
        if let Some(mut file) = self.file.take() {
            let unlocked =
                within(ANSWER, "giving the sync lock back", file.lock(AfcLockOp::Unlock)).await;
            let closed = within(ANSWER, "closing the sync lock", file.close()).await;
            if let Err(error) = unlocked.and(closed.map(drop)) {
                tracing::debug!(%error, "the sync lock was not given back in order");
            }
        }
        if let Err(error) = post(&mut self.poster, notification::SYNC_DID_FINISH).await {
            tracing::debug!(%error, "the end of the job was not announced");
        }
    }
}

async fn post(poster: &mut NotificationProxyClient, name: &str) -> Result<(), LinkError> {
    within(ANSWER, "posting a notification", poster.post_notification(name)).await
}

async fn observe(link: &Link) -> Result<NotificationProxyClient, LinkError> {
    let mut observer = NotificationProxyClient::new(link.start(service::NOTIFICATION_PROXY).await?);
    let names = [
        notification::SYNC_CANCEL_REQUEST,
        notification::SYNC_SUSPEND_REQUEST,
        notification::SYNC_RESUME_REQUEST,
        notification::BACKUP_DOMAIN_CHANGED,
        notification::AUTHENTICATION_PRESENTED,
        notification::AUTHENTICATION_DISMISSED,
    ];
    within(ANSWER, "observing notifications", observer.observe_notifications(&names)).await?;
    Ok(observer)
}

/// Passes the device's notices on until it says no more or nobody listens.
async fn listen(mut observer: NotificationProxyClient, notices: mpsc::Sender<Notice>) {
    // No limit: a device says nothing for hours, and the task ends with the lock.
    while let Ok(name) = observer.receive_notification().await {
        let notice = match name.as_str() {
            notification::AUTHENTICATION_PRESENTED => Notice::PasscodeShown,
            notification::AUTHENTICATION_DISMISSED => Notice::PasscodeGone,
            notification::SYNC_CANCEL_REQUEST => Notice::CancelRequested,
            _ => continue,
        };
        if notices.send(notice).await.is_err() {
            return;
        }
    }
}
