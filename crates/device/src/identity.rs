//! What a device tells anybody, without trust: that it answers, in which mode, which iOS.

use plist::Value;

use crate::error::LinkError;
use crate::mux::{Device, Mux};
use crate::pairing::Plain;

/// What a device tells anybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The program that answered: `com.apple.mobile.lockdown`, or `com.apple.mobile.restored` in the mode for restores.
    pub service: String,
    /// The version of iOS.
    pub version: Option<String>,
    /// The build of iOS; one that ends with a small letter is a beta.
    pub build: Option<String>,
    /// The model.
    pub model: Option<String>,
}

/// Asks a device who it is.
pub async fn identity(mux: &Mux, device: &Device) -> Result<Identity, LinkError> {
    let mut plain = Plain::open(mux, device).await?;
    let service = plain.service().await?;
    let mut text = async |key: &str| match plain.value(key).await {
        Ok(value) => Ok(value.and_then(Value::into_string).as_deref().map(short)),
        // A mode that knows no values.
        Err(LinkError::Refused(_) | LinkError::RefusedUnknown(_)) => Ok(None),
        Err(error) => Err(error),
    };
    Ok(Identity {
        version: text("ProductVersion").await?,
        build: text("BuildVersion").await?,
        model: text("ProductType").await?,
        service: short(&service),
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
