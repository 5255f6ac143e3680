//! What lockdownd answers, request by request (docs/protocol.md, lockdownd).

use std::sync::Arc;

use lifeboat_wire::lockdown::{ErrorWord, notification, service};
use plist::{Dictionary, Value};
use rustls::ServerConfig;

use super::{pairing, values};
use crate::memory::MemoryError;
use crate::options::TlsKnob;
use crate::phone::Phone;
use crate::services::Service;
use crate::tls;

/// An answer, and what happens after it was sent.
pub(super) struct Reply {
    pub(super) keys: Dictionary,
    pub(super) then: Then,
}

/// What happens after an answer.
pub(super) enum Then {
    /// The next request.
    Continue,
    /// The TLS handshake of a session.
    StartTls(Arc<ServerConfig>),
    /// Plain text again.
    StopTls,
    /// The end of the connection.
    Close,
}

/// One connection's state.
pub(super) struct Conversation {
    phone: Arc<Phone>,
    session: Option<Session>,
}

struct Session {
    id: String,
    host_id: String,
    tls: Arc<ServerConfig>,
}

/// What a request came to: keys of the answer, or the error word.
type Outcome = Result<Dictionary, ErrorWord>;

impl From<MemoryError> for Refusal {
    fn from(error: MemoryError) -> Self {
        tracing::error!(%error, "lockdownd cannot remember");
        Self(ErrorWord::InvalidResponse)
    }
}

/// An error word that stands for an error of the simulator itself.
pub(super) struct Refusal(pub(super) ErrorWord);

impl From<Refusal> for ErrorWord {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

impl Conversation {
    pub(super) fn new(phone: Arc<Phone>) -> Self {
        Self { phone, session: None }
    }

    /// Answers one request.
    pub(super) fn answer(&mut self, request: &Dictionary) -> Reply {
        let name = text(request, "Request").unwrap_or_default();
        let mut then = Then::Continue;
        let outcome = match name {
            "QueryType" => Ok(keys([("Type", "com.apple.mobile.lockdown".into())])),
            "GetValue" => self.get_value(request),
            "SetValue" => self.set_value(request),
            "RemoveValue" => self.remove_value(request),
            "Pair" => pairing::pair(&self.phone, request),
            "ValidatePair" => pairing::validate(&self.phone, request),
            "Unpair" => pairing::unpair(&self.phone, request),
            "StartSession" => self.start_session(request).inspect(|_| {
                then = self
                    .session
                    .as_ref()
                    .map_or(Then::Continue, |s| Then::StartTls(Arc::clone(&s.tls)));
            }),
            "StopSession" => self.stop_session(request).inspect(|_| then = Then::StopTls),
            "StartService" => self.start_service(request),
            "Goodbye" => {
                then = Then::Close;
                Ok(Dictionary::new())
            }
            _ => Err(ErrorWord::InvalidResponse),
        };
        tracing::debug!(request = name, key = text(request, "Key"), error = ?outcome.as_ref().err(), "lockdownd");
        let mut answer = keys([("Request", name.into())]);
        match outcome {
            Ok(rest) => answer.extend(rest),
            Err(word) => drop(answer.insert("Error".to_owned(), word.as_str().into())),
        }
        Reply { keys: answer, then }
    }

    fn get_value(&self, request: &Dictionary) -> Outcome {
        let domain = text(request, "Domain").filter(|domain| !domain.is_empty());
        let key = text(request, "Key").filter(|key| !key.is_empty());
        let trusted = self.session.is_some();
        let value = values::get(&self.phone, domain, key, trusted)?;
        Ok(with_place(domain, key, Some(value)))
    }

    fn set_value(&self, request: &Dictionary) -> Outcome {
        self.trusted()?;
        let domain = text(request, "Domain").filter(|domain| !domain.is_empty());
        let key = text(request, "Key").ok_or(ErrorWord::MissingKey)?;
        let value = request.get("Value").ok_or(ErrorWord::MissingValue)?;
        values::set(&self.phone, domain, key, value)?;
        if domain.is_none() && key == "DeviceName" {
            self.phone.notify(notification::DEVICE_NAME_CHANGED);
        }
        Ok(with_place(domain, Some(key), Some(value.clone())))
    }

