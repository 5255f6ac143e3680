//! A link: a device that trusts this computer, its values and its services.
//!
//! A lockdown session that idles is closed by the device after some seconds (`docs/protocol.md` 2.1), so a [`Link`]
//! keeps none: each step opens its own [`Session`].

use idevice::lockdown::LockdownClient;
use idevice::pairing_file::PairingFile;
use idevice::{Idevice, IdeviceError, ReadWrite};
use lifeboat_host::discretion;
use lifeboat_wire::lockdown::ErrorWord;
use plist::Value;
use tokio::io::BufReader;
use tokio::time::Instant;

use crate::error::{LinkError, handshake};
use crate::limit::{ANSWER, ms, within};
use crate::mux::{Device, LABEL, Mux};
use crate::pairing::PairingRecord;

/// How much is read at once below TLS.
const READ: usize = 128 << 10;

/// The stream of a started service, encrypted where the device wants it so.
pub type ServiceStream = Box<dyn ReadWrite>;

/// A device that trusts this computer.
#[derive(Debug, Clone)]
pub struct Link {
    mux: Mux,
    device: Device,
    record: PairingRecord,
}

impl Link {
    /// Opens a link: reads the pairing record from the mux and proves it with one session.
    ///
    /// Fails with [`LinkError::NotPaired`] where there is no record and with [`LinkError::NotTrusted`] where the
    /// device does not honour it any more.
    pub async fn open(mux: &Mux, device: &Device) -> Result<Self, LinkError> {
        let since = Instant::now();
        let Some(bytes) = mux.read_record(&device.udid).await? else {
            tracing::info!(ms = ms(since), "there is no pairing record of the device");
            return Err(LinkError::NotPaired);
        };
        let record = PairingRecord::parse(&bytes)?;
        let link = Self { mux: mux.clone(), device: device.clone(), record };
        link.session().await?.close().await;
        tracing::info!(connection = ?device.connection, ms = ms(since), "the device knows this computer");
        Ok(link)
    }

    /// Returns the device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the mux through which it is reached.
    pub fn mux(&self) -> &Mux {
        &self.mux
    }

    /// Opens a session. A device that breaks off while its encryption is agreed on is asked once more: a link that shook for a
    /// moment stands then.
    pub async fn session(&self) -> Result<Session, LinkError> {
        match self.try_session().await {
            Err(LinkError::HandshakeBroken(error)) => {
                tracing::info!(%error, "the encryption of the session was broken off; trying once more");
                self.try_session().await
            }
            tried => tried,
        }
    }

    async fn try_session(&self) -> Result<Session, LinkError> {
        let file = self.record.to_pairing_file()?;
        let stream = self.mux.open(&self.device, LockdownClient::LOCKDOWND_PORT).await?;
        let mut lockdown = LockdownClient::new(stream);
        // Whoever does not answer this is gone; whoever does, and then hangs up, does not know us.
        within(ANSWER, "asking the device who it is", lockdown.idevice.get_type()).await?;
        within(ANSWER, "starting a session", async {
            lockdown.start_session(&file).await.map_err(|error| match error {
                IdeviceError::Socket(error) => handshake(error),
                other => other.into(),
            })
        })
        .await?;
        Ok(Session { lockdown })
    }

    /// Starts a service and returns its stream. The escrow bag goes along where the record has one.
    pub async fn start_service(&self, name: &str) -> Result<ServiceStream, LinkError> {
        let stream = self.start(name).await?;
        stream.get_socket().ok_or_else(no_stream)
    }

    /// Starts a service for one of `idevice`'s clients.
    ///
    /// A device that made a session with us a moment ago knows us: where it breaks off the encryption of the service, and does it
    /// again, it is the encryption that fails (`docs/protocol.md` 2.6).
    pub(crate) async fn start(&self, name: &str) -> Result<Idevice, LinkError> {
        let since = Instant::now();
        let broken = || LinkError::Tls("the device broke the handshake of the service off".into());
        let started = match self.try_start(name).await? {
            Some(stream) => stream,
            None => self.try_start(name).await?.ok_or_else(broken)?,
        };
        tracing::info!(name, ms = ms(since), "a service of the device is started");
        Ok(started)
    }

