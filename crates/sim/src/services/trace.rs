//! `os_trace_relay`: the log as records, with every level (docs/protocol.md 10.6).

use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard;
use plist::{Dictionary, Value};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};
use crate::log::{Line, Process};
use crate::phone::Phone;

/// Before each record.
const RECORD: u8 = 2;
/// Before the answer to any other request.
const ANSWER: u8 = 1;

/// Ticks of the phone's own clock in a second; a record tells its time in them as well.
const TICKS_PER_SECOND: u64 = 24_000_000;

/// Answers requests; after `StartActivity` only records come, until the host closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    stream: &mut S,
) -> Result<(), ChannelError> {
    loop {
        let request = PlistChannel::new(&mut *stream).receive().await?;
        let Some(request) = request else { return Ok(()) };
        match text(&request, "Request") {
            Some("StartActivity") => return activity(phone, stream, &request).await,
            Some("PidList") => {
                let processes = Process::all().map(|process| {
                    let name = keys([("ProcessName", process.name.into())]);
                    (process.pid.to_string(), Value::Dictionary(name))
                });
                let payload = Value::Dictionary(processes.collect());
                let status = ("Status", "RequestSuccessful".into());
                answer(stream, keys([status, ("Payload", payload)])).await?;
            }
            _ => answer(stream, keys([("Status", "RequestFailed".into())])).await?,
        }
    }
}

/// Sends an answer to a request that starts no stream.
async fn answer<S: AsyncWrite + Unpin>(
    stream: &mut S,
    keys: Dictionary,
) -> Result<(), ChannelError> {
    stream.write_all(&[ANSWER]).await?;
    stream.write_all(&plist_frame::encode(&plist_guard::to_xml(&keys.into()))).await?;
    Ok(stream.flush().await?)
}

async fn activity<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    stream: &mut S,
    request: &Dictionary,
) -> Result<(), ChannelError> {
    // A number below zero stands for all processes.
    let pid = request.get("Pid").and_then(Value::as_signed_integer);
    let wanted = pid.and_then(|pid| u32::try_from(pid).ok());
    let mut lines = phone.log.listen();
    stream.write_all(&started()).await?;
    let early = phone.early_lines();
    let concerns = |line: &Line| wanted.is_none_or(|pid| line.process.pid == pid);
    for line in early.iter().filter(|line| concerns(line)) {
        stream.write_all(&record(line, phone.uptime())).await?;
    }
    stream.flush().await?;
    let mut said = [0; 64];
    loop {
        tokio::select! {
            read = stream.read(&mut said) => if read? == 0 { return Ok(()) },
            line = lines.recv() => match line {
                Ok(line) if concerns(&line) => {
                    stream.write_all(&record(&line, phone.uptime())).await?;
                    stream.flush().await?;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// The answer to `StartActivity`: the length of a length, the length, a property list.
fn started() -> Vec<u8> {
    let xml = plist_guard::to_xml(&keys([("Status", "RequestSuccessful".into())]).into());
    let length = u32::try_from(xml.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = 4_u32.to_le_bytes().to_vec();
    bytes.extend(length);
    bytes.extend(xml);
    bytes
}

/// Returns a record with its head. `uptime` is in nanoseconds.
fn record(line: &Line, uptime: u64) -> Vec<u8> {
    let process = &line.process;
    let image = process.path.rsplit('/').next().unwrap_or(&process.name);
    let category = if process.subsystem.is_empty() { "" } else { "general" };
    let id: [u8; 32] = Sha256::digest(&process.path).into();
    let uuid: [u8; 16] = id.first_chunk().copied().unwrap_or_default();
    let ticks = uptime / 1_000_000_000 * TICKS_PER_SECOND;
    let seconds = u32::try_from(line.at.as_second()).unwrap_or(0);
    let micros = u32::try_from(line.at.subsec_microsecond()).unwrap_or(0);
    let long = |text: &[u8]| u32::try_from(text.len() + 1).unwrap_or(0);
    let short = |text: &[u8]| u16::try_from(text.len() + 1).unwrap_or(u16::MAX).to_le_bytes();
    let label = |text: &str| if text.is_empty() { 0 } else { long(text.as_bytes()) };

    let mut body = vec![0; 9];
    body.extend(process.pid.to_le_bytes());
    body.extend(u64::from(process.pid).to_le_bytes());
    body.extend(uuid);
    body.extend([0; 18]);
    body.extend(seconds.to_le_bytes());
    body.extend([0; 4]);
    body.extend(micros.to_le_bytes());
    body.extend([0, line.level.number()]);
    body.extend([0; 4]);
    body.extend(ticks.to_le_bytes());
    body.extend([0; 2]);
    body.extend(0x1f3_u64.to_le_bytes());
    body.extend(uuid);
    body.extend(short(image.as_bytes()));
    body.extend(short(&line.text));
    body.extend([0; 2]);
    body.extend(0x4a20_u32.to_le_bytes());
    body.extend(label(&process.subsystem).to_le_bytes());
    body.extend(label(category).to_le_bytes());
    body.extend([0; 4]);
    for text in [process.path.as_bytes(), image.as_bytes(), &line.text] {
        body.extend(text);
        body.push(0);
    }
    for text in [process.subsystem.as_str(), category].into_iter().filter(|text| !text.is_empty()) {
        body.extend(text.as_bytes());
        body.push(0);
    }
    let mut bytes = vec![RECORD];
    bytes.extend(u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_record_lie_where_readers_look_for_them() {
        let at = "2026-05-04T12:00:00.25Z".parse().unwrap();
        let line = Line::parse("backupd/error: onPower:0", at, false);
        let bytes = record(&line, 60_000_000_000);
        assert_eq!(bytes[0], 2);
        let body = &bytes[5..];
        assert_eq!(u32::from_le_bytes(*bytes[1..].first_chunk().unwrap()) as usize, body.len());
        let number = |at: usize| u32::from_le_bytes(*body[at..].first_chunk().unwrap());
        assert_eq!(number(9), 71, "pid");
        assert_eq!(number(55), 1_777_896_000, "seconds");
        assert_eq!(number(63), 250_000, "microseconds");
        assert_eq!(body[68], 0x10, "level");
        assert_eq!(
            u64::from_le_bytes(*body[73..].first_chunk().unwrap()),
            60 * 24_000_000,
            "ticks"
        );
        assert_eq!(&body[107..113], [8, 0, 10, 0, 0, 0], "lengths of image and message");
        let strings: Vec<&[u8]> = body[129..].split(|byte| *byte == 0).collect();
        assert_eq!(
            strings[1..],
            [b"backupd".as_slice(), b"onPower:0", b"com.apple.mobilebackup", b"general", b""]
        );
    }
}
