//! A limit on every wait.

use std::future::Future;
use std::time::Duration;

use crate::error::LinkError;

/// For the mux, which runs on this machine.
pub(crate) const MUX: Duration = Duration::from_secs(10);
/// For one question to lockdownd or a small service.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// Waits for `future`, at most `limit`.
pub(crate) async fn within<T, E>(
    limit: Duration,
    doing: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, LinkError>
where
    LinkError: From<E>,
{
    match tokio::time::timeout(limit, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(LinkError::Timeout { doing, seconds: limit.as_secs() }),
    }
}
