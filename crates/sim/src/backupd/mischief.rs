//! What a bad phone would send: faults that a host must survive.

use lifeboat_wire::devicelink::PhoneMessage;
use plist::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::errors::Wording;
use super::fail::{MbError, Stop};
use super::run::{Run, Step};
use crate::fault::Fault;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Begins a step: the fault `error` may end the job here.
    pub(super) fn step(&self, step: Step) -> Result<(), Stop> {
        tracing::debug!(step = step.as_str(), "step");
        let wording = |fault: &Fault| {
            let code = fault.number("code").unwrap_or(1);
            (code, Wording::find(code, fault.text("reason").unwrap_or_default()))
        };
        let here = |fault: &Fault| {
            let usual = wording(fault).1.map_or(Step::Request, Wording::step);
            fault.text("at").unwrap_or(usual.as_str()) == step.as_str()
        };
        let Some(fault) = self.phone.faults.fire_if("error", here) else { return Ok(()) };
        Err(match (wording(&fault), fault.text("text")) {
            ((code, _), Some(text)) => MbError::new(code, text),
            ((_, Some(known)), None) => known.error(&self.udid),
            ((code, None), None) => MbError::new(code, "Unknown error"),
        }
        .into())
    }

    /// Sends what no proper phone would, as the faults say.
    pub(super) async fn mischief(&mut self) -> Result<(), Stop> {
        if self.phone.faults.fire("plist-bomb").is_some() {
            let bomb = bomb();
            let mut frame = u32::try_from(bomb.len()).unwrap_or(0).to_be_bytes().to_vec();
            frame.extend(bomb);
            self.link.send_raw(&frame).await?;
            self.link.status().await?;
        }
        if let Some(fault) = self.phone.faults.fire("huge-frame") {
            let length = fault
                .number("length")
                .and_then(|length| u32::try_from(length).ok())
                .unwrap_or(u32::MAX);
            let mut frame = length.to_be_bytes().to_vec();
            frame.extend(b"bplist00");
            self.link.send_raw(&frame).await?;
            self.link.status().await?;
        }
        if let Some(fault) = self.phone.faults.fire("unknown-message") {
            let name = fault.text("name").unwrap_or("DLMessageFoldLaundry").to_owned();
            let answer =
                self.link.ask(&PhoneMessage::Unknown { name, raw: vec![Value::from(7)] }).await?;
            tracing::info!(status = %answer.status, "the answer to an unknown message");
        }
        Ok(())
    }

    /// Returns the path an upload names instead of the right one.
    pub(super) fn mischievous_path(&self) -> Option<String> {
        if let Some(fault) = self.phone.faults.fire("path-traversal") {
            let usual = || format!("{}/Snapshot/../../../lifeboat-was-here", self.udid);
            return Some(fault.text("path").map_or_else(usual, ToOwned::to_owned));
        }
        let fault = self.phone.faults.fire("absolute-path")?;
        Some(fault.text("path").unwrap_or("/tmp/lifeboat-was-here").to_owned())
    }

    /// Whether the upload stops in the middle of the file that is about to be sent.
    pub(super) fn truncates(&self) -> bool {
        let sent = i64::try_from(self.phone.traffic.job().files_sent).unwrap_or(i64::MAX);
        let due = |fault: &Fault| sent >= fault.number("after").unwrap_or(0);
        self.phone.faults.fire_if("truncated-upload", due).is_some()
    }
}

/// A message whose second element unfolds to 15^20 objects: each of twenty arrays names the next one fifteen times.
fn bomb() -> Vec<u8> {
    const LEVELS: u8 = 20;
    let mut body = b"bplist00".to_vec();
    let mut offsets = vec![body.len()];
    body.extend([0xa2, 1, 2]);
    offsets.push(body.len());
    body.extend([0x5f, 0x10, 24]);
    body.extend(b"DLMessageCreateDirectory");
    for level in 0..LEVELS {
        offsets.push(body.len());
        body.extend([0xaf, 0x10, 15]);
        body.extend([level + 3; 15]);
    }
    offsets.push(body.len());
    body.push(0x09);
    let table = body.len() as u64;
    for offset in &offsets {
        body.extend(u16::try_from(*offset).unwrap_or(u16::MAX).to_be_bytes());
    }
    body.extend([0, 0, 0, 0, 0, 0, 2, 1]);
    body.extend((offsets.len() as u64).to_be_bytes());
    body.extend(0_u64.to_be_bytes());
    body.extend(table.to_be_bytes());
    body
}

#[cfg(test)]
mod tests {
    use lifeboat_wire::devicelink::{MessageError, PhoneMessage};
    use lifeboat_wire::plist_guard::Limits;

    #[test]
    fn the_bomb_is_small_and_is_one() {
        let bomb = super::bomb();
        assert!(bomb.len() < 1000);
        assert!(matches!(
            PhoneMessage::decode(&bomb, &Limits::MESSAGE),
            Err(MessageError::Plist(_))
        ));
    }
}
