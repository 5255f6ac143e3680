//! A limit on every wait.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::LinkError;

/// For the mux, which runs on this machine.
pub(crate) const MUX: Duration = Duration::from_secs(10);
/// For one question to lockdownd or a small service.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// Returns the milliseconds since a moment, for the log.
pub(crate) fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Waits for `future`, at most `limit`; the log tells what was asked and how long it took.
pub(crate) async fn within<T, E>(
    limit: Duration,
    doing: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, LinkError>
where
    LinkError: From<E>,
{
    let since = Instant::now();
    let result = match tokio::time::timeout(limit, future).await {
        Ok(result) => result.map_err(LinkError::from),
        Err(_) => Err(LinkError::Timeout { doing, seconds: limit.as_secs() }),
    };
    match &result {
        Ok(_) => tracing::debug!(doing, ms = ms(since), "answered"),
        Err(error) => tracing::info!(doing, ms = ms(since), %error, "no answer that helps"),
    }
    result
}
