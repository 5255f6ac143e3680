//! `Info.plist`: what the host writes about the device. A reader may rely on nothing in it.

use std::time::SystemTime;

use crate::property_list::{self, Limits, PlistError};

/// The name of the file.
pub const NAME: &str = "Info.plist";

/// The file, with readers for what is most asked; the rest is in [`InfoPlist::keys`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InfoPlist {
    keys: plist::Dictionary,
}

impl InfoPlist {
    /// Reads the file, XML or binary.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlistError> {
        Ok(Self { keys: property_list::parse_dictionary(bytes, &Limits::LARGE)? })
    }

    /// Takes a dictionary for the content of the file.
    pub const fn new(keys: plist::Dictionary) -> Self {
        Self { keys }
    }

    /// Returns all keys.
    pub const fn keys(&self) -> &plist::Dictionary {
        &self.keys
    }

    /// Returns a string.
    pub fn string(&self, key: &str) -> Option<&str> {
        self.keys.get(key).and_then(plist::Value::as_string)
    }

    /// Returns the device's name.
    pub fn device_name(&self) -> Option<&str> {
        self.string("Device Name").or_else(|| self.string("Display Name"))
    }

    /// Returns the version of iOS.
    pub fn product_version(&self) -> Option<&str> {
        self.string("Product Version")
    }

    /// Returns the model, as `iPhone14,5`.
    pub fn product_type(&self) -> Option<&str> {
        self.string("Product Type")
    }

    /// Returns the UDID.
    pub fn udid(&self) -> Option<&str> {
        self.string("Target Identifier").or_else(|| self.string("Unique Identifier"))
    }

    /// Returns when the host last made a backup; not every host says so.
    pub fn last_backup(&self) -> Option<SystemTime> {
        self.keys.get("Last Backup Date").and_then(plist::Value::as_date).map(Into::into)
    }

    /// Returns the bundle IDs of the apps that a person installed.
    pub fn installed_applications(&self) -> Vec<&str> {
        let apps = self.keys.get("Installed Applications").and_then(plist::Value::as_array);
        apps.into_iter().flatten().filter_map(plist::Value::as_string).collect()
    }

    /// Writes the file as hosts do: XML.
    pub fn encode(&self) -> Vec<u8> {
        property_list::to_xml(&plist::Value::Dictionary(self.keys.clone()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_comes_back_from_xml_and_binary() {
        let mut keys = plist::Dictionary::new();
        keys.insert("Device Name".into(), "Anna's iPhone".into());
        keys.insert("Target Identifier".into(), "00008110-000A1B2C3D4E5F60".into());
        keys.insert(
            "Installed Applications".into(),
            plist::Value::Array(vec!["org.example.a".into()]),
        );
        let info = InfoPlist::new(keys);
        for bytes in [
            info.encode(),
            property_list::to_binary(&plist::Value::Dictionary(info.keys().clone())),
        ] {
            let read = InfoPlist::parse(&bytes).unwrap();
            assert_eq!(read, info);
            assert_eq!(read.device_name(), Some("Anna's iPhone"));
            assert_eq!(read.installed_applications(), ["org.example.a"]);
            assert_eq!((read.last_backup(), read.product_type()), (None, None));
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in "(<(plist|dict|/dict|key|/key|array|string|date|integer|data|!--|/)>?|[ -~]{0,9}){0,30}") {
            drop(InfoPlist::parse(noise.as_bytes()));
        }
    }
}
