//! Info.plist: what only the host writes into a backup (`docs/protocol.md` 6.6).

use idevice::installation_proxy::InstallationProxyClient;
use idevice::springboardservices::SpringBoardServicesClient;
use jiff::Timestamp;
use lifeboat_wire::lockdown::{domain, service};
use plist::{Dictionary, Value};
use uuid::Uuid;

use crate::afc::Afc;
use crate::error::LinkError;
use crate::limit::{ANSWER, within};
use crate::link::{Link, ServiceStream, Session};

/// What a host says that has no iTunes, where the device names no minimum.
const ITUNES_VERSION: &str = "10.0.1";
/// Bigger files of these kinds do not exist; a device that offers one is not believed.
const MAX_FILE: u64 = 16 << 20;

/// Keys of Info.plist that are lockdown values, with the lockdown key.
const VALUES: [(&str, &str); 11] = [
    ("Build Version", "BuildVersion"),
    ("Device Name", "DeviceName"),
    ("Display Name", "DeviceName"),
    ("ICCID", "IntegratedCircuitCardIdentity"),
    ("IMEI", "InternationalMobileEquipmentIdentity"),
    ("IMEI 2", "InternationalMobileEquipmentIdentity2"),
    ("MEID", "MobileEquipmentIdentifier"),
    ("Phone Number", "PhoneNumber"),
    ("Product Type", "ProductType"),
    ("Product Version", "ProductVersion"),
    ("Serial Number", "SerialNumber"),
];

/// Files that go under `iTunes Files`, of `/iTunes_Control/iTunes/`.
const ITUNES_FILES: [&str; 11] = [
    "ApertureAlbumPrefs",
    "IC-Info.sidb",
    "IC-Info.sidv",
    "PhotosFolderAlbums",
    "PhotosFolderName",
    "PhotosFolderPrefs",
    "VoiceMemos.plist",
    "iPhotoAlbumPrefs",
    "iTunesApplicationIDs",
    "iTunesPrefs",
    "iTunesPrefs.plist",
];

/// What the device told for Info.plist.
#[derive(Debug, Clone, PartialEq)]
pub struct InfoPlist {
    /// The keys of the file.
    pub keys: Dictionary,
    /// What could not be read, in words; the backup works without it.
    pub missing: Vec<String>,
}

/// Makes a date of a whole second, as Apple's are: Python's reader, and so whatever stands on it, takes no other.
pub fn date(moment: Timestamp) -> Value {
    let whole = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
    Value::Date(std::time::SystemTime::from(whole).into())
}

/// Collects Info.plist from a device. `now` becomes `Last Backup Date`.
///
/// The values of lockdownd are needed; what the other services do not give is listed as missing.
pub async fn collect(link: &Link, now: Timestamp) -> Result<InfoPlist, LinkError> {
    let mut session = link.session().await?;
    let mut keys = values(&mut session, link).await?;
    session.close().await;
    let mut missing = Vec::new();
    keys.insert("GUID".into(), Uuid::new_v4().simple().to_string().to_uppercase().into());
    keys.insert("Last Backup Date".into(), date(now));
    keys.insert("Target Type".into(), "Device".into());
    match applications(link).await {
        Ok((applications, installed)) => {
            keys.insert("Applications".into(), Value::Dictionary(applications));
            keys.insert("Installed Applications".into(), Value::Array(installed));
        }
        Err(error) => missing.push(format!("the list of apps ({error})")),
    }
    match media_files(link).await {
        Ok((itunes, books)) => {
            keys.insert("iTunes Files".into(), Value::Dictionary(itunes));
            if let Some(books) = books {
                keys.insert("iBooks Data 2".into(), Value::Data(books));
            }
        }
        Err(error) => missing.push(format!("the settings of the media folder ({error})")),
    }
    keys.sort_keys();
    Ok(InfoPlist { keys, missing })
}

