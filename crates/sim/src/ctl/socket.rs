use std::io;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{CtlError, Order, Reply, obey};
use crate::phone::Phone;

/// An order is short.
const ORDER_LIMIT: u64 = 64 * 1024;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the socket, in place of one that a former server left.
pub(crate) fn bind(path: &Utf8Path) -> io::Result<UnixListener> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Serves one order.
pub(crate) async fn serve(phones: &[Arc<Phone>], stream: UnixStream) -> Result<(), CtlError> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut limited = (&mut stream).take(ORDER_LIMIT);
    let read = limited.read_until(b'\n', &mut line);
    tokio::time::timeout(PATIENCE, read).await.map_err(io::Error::from)??;
    let reply = match serde_json::from_slice::<Order>(&line) {
        Ok(order) => obey(phones, order).await,
        Err(error) => Reply::Refused(format!("not an order: {error}")),
    };
    let mut answer = serde_json::to_vec(&reply)?;
    answer.push(b'\n');
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    Ok(())
}

/// Sends an order and reads the reply.
pub(super) async fn send(path: &Utf8Path, order: &Order) -> Result<Reply, CtlError> {
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(CtlError::NotServed { path: path.to_owned() });
        }
        Err(error) => return Err(error.into()),
    };
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}
