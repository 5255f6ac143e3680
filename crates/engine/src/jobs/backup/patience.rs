//! How long a run waits for a person: one limit for all, from the cable to the passcode.

use std::sync::Arc;
use std::time::Duration;

use lifeboat_device::link::Link;
use lifeboat_device::mobilebackup2::{self, BackupError, BackupReply, BackupRequest};
use tokio::sync::watch;
use tokio::time::Instant;

use super::transfer::Watcher;
use crate::error::{Cause, JobError, passcode_timed_out};
use crate::job::Context;
use crate::words::things;
use crate::working_tree::WorkingTree;

/// What came of a session, and whether it was ended because nobody entered the passcode in time.
pub(super) struct Ended {
    /// What the session came to.
    pub(super) reply: Result<BackupReply, BackupError>,
    /// The run was stopped for the limit of its waits.
    pub(super) in_vain: bool,
}

/// Says of a run that was stopped for the limit of its waits that nobody entered the passcode.
pub(super) fn explain(wait: Option<Duration>, error: JobError) -> JobError {
    let Some(wait) = wait.filter(|_| error.cause == Cause::Interrupted) else { return error };
    let wait = match wait.as_secs() {
        seconds if seconds > 0 && seconds % 60 == 0 => things(seconds / 60, "minute"),
        seconds => things(seconds, "second"),
    };
    let message = format!("nobody entered the passcode within {wait} (`--wait`)");
    JobError { stage: error.stage, ..JobError::new(Cause::PasscodeNotEntered, message) }
}

/// Holds the session with the device. Without a limit the passcode is waited for as long as the device asks for it. With one the
/// session ends when that much was waited for the passcode; a device that gives up earlier is asked to ask again.
pub(super) async fn hold(
    ctx: &Context,
    link: &Link,
    request: &BackupRequest,
    tree: &WorkingTree,
    watcher: &Arc<Watcher>,
    limit: Option<Duration>,
) -> Ended {
    let mut left = limit;
    loop {
        let cancel = ctx.cancel.child_token();
        let files = Box::new(tree.clone());
        let session =
            mobilebackup2::backup(link, request.clone(), files, watcher.clone(), cancel.clone());
        let mut session = std::pin::pin!(session);
        let mut shown = watcher.prompt_shown();
        let reply = tokio::select! {
            reply = &mut session => reply,
            () = over(&mut shown, left.as_mut()) => {
                tracing::info!("nobody entered the passcode in time: the session is ended");
                cancel.cancel();
                return Ended { reply: session.await, in_vain: true };
            }
        };
        let again = left.is_some_and(|left| !left.is_zero())
            && !ctx.cancel.is_cancelled()
            && matches!(&reply, Err(BackupError::Device(error)) if passcode_timed_out(error));
        if !again {
            return Ended { reply, in_vain: false };
        }
        tracing::info!("the device gave up waiting for its passcode, and is asked again");
    }
}

/// Ends when the passcode was waited for as long as it may be; takes what was waited from `left`.
async fn over(shown: &mut watch::Receiver<bool>, left: Option<&mut Duration>) {
    let Some(left) = left else { return std::future::pending().await };
    loop {
        if shown.wait_for(|shown| *shown).await.is_err() {
            return std::future::pending().await;
        }
        let since = Instant::now();
        let gone = tokio::time::timeout(*left, shown.wait_for(|shown| !*shown)).await;
        *left = left.saturating_sub(since.elapsed());
        match gone {
            Err(_) => return,
            Ok(Err(_)) => return std::future::pending().await,
            Ok(Ok(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_time_of_the_prompt_counts_and_all_of_it() {
        let (prompt, mut shown) = watch::channel(false);
        let mut left = Duration::from_secs(10);
        let began = Instant::now();
        let person = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            prompt.send_replace(true);
            tokio::time::sleep(Duration::from_secs(6)).await;
            prompt.send_replace(false);
            tokio::time::sleep(Duration::from_secs(100)).await;
            prompt.send_replace(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = over(&mut shown, Some(&mut left)) => {}
            () = person => {}
        }
        assert_eq!(began.elapsed().as_secs(), 210);
        assert!(left.is_zero(), "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_the_device_decides() {
        let (_prompt, mut shown) = watch::channel(true);
        let waited = tokio::time::timeout(Duration::from_hours(5), over(&mut shown, None)).await;
        assert!(waited.is_err());
    }

    #[test]
    fn only_a_run_that_was_stopped_for_it_says_so() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        let error = |wait, cause| explain(wait, JobError::new(cause, "it ended"));
        assert_eq!(error(wait(600), Cause::Interrupted).cause, Cause::PasscodeNotEntered);
        let message = error(wait(600), Cause::Interrupted).message;
        assert_eq!(message, "nobody entered the passcode within 10 minutes (`--wait`)");
        assert!(error(wait(90), Cause::Interrupted).message.contains("90 seconds"));
        assert_eq!(error(wait(90), Cause::ConnectionLost).cause, Cause::ConnectionLost);
        assert_eq!(error(None, Cause::Interrupted).cause, Cause::Interrupted);
    }
}
