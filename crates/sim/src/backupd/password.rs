//! Sets, changes and removes the backup password (docs/protocol.md 8.3).
//!
//! The order is a real phone's, with its weak side: the keychain is changed first, and what fails after that on the host fails the
//! request without changing it back.

use lifeboat_mobilesync::ManifestPlist;
use lifeboat_wire::devicelink::Status;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::errors;
use super::fail::{MbError, Stop};
use super::opening::unreadable;
use super::run::{Run, Step, apart};
use crate::options::{Password, RuleError};
use crate::phone::PromptReason;

/// The property list on the host that a change of the password looks for, the newest first.
const PLACES: [&str; 2] = ["Snapshot/Manifest.plist", "Manifest.plist"];

const TEXT: &str = "Error reading backup properties";

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
}