async fn values(session: &mut Session, link: &Link) -> Result<Dictionary, LinkError> {
    let mut keys = Dictionary::new();
    for (key, lockdown_key) in VALUES {
        if let Some(text) = session.text(lockdown_key).await? {
            keys.insert(key.to_owned(), text.into());
        }
    }
    let udid = session.text("UniqueDeviceID").await?.unwrap_or_else(|| link.device().udid.clone());
    keys.insert("Target Identifier".into(), udid.as_str().into());
    keys.insert("Unique Identifier".into(), udid.to_uppercase().into());
    let settings =
        session.value(Some(domain::ITUNES), None).await?.and_then(Value::into_dictionary);
    keys.insert("iTunes Settings".into(), Value::Dictionary(settings.unwrap_or_default()));
    let version = session.value(Some(domain::MOBILE_ITUNES), Some("MinITunesVersion")).await?;
    let version = version.and_then(Value::into_string).unwrap_or_else(|| ITUNES_VERSION.to_owned());
    keys.insert("iTunes Version".into(), version.into());
    Ok(keys)
}

/// Returns the apps that can be installed again, with what the store wants for it, and the names of all.
async fn applications(link: &Link) -> Result<(Dictionary, Vec<Value>), LinkError> {
    let mut proxy = InstallationProxyClient::new(link.start(service::INSTALLATION_PROXY).await?);
    let options = Dictionary::from_iter([
        ("ApplicationType", Value::from("User")),
        (
            "ReturnAttributes",
            Value::Array(
                ["CFBundleIdentifier", "ApplicationSINF", "iTunesMetadata"]
                    .map(Value::from)
                    .to_vec(),
            ),
        ),
    ]);
    let apps =
        within(ANSWER, "listing the apps", proxy.browse(Some(Value::Dictionary(options)))).await?;
    let mut springboard =
        SpringBoardServicesClient::new(link.start(service::SPRINGBOARD_SERVICES).await?);
    let mut applications = Dictionary::new();
    let mut installed = Vec::new();
    for app in apps {
        let Some(mut app) = app.into_dictionary() else { continue };
        let Some(bundle) = app.remove("CFBundleIdentifier").and_then(Value::into_string) else {
            continue;
        };
        installed.push(Value::from(bundle.as_str()));
        let (Some(sinf), Some(metadata)) =
            (app.remove("ApplicationSINF"), app.remove("iTunesMetadata"))
        else {
            continue;
        };
        let mut entry =
            Dictionary::from_iter([("ApplicationSINF", sinf), ("iTunesMetadata", metadata)]);
        let icon =
            within(ANSWER, "reading an icon", springboard.get_icon_pngdata(bundle.clone())).await;
        match icon {
            Ok(png) => drop(entry.insert("PlaceholderIcon".into(), Value::Data(png))),
            Err(error) => tracing::debug!(%error, "an app has no icon"),
        }
        applications.insert(bundle, Value::Dictionary(entry));
    }
    Ok((applications, installed))
}

/// Returns the small files of the media folder that belong into Info.plist.
async fn media_files(link: &Link) -> Result<(Dictionary, Option<Vec<u8>>), LinkError> {
    let mut afc = Afc::new(link.start_service(service::AFC).await?);
    let mut itunes = Dictionary::new();
    for name in ITUNES_FILES {
        if let Some(data) = read(&mut afc, &format!("/iTunes_Control/iTunes/{name}")).await? {
            itunes.insert(name.to_owned(), Value::Data(data));
        }
    }
    let books = read(&mut afc, "/Books/iBooksData2.plist").await?;
    Ok((itunes, books))
}

/// Reads a whole small file; `None` where there is none.
async fn read(afc: &mut Afc<ServiceStream>, path: &str) -> Result<Option<Vec<u8>>, LinkError> {
    within(ANSWER, "reading a file of the media folder", afc.read_file(path, MAX_FILE)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_whole_seconds() {
        let moment: Timestamp = "2026-12-01T17:03:09.987654321Z".parse().unwrap();
        let mut text = Vec::new();
        date(moment).to_writer_xml(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("<date>2026-12-01T17:03:09Z</date>"), "{text}");
    }
}
