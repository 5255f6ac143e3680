use plist::{Dictionary, Value};

use super::{MessageError, elements::Elements, empty_options, encode, name, optional_text};
use crate::plist_guard::Limits;

/// A message from the phone.
///
/// `progress` is the percentage the phone expects at the end of the operation, absent when it sent none.
#[derive(Clone, Debug, PartialEq)]
pub enum PhoneMessage {
    /// The first message: the version of DeviceLink that the phone speaks.
    VersionExchange {
        /// 100, 300, 400.
        major: i64,
        /// Usually 0.
        minor: i64,
    },
    /// Versions agree; the host may send its request.
    DeviceReady,
    /// Send me these files.
    DownloadFiles {
        /// Which, possibly none.
        paths: Vec<String>,
        /// Percentage at the end.
        progress: Option<f64>,
        /// Bytes of the batch, 0 for unknown.
        size: u64,
    },
    /// Files follow as a stream of [`crate::files`].
    UploadFiles {
        /// Percentage at the end.
        progress: Option<f64>,
        /// Bytes of the batch, 0 for unknown.
        size: u64,
    },
    /// How much space is there?
    GetFreeDiskSpace,
    /// Make space.
    PurgeDiskSpace {
        /// Bytes wanted.
        amount: u64,
        /// How badly.
        urgency: i64,
    },
    /// What is in this directory?
    ContentsOfDirectory {
        /// Which.
        path: String,
        /// Percentage at the end.
        progress: Option<f64>,
    },
    /// Make this directory.
    CreateDirectory {
        /// Which.
        path: String,
        /// Percentage at the end.
        progress: Option<f64>,
    },
    /// Rename these.
    MoveItems {
        /// From and to, in the order sent.
        items: Vec<(String, String)>,
        /// Percentage at the end.
        progress: Option<f64>,
        /// Whether it came as `DLMessageMoveFiles`.
        old_name: bool,
    },
    /// Remove these, directories with all that is in them.
    RemoveItems {
        /// Which.
        paths: Vec<String>,
        /// Percentage at the end.
        progress: Option<f64>,
        /// Whether it came as `DLMessageRemoveFiles`.
        old_name: bool,
    },
    /// Remove a directory (DeviceLink before 200).
    RemoveDirectory {
        /// Which.
        path: String,
    },
    /// Copy a file or a tree.
    CopyItem {
        /// What.
        from: String,
        /// Where.
        to: String,
        /// Percentage at the end.
        progress: Option<f64>,
        /// Its size, 0 for unknown.
        size: u64,
    },
    /// The application layer: the response to the request. It gets no answer.
    ProcessMessage(Dictionary),
    /// The end.
    Disconnect {
        /// Why.
        reason: Option<String>,
    },
    /// A sign of life, to be ignored.
    Ping,
    /// A message that is not known. It must be answered with [`super::Status::UNIMPLEMENTED`], or the phone waits for ever.
    Unknown {
        /// Its name.
        name: String,
        /// What follows the name.
        raw: Vec<Value>,
    },
}

impl PhoneMessage {
    /// Reads a message from the payload of one unit.
    pub fn decode(unit: &[u8], limits: &Limits) -> Result<Self, MessageError> {
        let (message, values) = super::decode(unit, limits)?;
        let elements = Elements { message: &message, values: &values };
        Ok(match message.as_str() {
            name::VERSION_EXCHANGE => {
                Self::VersionExchange { major: elements.integer(1)?, minor: elements.integer(2)? }
            }
            name::DEVICE_READY => Self::DeviceReady,
            name::DOWNLOAD_FILES => Self::DownloadFiles {
                paths: elements.texts(1)?,
                progress: elements.progress(3),
                size: elements.size(4)?,
            },
            name::UPLOAD_FILES => {
                Self::UploadFiles { progress: elements.progress(2), size: elements.size(3)? }
            }
            name::GET_FREE_DISK_SPACE => Self::GetFreeDiskSpace,
            name::PURGE_DISK_SPACE => {
                Self::PurgeDiskSpace { amount: elements.size(1)?, urgency: elements.integer(2)? }
            }
            name::CONTENTS_OF_DIRECTORY => Self::ContentsOfDirectory {
                path: elements.text(1)?,
                progress: elements.progress(3),
            },
            name::CREATE_DIRECTORY => {
                Self::CreateDirectory { path: elements.text(1)?, progress: elements.progress(3) }
            }
            name::MOVE_ITEMS | name::MOVE_FILES => Self::MoveItems {
                items: elements.pairs(1)?,
                progress: elements.progress(3),
                old_name: message == name::MOVE_FILES,
            },
            name::REMOVE_ITEMS | name::REMOVE_FILES => Self::RemoveItems {
                paths: elements.texts(1)?,
                progress: elements.progress(3),
                old_name: message == name::REMOVE_FILES,
            },
            name::REMOVE_DIRECTORY => Self::RemoveDirectory { path: elements.text(1)? },
            name::COPY_ITEM => Self::CopyItem {
                from: elements.text(1)?,
                to: elements.text(2)?,
                progress: elements.progress(4),
                size: elements.size(5)?,
            },
            name::PROCESS_MESSAGE => Self::ProcessMessage(elements.dictionary(1)?),
            name::DISCONNECT => Self::Disconnect { reason: elements.optional_text(1) },
            name::PING => Self::Ping,
            _ => Self::Unknown { name: message, raw: values },
        })
    }

