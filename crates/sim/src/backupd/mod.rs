//! The phone's side of MobileBackup2 (docs/protocol.md, "Backup as the phone drives it").
//!
//! In reading order: `link` speaks DeviceLink (messages, streams of files, listings), `fail` and `errors` know how the phone
//! words what went wrong, `run` is the backup itself, step after step, with `opening` (what lies on the host decides
//! what kind of backup it is), `plan` (what changed), `upload`, `manifest` (how the manifests are made) and
//! `cache` (what the phone keeps for the next try, and what it sent in the last run). `secrets` has the keys of encrypted
//! backups, `password` changes the password. `inspect` answers the requests that only look; `mischief` is what a bad
//! phone would send, `mishap` what befalls a good one.
//!
//! Requests that restore are answered with an error: they have their own issue.

mod cache;
pub(crate) mod errors;
mod fail;
mod inspect;
mod link;
mod manifest;
mod mischief;
mod mishap;
mod opening;
mod password;
mod plan;
mod run;
mod secrets;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use lifeboat_wire::devicelink::{HostMessage, MessageError, PhoneMessage, VersionAnswer};
use lifeboat_wire::files::FilesError;
use lifeboat_wire::plist_frame::FrameError;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use self::fail::{MbError, Stop};
use self::link::Link;
use self::run::Run;
use crate::phone::Phone;

/// A connection to the backup service that did not come to a proper end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupdError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The host closed the connection or said goodbye in the middle of a job.
    #[error("the host went away")]
    HostGone,
    /// A frame is not acceptable.
    #[error("the host sent no acceptable frame")]
    Frame(#[from] FrameError),
    /// A message is not acceptable.
    #[error("the host sent no acceptable message")]
    Message(#[from] MessageError),
    /// A stream of files is not acceptable.
    #[error("the host sent no acceptable stream of files")]
    Files(#[from] FilesError),
    /// The host said something at the wrong time.
    #[error("the host sent {0} where {1} was due")]
    Unexpected(String, &'static str),
    /// The host does not agree to a version of DeviceLink.
    #[error("the host refused the version of DeviceLink: {0}")]
    Version(String),
    /// A request names another phone: a real one gives up at once.
    #[error("the request is for another phone")]
    WrongTarget,
    /// The fault `drop` or `truncated-upload` broke the connection.
    #[error("the connection was dropped on purpose")]
    Dropped,
}

/// Versions of MobileBackup2 the phone speaks.
const PROTOCOL_VERSIONS: [f64; 2] = [2.1, 2.0];

/// How long a job waits for an earlier one, whose host is gone, to notice.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one connection: handshake, one request, its answer.
pub async fn serve<S>(stream: S, phone: Arc<Phone>) -> Result<(), BackupdError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut link = Link::new(stream, Arc::clone(&phone));
    handshake(&mut link, phone.spec.knobs.devicelink).await?;
    if !hello(&mut link).await? {
        return Ok(());
    }
    let Some(request) = link.request().await? else { return Ok(()) };
    let name = request.get("MessageName").and_then(Value::as_string).unwrap_or_default().to_owned();
    phone.traffic.begin(&name);
    link.count();
    let answer = match answer(&mut link, &phone, &name, &request).await {
        Ok(content) => Ok(content),
        Err(Stop::Answer(error)) => {
            phone.say(&format!("BackupAgent2/error: Backup error - <private:{error}>"));
            Err(error)
        }
        Err(Stop::Link(error)) => {
            if matches!(error, BackupdError::Io(_) | BackupdError::HostGone) {
                phone.say("BackupAgent2/error: SocketSend (data): error 32: Broken pipe");
                phone.say("BackupAgent2/error: Computer disconnected: Lost connection");
            }
            return Err(error);
        }
    };
    goodbye(&mut link, &phone, answer).await
}

async fn handshake<S>(link: &mut Link<S>, version: u32) -> Result<(), BackupdError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let own = i64::from(version);
    link.send(&PhoneMessage::VersionExchange { major: own, minor: 0 }).await?;
    match link.receive().await? {
        HostMessage::VersionExchange { answer, version } => match answer {
            VersionAnswer::Other(word) if word != "DLErrorAcceptingDeviceLinkGreater" => {
                return Err(BackupdError::Version(word));
            }
            _ => link.version = own.min(version.unwrap_or(0)),
        },
        other => return Err(link::unexpected(&other, "an answer to the version")),
    }
    link.send(&PhoneMessage::DeviceReady).await
}

/// Agrees on a version of the application layer; false when there is none and the host was told.
async fn hello<S>(link: &mut Link<S>) -> Result<bool, BackupdError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(request) = link.request().await? else { return Ok(false) };
    if request.get("MessageName").and_then(Value::as_string) != Some("Hello") {
        return Err(BackupdError::Unexpected("another request".to_owned(), "Hello"));
    }
    let offered: Vec<f64> = request
        .get("SupportedProtocolVersions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|version| {
            version.as_real().or_else(|| version.as_signed_integer().map(as_real))
        })
        .collect();
    let close = |version: &f64| offered.iter().any(|other| (other - version).abs() < 0.01);
    let common = PROTOCOL_VERSIONS.into_iter().find(close);
    let mut keys = response(i64::from(common.is_none()));
    match common {
        Some(version) => keys.insert("ProtocolVersion".into(), version.into()),
        None => {
            keys.insert("ErrorDescription".into(), "No common supported protocol version".into())
        }
    };
    link.send(&PhoneMessage::ProcessMessage(keys)).await?;
    Ok(common.is_some())
}

