//! DeviceLink: the message layer of MobileBackup2, both directions.
//!
//! A message is one unit of [`crate::plist_frame`] that holds an array whose first element is its name. After the host's one request
//! the phone is the client of a file service: it sends [`PhoneMessage`]s and the host answers each with
//! [`HostMessage::Status`]. Files follow as the units of [`crate::files`].

use plist::{Dictionary, Value};
use thiserror::Error;

use crate::plist_guard::{self, Limits, PlistError};

mod elements;
mod host;
mod listing;
mod phone;
mod status;

pub use host::{HostMessage, StatusResponse, VersionAnswer};
pub use listing::{EntryKind, Listing, ListingEntry};
pub use phone::PhoneMessage;
pub use status::{FileErrors, FileFault, Status};

/// Stands for "nothing" wherever a string or a dictionary may be missing.
pub const EMPTY: &str = "___EmptyParameterString___";

/// Names of messages.
pub mod name {
    /// First message of the phone, and the host's answer to it.
    pub const VERSION_EXCHANGE: &str = "DLMessageVersionExchange";
    /// The phone is ready for the request.
    pub const DEVICE_READY: &str = "DLMessageDeviceReady";
    /// The phone wants files.
    pub const DOWNLOAD_FILES: &str = "DLMessageDownloadFiles";
    /// The phone sends files.
    pub const UPLOAD_FILES: &str = "DLMessageUploadFiles";
    /// How much space the host has.
    pub const GET_FREE_DISK_SPACE: &str = "DLMessageGetFreeDiskSpace";
    /// Make space on the host.
    pub const PURGE_DISK_SPACE: &str = "DLMessagePurgeDiskSpace";
    /// What is in a directory (without "Message" in its name).
    pub const CONTENTS_OF_DIRECTORY: &str = "DLContentsOfDirectory";
    /// Make a directory.
    pub const CREATE_DIRECTORY: &str = "DLMessageCreateDirectory";
    /// Rename items.
    pub const MOVE_ITEMS: &str = "DLMessageMoveItems";
    /// Rename items, before DeviceLink 200.
    pub const MOVE_FILES: &str = "DLMessageMoveFiles";
    /// Remove items.
    pub const REMOVE_ITEMS: &str = "DLMessageRemoveItems";
    /// Remove items, before DeviceLink 200.
    pub const REMOVE_FILES: &str = "DLMessageRemoveFiles";
    /// Remove a directory, before DeviceLink 200.
    pub const REMOVE_DIRECTORY: &str = "DLMessageRemoveDirectory";
    /// Copy a file or a tree.
    pub const COPY_ITEM: &str = "DLMessageCopyItem";
    /// The application layer: requests and responses.
    pub const PROCESS_MESSAGE: &str = "DLMessageProcessMessage";
    /// The end.
    pub const DISCONNECT: &str = "DLMessageDisconnect";
    /// A sign of life of old phones.
    pub const PING: &str = "DLMessagePing";
    /// The host's answer to everything but `DLMessageProcessMessage`.
    pub const STATUS_RESPONSE: &str = "DLMessageStatusResponse";
}

/// Why a unit is no message.
#[derive(Debug, Error)]
pub enum MessageError {
    /// It is no acceptable property list.
    #[error("unit is not a property list")]
    Plist(#[from] PlistError),
    /// It is not an array that begins with a name.
    #[error("message is not an array with a name")]
    NoName,
    /// An element is absent or of the wrong type.
    #[error("{message}: element {index} is not {expected}")]
    Element {
        /// The message's name.
        message: String,
        /// Position in the array; the name is 0.
        index: usize,
        /// What it should be.
        expected: &'static str,
    },
}

fn encode(name: &str, elements: impl IntoIterator<Item = Value>) -> Vec<u8> {
    let mut array = vec![Value::from(name)];
    array.extend(elements);
    plist_guard::to_binary(&Value::Array(array))
}

fn decode(unit: &[u8], limits: &Limits) -> Result<(String, Vec<Value>), MessageError> {
    let Value::Array(mut array) = plist_guard::parse(unit, limits)? else {
        return Err(MessageError::NoName);
    };
    if array.is_empty() {
        return Err(MessageError::NoName);
    }
    let Value::String(name) = array.remove(0) else {
        return Err(MessageError::NoName);
    };
    Ok((name, array))
}

fn optional_text(text: Option<&str>) -> Value {
    text.unwrap_or(EMPTY).into()
}

fn empty_options() -> Value {
    Value::Dictionary(Dictionary::new())
}

#[cfg(test)]
mod tests;