    fn remove_value(&self, request: &Dictionary) -> Outcome {
        self.trusted()?;
        let domain = text(request, "Domain").filter(|domain| !domain.is_empty());
        let key = text(request, "Key").ok_or(ErrorWord::MissingKey)?;
        values::remove(&self.phone, domain, key)?;
        Ok(with_place(domain, Some(key), None))
    }

    fn start_session(&mut self, request: &Dictionary) -> Outcome {
        if self.session.is_some() {
            return Err(ErrorWord::SessionActive);
        }
        let host_id = text(request, "HostID").ok_or(ErrorWord::MissingHostID)?;
        let host = self.phone.trusted_host(host_id).ok_or(ErrorWord::InvalidHostID)?;
        let versions: TlsKnob = self.phone.spec.knobs.tls;
        let tls = tls::server_config(&self.phone.key, &host, versions).map_err(|error| {
            tracing::error!(%error, "no TLS for a trusted host");
            ErrorWord::InvalidPairRecord
        })?;
        let id = uuid::Uuid::new_v4().to_string().to_uppercase();
        let answer =
            keys([("SessionID", id.as_str().into()), ("EnableSessionSSL", Value::Boolean(true))]);
        self.session = Some(Session { id, host_id: host_id.to_owned(), tls });
        Ok(answer)
    }

    fn stop_session(&mut self, request: &Dictionary) -> Outcome {
        let session = self.trusted()?;
        let id = text(request, "SessionID").ok_or(ErrorWord::MissingSessionID)?;
        if session.id != id {
            return Err(ErrorWord::InvalidSessionID);
        }
        self.session = None;
        Ok(keys([("SessionID", id.into())]))
    }

    fn start_service(&self, request: &Dictionary) -> Outcome {
        let name = text(request, "Service").ok_or(ErrorWord::MissingService)?;
        let started = Service::named(name);
        if name == service::INSECURE_NOTIFICATION_PROXY {
            let port =
                self.phone.ports.open(Service::NotificationProxy, None, &self.phone.spec.knobs);
            return Ok(keys([("Port", port.into()), ("Service", name.into())]));
        }
        let session = self.trusted()?;
        let started = started.ok_or(ErrorWord::InvalidService)?;
        self.check_escrow(request, &session.host_id, started)?;
        let tls = Some(Arc::clone(&session.tls));
        let port = self.phone.ports.open(started, tls, &self.phone.spec.knobs);
        Ok(keys([
            ("Port", port.into()),
            ("Service", name.into()),
            ("EnableServiceSSL", Value::Boolean(true)),
        ]))
    }

    /// What the escrow bag, or its absence, means in each state of the lock (docs/protocol.md,
    /// escrow bag).
    fn check_escrow(
        &self,
        request: &Dictionary,
        host_id: &str,
        service: Service,
    ) -> Result<(), ErrorWord> {
        let before_first_unlock = self.phone.is_before_first_unlock();
        match request.get("EscrowBag").and_then(Value::as_data) {
            Some(_) if before_first_unlock => Err(ErrorWord::MissingValue),
            Some(bag) => {
                let host = self.phone.trusted_host(host_id).ok_or(ErrorWord::InvalidHostID)?;
                if host.escrow_bag == hex::encode(bag) {
                    Ok(())
                } else {
                    Err(ErrorWord::EscrowLocked)
                }
            }
            None if before_first_unlock && service.needs_user_data() => {
                Err(ErrorWord::PasswordProtected)
            }
            None => Ok(()),
        }
    }

    fn trusted(&self) -> Result<&Session, ErrorWord> {
        self.session.as_ref().ok_or(ErrorWord::SessionInactive)
    }
}

fn with_place(domain: Option<&str>, key: Option<&str>, value: Option<Value>) -> Dictionary {
    let mut answer = Dictionary::new();
    for (name, part) in [("Domain", domain), ("Key", key)] {
        if let Some(part) = part {
            answer.insert(name.to_owned(), part.into());
        }
    }
    if let Some(value) = value {
        answer.insert("Value".to_owned(), value);
    }
    answer
}

/// Makes a dictionary.
pub(super) fn keys<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the text of a key.
pub(super) fn text<'a>(keys: &'a Dictionary, key: &str) -> Option<&'a str> {
    keys.get(key).and_then(Value::as_string)
}