/// Versions are small numbers; hosts write them with or without a fraction.
fn as_real(number: i64) -> f64 {
    i32::try_from(number).map_or(f64::NAN, f64::from)
}

fn response(code: i64) -> Dictionary {
    Dictionary::from_iter([("MessageName", Value::from("Response")), ("ErrorCode", code.into())])
}

/// Does what a request asks; gives back the content of the answer, if it has one.
async fn answer<S>(
    link: &mut Link<S>,
    phone: &Arc<Phone>,
    name: &str,
    request: &Dictionary,
) -> Result<Option<String>, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let known = matches!(
        name,
        "Backup"
            | "Restore"
            | "Info"
            | "List"
            | "Unback"
            | "Extract"
            | "ChangePassword"
            | "EnableCloudBackup"
            | "EraseDevice"
    );
    if !known {
        let text = match name {
            "Remove" => "Remove is no longer supported",
            _ => "Unknown message name received",
        };
        return Err(MbError::new(1, text).into());
    }
    if request.get("TargetIdentifier").and_then(Value::as_string) != Some(phone.udid()) {
        return Err(BackupdError::WrongTarget.into());
    }
    let source = request
        .get("SourceIdentifier")
        .and_then(Value::as_string)
        .unwrap_or(phone.udid())
        .to_owned();
    let lane = lane(phone);
    let Ok(_alone) = tokio::time::timeout(PATIENCE, lane.lock()).await else {
        return Err(MbError::new(1, "Another job is running").into());
    };
    match name {
        "Backup" => Run::new(link, phone)?.backup().await.map(|()| None),
        "ChangePassword" => Run::new(link, phone)?.change_password(request).await.map(|()| None),
        "EnableCloudBackup" => enable_cloud_backup(phone, request).map(|()| None),
        "Info" => inspect::info(link, phone, &source).await.map(Some),
        "List" => inspect::list(link, phone, &source).await.map(Some),
        _ => {
            Err(MbError::new(1, &format!("{name} is not supported by this simulated phone")).into())
        }
    }
}

/// Switches iCloud Backup on or off. Tools put the key at the top, in `Options`, or in both.
fn enable_cloud_backup(phone: &Phone, request: &Dictionary) -> Result<(), Stop> {
    const KEY: &str = "CloudBackupState";
    let options = request.get("Options").and_then(Value::as_dictionary);
    let state = request.get(KEY).or_else(|| options.and_then(|options| options.get(KEY)));
    let Some(on) = state.and_then(Value::as_boolean) else {
        return Err(MbError::new(1, "No state for cloud backup").into());
    };
    if !phone.state().management.cloud_backup {
        return Err(errors::worded(22, "cloud", phone.udid()).into());
    }
    phone
        .set_state("icloud.backup", if on { "true" } else { "false" })
        .map_err(|error| MbError::local(&error))?;
    Ok(())
}

/// One job at a time for each phone.
fn lane(phone: &Phone) -> Arc<tokio::sync::Mutex<()>> {
    static LANES: Mutex<BTreeMap<Utf8PathBuf, Arc<tokio::sync::Mutex<()>>>> =
        Mutex::new(BTreeMap::new());
    let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(lanes.entry(phone.folder.clone()).or_default())
}

async fn goodbye<S>(
    link: &mut Link<S>,
    phone: &Phone,
    answer: Result<Option<String>, MbError>,
) -> Result<(), BackupdError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut keys, reason) = match answer {
        Ok(content) => {
            let mut keys = response(0);
            if let Some(content) = content {
                keys.insert("Content".into(), content.into());
            }
            (keys, "Session complete".to_owned())
        }
        Err(error) => {
            let text = error.to_string();
            tracing::info!(code = error.code, text, "the job failed");
            let mut keys = response(error.code);
            keys.insert("ErrorDescription".into(), text.as_str().into());
            (keys, text)
        }
    };
    phone.traffic.update(|job| {
        job.error_code = keys.get("ErrorCode").and_then(Value::as_signed_integer);
        job.error_text =
            keys.get("ErrorDescription").and_then(Value::as_string).map(ToOwned::to_owned);
    });
    link.send(&PhoneMessage::ProcessMessage(std::mem::take(&mut keys))).await?;
    // A host may close as soon as it has the response.
    match link.send(&PhoneMessage::Disconnect { reason: Some(reason) }).await {
        Err(BackupdError::Io(_)) => {}
        other => other?,
    }
    phone.traffic.update(|job| job.finished = true);
    Ok(())
}
