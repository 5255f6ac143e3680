//! The sync lock and the notifications around a job (`docs/protocol.md` 8.5).
//!
//! The lock keeps another host out and shows the sync arrows on the device. A device that does not give it is backed
//! up all the same by analysis; a lock that somebody else holds is an error, for two hosts would disturb each other.

use std::time::Duration;

use idevice::notification_proxy::NotificationProxyClient;
use lifeboat_wire::afc::{ErrorCode, LockOperation, OpenMode};
use lifeboat_wire::lockdown::{notification, service};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::afc::{Afc, AfcError, Handle};
use crate::error::LinkError;
use crate::limit::{ANSWER, within};
use crate::link::{Link, ServiceStream};

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

/// The sync lock of a device. Give it back with [`release`](Self::release); the device takes it back by itself when
/// the link ends.
pub struct SyncLock {
    poster: NotificationProxyClient,
    afc: Afc<ServiceStream>,
    /// The file that is open, and locked unless the lock is just being taken.
    file: Option<Handle>,
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
        let poster = NotificationProxyClient::new(link.start(service::NOTIFICATION_PROXY).await?);
        let afc = Afc::new(link.start_service(service::AFC).await?);
        let lock = Self { poster, afc, file: None, _listener: listener };
        Ok((lock.taken().await?, notices))
    }

    /// Opens the file and locks it. On every way out that is no lock, the file is closed and the device told.
    async fn taken(mut self) -> Result<Self, SyncError> {
        post(&mut self.poster, notification::SYNC_WILL_START).await?;
        match self.afc.open(LOCK_FILE, OpenMode::ReadWrite).await {
            Ok(file) => {
                self.file = Some(file);
                if let Err(error) = self.acquire(file).await {
                    self.release().await;
                    return Err(error);
                }
            }
            Err(AfcError::Refused(code)) => {
                tracing::info!(?code, "the device has no sync lock");
            }
            Err(AfcError::Link(error)) => return Err(error.into()),
        }
        Ok(self)
    }

    async fn acquire(&mut self, file: Handle) -> Result<(), SyncError> {
        post(&mut self.poster, notification::SYNC_LOCK_REQUEST).await?;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            match self.afc.lock(file, LockOperation::Exclusive).await {
                Ok(()) => {
                    post(&mut self.poster, notification::SYNC_DID_START).await?;
                    return Ok(());
                }
                Err(AfcError::Refused(ErrorCode::WouldBlock)) => {}
                Err(error) => return Err(LinkError::from(error).into()),
            }
        }
        Err(SyncError::Held)
    }

    /// Gives the lock back and tells the device that the job is over. What fails here changes nothing any more.
    pub async fn release(mut self) {
        if let Some(file) = self.file.take() {
            // Closing unlocks, too; but a device that sees both is as other hosts leave it.
            let unlocked = self.afc.lock(file, LockOperation::Unlock).await;
            let closed = self.afc.close(file).await;
            if let Err(error) = unlocked.and(closed) {
                tracing::debug!(?error, "the sync lock was not given back in order");
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

#[cfg(test)]
mod tests {
    use idevice::Idevice;
    use lifeboat_wire::afc::{Answer, Request};

    use super::*;
    use crate::afc::tests::Peer;
    use crate::mux::LABEL;

    const OK: Answer = Answer::Status(ErrorCode::Ok);

    /// Makes what takes the lock, the device's side of AFC, and the end that hears the notifications.
    fn lock() -> (SyncLock, Peer, tokio::io::DuplexStream) {
        let (stream, peer) = Peer::pair();
        let (posts, heard) = tokio::io::duplex(64 << 10);
        let lock = SyncLock {
            poster: NotificationProxyClient::new(Idevice::new(Box::new(posts), LABEL)),
            afc: Afc::new(Box::new(stream)),
            file: None,
            _listener: JoinSet::new(),
        };
        (lock, peer, heard)
    }

    fn open() -> Request {
        Request::Open { mode: OpenMode::ReadWrite, path: LOCK_FILE.into() }
    }

    fn locking(operation: LockOperation) -> Request {
        Request::Lock { handle: 3, operation }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_another_holds_is_held_and_the_file_is_closed() {
        let (lock, mut peer, _heard) = lock();
        let (taken, asked) = tokio::join!(lock.taken(), async {
            peer.turn(&open(), Answer::Opened(3)).await;
            for _ in 0..ATTEMPTS {
                let busy = Answer::Status(ErrorCode::WouldBlock);
                peer.turn(&locking(LockOperation::Exclusive), busy).await;
            }
            peer.turn(&locking(LockOperation::Unlock), OK).await;
            peer.turn(&Request::Close { handle: 3 }, OK).await;
            peer.asked().await
        });
        assert!(matches!(taken.err(), Some(SyncError::Held)));
        assert_eq!(asked, None, "the connection ends");
    }

    #[tokio::test]
    async fn a_lock_is_taken_and_given_back() {
        let (lock, mut peer, _heard) = lock();
        tokio::join!(
            async {
                let lock = lock.taken().await.expect("the lock");
                lock.release().await;
            },
            async {
                peer.turn(&open(), Answer::Opened(3)).await;
                peer.turn(&locking(LockOperation::Exclusive), OK).await;
                peer.turn(&locking(LockOperation::Unlock), OK).await;
                peer.turn(&Request::Close { handle: 3 }, OK).await;
            }
        );
    }

    #[tokio::test]
    async fn a_lock_whose_link_is_lost_is_released_without_a_panic() {
        let (lock, mut peer, heard) = lock();
        let (taken, ()) = tokio::join!(lock.taken(), async {
            peer.turn(&open(), Answer::Opened(3)).await;
            peer.turn(&locking(LockOperation::Exclusive), OK).await;
        });
        drop((peer, heard));
        taken.expect("the lock").release().await;
    }

    #[tokio::test]
    async fn a_device_without_the_lock_is_backed_up_all_the_same() {
        let (lock, mut peer, _heard) = lock();
        let (taken, ()) = tokio::join!(lock.taken(), async {
            peer.turn(&open(), Answer::Status(ErrorCode::PermissionDenied)).await;
        });
        taken.expect("no lock is no error").release().await;
    }

    #[tokio::test]
    async fn a_link_that_ends_while_the_lock_is_taken_is_an_error() {
        let (lock, mut peer, heard) = lock();
        let (taken, ()) = tokio::join!(lock.taken(), async move {
            peer.turn(&open(), Answer::Opened(3)).await;
            drop(heard);
        });
        assert!(matches!(taken.err(), Some(SyncError::Link(LinkError::Lost(_)))));
    }
}
