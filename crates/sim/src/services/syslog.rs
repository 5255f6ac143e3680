//! `syslog_relay`: the log as lines of text, without the two lowest levels (docs/protocol.md 10.6).

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;

use crate::channel::ChannelError;
use crate::log::Line;
use crate::phone::Phone;

/// Writes lines until the host closes. What a host says (some send `watch`) is not needed.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    stream: &mut S,
) -> Result<(), ChannelError> {
    let mut lines = phone.log.listen();
    let name = phone.memory().name;
    for line in phone.early_lines() {
        stream.write_all(&text(&line, &name)).await?;
    }
    stream.flush().await?;
    let mut said = [0; 64];
    loop {
        tokio::select! {
            read = stream.read(&mut said) => if read? == 0 { return Ok(()) },
            line = lines.recv() => match line {
                Ok(line) => {
                    stream.write_all(&text(&line, &name)).await?;
                    stream.flush().await?;
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// Returns a line with its end; nothing for a level that is not told here. Time is the phone's own, in UTC.
fn text(line: &Line, device: &str) -> Vec<u8> {
    let Some(level) = line.level.syslog() else { return Vec::new() };
    let at = line.at.strftime("%b %e %H:%M:%S");
    let device: String = device.chars().filter(|letter| !letter.is_whitespace()).collect();
    let process = &line.process;
    let mut bytes =
        format!("{at} {device} {}[{}] <{level}>: ", process.name, process.pid).into_bytes();
    bytes.extend_from_slice(&line.text);
    bytes.extend_from_slice(b"\n\0");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_process() {
        let at = "2026-05-04T12:00:00Z".parse().unwrap();
        let line =
            Line::parse("kernel/error: AppleUSBDeviceMux: detected duplicate packet", at, false);
        let text = String::from_utf8(text(&line, "Robin's iPhone")).unwrap();
        assert_eq!(
            text,
            "May  4 12:00:00 Robin'siPhone kernel[0] <Error>: AppleUSBDeviceMux: detected duplicate packet\n\0"
        );
        let quiet = Line::parse("backupd/info: nothing for you", at, false);
        assert_eq!(super::text(&quiet, "x"), b"");
    }
}