    /// Encodes the payload of one unit, as a binary property list.
    pub fn encode(&self) -> Vec<u8> {
        encode(self.name(), self.elements())
    }

    /// Returns the name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::VersionExchange { .. } => name::VERSION_EXCHANGE,
            Self::DeviceReady => name::DEVICE_READY,
            Self::DownloadFiles { .. } => name::DOWNLOAD_FILES,
            Self::UploadFiles { .. } => name::UPLOAD_FILES,
            Self::GetFreeDiskSpace => name::GET_FREE_DISK_SPACE,
            Self::PurgeDiskSpace { .. } => name::PURGE_DISK_SPACE,
            Self::ContentsOfDirectory { .. } => name::CONTENTS_OF_DIRECTORY,
            Self::CreateDirectory { .. } => name::CREATE_DIRECTORY,
            Self::MoveItems { old_name, .. } if *old_name => name::MOVE_FILES,
            Self::MoveItems { .. } => name::MOVE_ITEMS,
            Self::RemoveItems { old_name, .. } if *old_name => name::REMOVE_FILES,
            Self::RemoveItems { .. } => name::REMOVE_ITEMS,
            Self::RemoveDirectory { .. } => name::REMOVE_DIRECTORY,
            Self::CopyItem { .. } => name::COPY_ITEM,
            Self::ProcessMessage(_) => name::PROCESS_MESSAGE,
            Self::Disconnect { .. } => name::DISCONNECT,
            Self::Ping => name::PING,
            Self::Unknown { name, .. } => name,
        }
    }

    fn elements(&self) -> Vec<Value> {
        // A percentage that is absent goes out as 0, never as a gap.
        let percent = |progress: &Option<f64>| Value::Real(progress.unwrap_or(0.0));
        let strings = |paths: &[String]| {
            Value::Array(paths.iter().map(|path| path.as_str().into()).collect())
        };
        match self {
            Self::DeviceReady | Self::GetFreeDiskSpace | Self::Ping => Vec::new(),
            Self::VersionExchange { major, minor } => vec![(*major).into(), (*minor).into()],
            Self::DownloadFiles { paths, progress, size } => {
                vec![strings(paths), empty_options(), percent(progress), (*size).into()]
            }
            Self::UploadFiles { progress, size } => {
                vec![empty_options(), percent(progress), (*size).into()]
            }
            Self::PurgeDiskSpace { amount, urgency } => vec![(*amount).into(), (*urgency).into()],
            Self::ContentsOfDirectory { path, progress }
            | Self::CreateDirectory { path, progress } => {
                vec![path.as_str().into(), empty_options(), percent(progress)]
            }
            Self::MoveItems { items, progress, .. } => {
                let items: Dictionary = items
                    .iter()
                    .map(|(from, to)| (from.clone(), Value::from(to.as_str())))
                    .collect();
                vec![Value::Dictionary(items), empty_options(), percent(progress)]
            }
            Self::RemoveItems { paths, progress, .. } => {
                vec![strings(paths), empty_options(), percent(progress)]
            }
            Self::RemoveDirectory { path } => {
                vec![path.as_str().into(), empty_options(), percent(&None)]
            }
            Self::CopyItem { from, to, progress, size } => vec![
                from.as_str().into(),
                to.as_str().into(),
                empty_options(),
                percent(progress),
                (*size).into(),
            ],
            Self::ProcessMessage(message) => vec![Value::Dictionary(message.clone())],
            Self::Disconnect { reason } => vec![optional_text(reason.as_deref())],
            Self::Unknown { raw, .. } => raw.clone(),
        }
    }
}