    /// Starts a service; nothing where the device broke the handshake off.
    async fn try_start(&self, name: &str) -> Result<Option<Idevice>, LinkError> {
        let mut session = self.session().await?;
        let escrow = self.record.escrow_bag();
        let with_escrow = escrow.is_some();
        let started = within(
            ANSWER,
            "starting a service",
            session.lockdown.start_service_with_escrow(name, escrow),
        )
        .await;
        let (port, encrypted) = started.map_err(|error| match error {
            LinkError::Refused(ErrorWord::MissingValue) if with_escrow => {
                LinkError::BeforeFirstUnlock
            }
            LinkError::Refused(ErrorWord::InvalidService) => LinkError::NoService(name.to_owned()),
            other => other,
        })?;
        let mut stream = self.mux.open(&self.device, port).await?;
        if encrypted {
            // TLS reads record by record, in small pieces: one large read below it saves most of the system calls.
            let socket = stream.get_socket().ok_or_else(no_stream)?;
            stream = Idevice::new(Box::new(BufReader::with_capacity(READ, socket)), LABEL);
            let file: PairingFile = self.record.to_pairing_file()?;
            let encrypted = within(ANSWER, "encrypting a service", async {
                stream.start_session(&file, false).await.map_err(|error| match error {
                    IdeviceError::Socket(error) => handshake(error),
                    other => other.into(),
                })
            });
            match encrypted.await {
                Err(LinkError::HandshakeBroken(error)) => {
                    tracing::info!(%error, name, "the encryption of a service was broken off");
                    session.close().await;
                    return Ok(None);
                }
                encrypted => encrypted?,
            }
        }
        session.close().await;
        Ok(Some(stream))
    }
}

/// Values that tell who a device is (`docs/protocol.md` 2.8); its UDID is known by its shape.
const TELLING: [&str; 12] = [
    "BluetoothAddress",
    "DeviceName",
    "EthernetAddress",
    "IntegratedCircuitCardIdentity",
    "IntegratedCircuitCardIdentity2",
    "InternationalMobileEquipmentIdentity",
    "InternationalMobileEquipmentIdentity2",
    "MLBSerialNumber",
    "MobileEquipmentIdentifier",
    "PhoneNumber",
    "SerialNumber",
    "WiFiAddress",
];

/// Keeps out of the log what a value tells of the device's identity.
fn discreet(key: Option<&str>, value: &Value) {
    let quiet = |key: &str, value: &Value| {
        if TELLING.contains(&key)
            && let Some(text) = value.as_string()
        {
            discretion::keep_quiet(text);
        }
    };
    match (key, value) {
        (Some(key), value) => quiet(key, value),
        (None, Value::Dictionary(all)) => all.iter().for_each(|(key, value)| quiet(key, value)),
        (None, _) => {}
    }
}

fn no_stream() -> LinkError {
    LinkError::Malformed("the service has no stream".into())
}

/// A lockdown session.
#[derive(Debug)]
pub struct Session {
    lockdown: LockdownClient,
}

impl Session {
    /// Returns a value; `None` where the device has none or hides it. Without a key: all of the domain.
    pub async fn value(
        &mut self,
        domain: Option<&str>,
        key: Option<&str>,
    ) -> Result<Option<Value>, LinkError> {
        let answer = within(ANSWER, "reading a value", self.lockdown.get_value(key, domain)).await;
        let came = answer.is_ok();
        tracing::debug!(domain = domain.unwrap_or(""), key = key.unwrap_or("all"), came, "a value");
        match answer {
            Ok(value) => {
                discreet(key, &value);
                Ok(Some(value))
            }
            Err(LinkError::Refused(ErrorWord::MissingValue | ErrorWord::GetProhibited)) => Ok(None),
            // An answer without `Value`: some devices answer an absent value so.
            Err(LinkError::Malformed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a value.
    pub async fn set(
        &mut self,
        domain: Option<&str>,
        key: &str,
        value: Value,
    ) -> Result<(), LinkError> {
        within(ANSWER, "setting a value", self.lockdown.set_value(key, value, domain)).await
    }

    /// Returns a text; `None` where there is none.
    pub async fn text(&mut self, key: &str) -> Result<Option<String>, LinkError> {
        Ok(self.value(None, Some(key)).await?.and_then(Value::into_string))
    }

    /// Ends the session. What the device answers does not matter any more.
    pub async fn close(mut self) {
        if within(ANSWER, "ending a session", self.lockdown.stop_session()).await.is_err() {
            tracing::debug!("the device did not confirm the end of the session");
        }
    }
}
