use plist::{Dictionary, Value};

use super::{
    EMPTY, FileErrors, Listing, MessageError, Status, elements::Elements, empty_options, encode,
    name, optional_text,
};
use crate::plist_guard::Limits;

/// The host's word on the phone's version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VersionAnswer {
    /// `DLVersionsOk`.
    Ok,
    /// Another word, such as `DLErrorAcceptingProtocolGreater`.
    Other(String),
}

impl VersionAnswer {
    const OK: &'static str = "DLVersionsOk";

    fn as_str(&self) -> &str {
        match self {
            Self::Ok => Self::OK,
            Self::Other(word) => word,
        }
    }
}

/// The host's answer to an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusResponse {
    /// How it went.
    pub status: Status,
    /// What to say about it.
    pub text: Option<String>,
    /// A dictionary (listing, multi status, nothing) or an integer (bytes); nothing when `___EmptyParameterString___`.
    pub object: Option<Value>,
}

impl StatusResponse {
    /// Success.
    pub fn ok() -> Self {
        Self::with(Status::SUCCESS, None, empty_options())
    }

    /// Failure, with a text for the phone's log.
    pub fn error(status: Status, text: impl Into<String>) -> Self {
        Self::with(status, Some(text.into()), empty_options())
    }

    /// Success with a number of bytes.
    pub fn bytes(bytes: u64) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        Self::with(Status::SUCCESS, None, bytes.into())
    }

    /// Success with a listing.
    pub fn listing(listing: &Listing) -> Self {
        Self::with(Status::SUCCESS, None, Value::Dictionary(listing.to_dictionary()))
    }

    /// Success, or "Multi status" with what failed.
    pub fn multi(errors: &FileErrors) -> Self {
        if errors.is_empty() {
            return Self::ok();
        }
        let object = Value::Dictionary(errors.to_dictionary());
        Self::with(Status::MULTI, Some("Multi status".to_owned()), object)
    }

    fn with(status: Status, text: Option<String>, object: Value) -> Self {
        Self { status, text, object: Some(object) }
    }

    /// Reads the object as a number of bytes.
    pub fn as_bytes(&self) -> Option<u64> {
        let number = super::elements::integer(self.object.as_ref()?)?;
        u64::try_from(number).ok()
    }
}

/// A message from the host.
#[derive(Clone, Debug, PartialEq)]
pub enum HostMessage {
    /// The answer to the phone's version.
    VersionExchange {
        /// The word.
        answer: VersionAnswer,
        /// The host's version; a phone takes an absent one as 0.
        version: Option<i64>,
    },
    /// The answer to an operation.
    Status(StatusResponse),
    /// The application layer: a request.
    ProcessMessage(Dictionary),
    /// The end.
    Disconnect {
        /// Why.
        reason: Option<String>,
    },
    /// A message that is not known.
    Unknown {
        /// Its name.
        name: String,
        /// What follows the name.
        raw: Vec<Value>,
    },
}

impl HostMessage {
    /// Reads a message from the payload of one unit.
    ///
    /// A status response with other than four elements is an error, as it is to a phone.
    pub fn decode(unit: &[u8], limits: &Limits) -> Result<Self, MessageError> {
        let (message, values) = super::decode(unit, limits)?;
        let elements = Elements { message: &message, values: &values };
        Ok(match message.as_str() {
            name::VERSION_EXCHANGE => {
                let word = elements.text(1)?;
                Self::VersionExchange {
                    answer: match word.as_str() {
                        VersionAnswer::OK => VersionAnswer::Ok,
                        _ => VersionAnswer::Other(word),
                    },
                    version: elements.values.get(1).and_then(super::elements::integer),
                }
            }
            name::STATUS_RESPONSE => {
                let [code, _, object] = values.as_slice() else {
                    return Err(MessageError::Element {
                        message: message.clone(),
                        index: values.len(),
                        expected: "the last of four",
                    });
                };
                let status = Status::from_value(code).ok_or_else(|| MessageError::Element {
                    message: message.clone(),
                    index: 1,
                    expected: "a number",
                })?;
                Self::Status(StatusResponse {
                    status,
                    text: elements.optional_text(2),
                    object: (object.as_string() != Some(EMPTY)).then(|| object.clone()),
                })
            }
            name::PROCESS_MESSAGE => Self::ProcessMessage(elements.dictionary(1)?),
            name::DISCONNECT => Self::Disconnect { reason: elements.optional_text(1) },
            _ => Self::Unknown { name: message, raw: values },
        })
    }

    /// Encodes the payload of one unit, as a binary property list.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::VersionExchange { answer, version } => {
                let word = Value::from(answer.as_str());
                let version = version.map(Value::from);
                encode(name::VERSION_EXCHANGE, std::iter::once(word).chain(version))
            }
            Self::Status(status) => encode(
                name::STATUS_RESPONSE,
                [
                    Value::from(status.status.0),
                    optional_text(status.text.as_deref()),
                    status.object.clone().unwrap_or_else(|| EMPTY.into()),
                ],
            ),
            Self::ProcessMessage(message) => {
                encode(name::PROCESS_MESSAGE, [Value::Dictionary(message.clone())])
            }
            Self::Disconnect { reason } => {
                encode(name::DISCONNECT, [optional_text(reason.as_deref())])
            }
            Self::Unknown { name, raw } => encode(name, raw.iter().cloned()),
        }
    }
}
