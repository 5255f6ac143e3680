//! Sets, changes and removes the backup password (docs/protocol.md 8.3).
//!
//! The order is a real phone's, with its weak side: the keychain is changed first, and what fails after that on the host fails the
//! request without changing it back.

use std::sync::Arc;

use lifeboat_mobilesync::ManifestPlist;
use lifeboat_wire::devicelink::Status;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::errors;
use super::fail::{MbError, Stop};
use super::opening::unreadable;
use super::plan::Sealing;
use super::run::{Run, Step, apart};
use super::secrets::Secrets;
use crate::options::{Password, Reuse, RuleError};
use crate::phone::PromptReason;

use lifeboat_mobilesync::crypto::Key;
use lifeboat_mobilesync::keybag::WrappedKey;

/// The property list on the host that a change of the password looks for, the newest first.
const PLACES: [&str; 2] = ["Snapshot/Manifest.plist", "Manifest.plist"];

const TEXT: &str = "Error reading backup properties";

/// The key of a `Manifest.db` to be, and what `Manifest.plist` says of it.
pub(super) struct ManifestKey {
    pub(super) secrets: Arc<Secrets>,
    pub(super) key: Key,
    pub(super) wrapped: WrappedKey,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Does what a request to change the password says.
    pub(super) async fn change_password(mut self, request: &Dictionary) -> Result<(), Stop> {
        self.step(Step::Request)?;
        self.passcode(PromptReason::ChangePassword).await?;
        let given = |key: &str| request.get(key).and_then(Value::as_string).and_then(Password::new);
        let (old, new) = (given("OldPassword"), given("NewPassword"));
        if let Some(stored) = &self.password
            && old.as_ref() != Some(stored)
        {
            return Err(errors::worded(207, "", &self.udid).into());
        }
        let Some(new) = new else {
            if self.phone.state().management.encrypted_backup {
                let (code, reason) = match self.phone.spec.encryption.rule_error {
                    RuleError::Plain => (22, "encryption"),
                    RuleError::Wrapped => (1, "encryption-rule"),
                };
                return Err(errors::worded(code, reason, &self.udid).into());
            }
            return self.keep(None);
        };
        self.keep(Some(new.clone()))?;
        for place in PLACES {
            if self.rewrap(place, old.as_ref(), &new).await? {
                break;
            }
        }
        Ok(())
    }

    /// Puts the password into the keychain, or takes it out.
    fn keep(&self, new: Option<Password>) -> Result<(), Stop> {
        self.vault.forget().map_err(|error| MbError::local(&error))?;
        self.phone.set_backup_password(new).map_err(|error| MbError::local(&error).into())
    }

    /// Makes a backup that lies on the host one of the new password, if it is encrypted and was one of the old; false when
    /// there is none at this place.
    async fn rewrap(
        &mut self,
        place: &str,
        old: Option<&Password>,
        new: &Password,
    ) -> Result<bool, Stop> {
        let path = self.on_host(place);
        let target = self.cache.fetched("Manifest.plist");
        if let Err(refusal) = self.link.download(&path, 0.0, &target).await? {
            return match refusal.status {
                Status::NOT_FOUND => Ok(false),
                _ => Err(MbError::reading(TEXT, refusal.underlying(&path)).into()),
            };
        }
        let mut manifest = ManifestPlist::parse(&fs_err::read(&target)?)
            .map_err(|error| MbError::reading(TEXT, unreadable(&error, &path)))?;
        let (Some(old), Some(bag), true) =
            (old.cloned(), manifest.keybag.clone(), manifest.is_encrypted)
        else {
            return Ok(true);
        };
        let (vault, new) = (self.vault.clone(), new.clone());
        let rewrapped = apart(move || vault.rewrap(&bag, &old, &new)).await?;
        let Some(bag) = rewrapped.map_err(|error| MbError::local(&error))? else {
            // Another password's backup: it stays that.
            return Ok(true);
        };
        manifest.keybag = Some(bag);
        let bytes = manifest.encode();
        self.cache.keep("Manifest.plist", &bytes)?;
        let device = self.temporary_name();
        self.upload_control(&device, &path, &mut bytes.as_slice(), 50.0, bytes.len() as u64)
            .await?;
        Ok(true)
    }

    /// Returns the key for the `Manifest.db` of this backup: a new one, or the last one again; nothing when it is not encrypted.
    pub(super) fn manifest_key(&mut self) -> Result<Option<ManifestKey>, Stop> {
        let Some(Sealing { secrets, .. }) = self.sealing.clone() else { return Ok(None) };
        let spec = &self.phone.spec.encryption;
        let last = secrets.manifest.clone().filter(|_| spec.manifest_key == Reuse::Kept);
        let local = |error| Stop::from(MbError::local(&error));
        let (key, wrapped) = match last {
            Some(wrapped) => (secrets.open(&wrapped.encode()).map_err(local)?, wrapped),
            None => {
                let key = self.keys.next();
                let wrapped = secrets.seal(spec.manifest_class.into(), &key).map_err(local)?;
                (key, wrapped)
            }
        };
        Ok(Some(ManifestKey { secrets, key, wrapped }))
    }
}
