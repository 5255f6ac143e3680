//! Management of the device: supervision and configuration profiles (`docs/protocol.md` 10.4).

use lifeboat_wire::lockdown::service;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::LinkError;
use crate::link::Link;
use crate::service::PlistService;

/// How many profiles are looked at.
const MANY: usize = 500;

/// What the device tells about its management.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Management {
    /// The device is supervised.
    pub supervised: bool,
    /// Whether its owner lets it pair with other computers; nothing where it does not say.
    pub may_pair: Option<bool>,
    /// The device is shared (education), or returns to service when erased.
    pub shared: bool,
    /// What is installed.
    pub profiles: Vec<Profile>,
}

/// A configuration profile: its payload types, as far as the device tells them, and the settings that it shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// Its identifier.
    pub identifier: String,
    /// Types of its payloads.
    pub payloads: Vec<String>,
    /// Whether it lets the device back up to iCloud, where it shows that.
    pub cloud_backup: Option<bool>,
}

/// Reads what the device tells about its management.
pub async fn management(link: &Link) -> Result<Management, LinkError> {
    let stream = link.start_service(service::MC_INSTALL).await?;
    read(&mut PlistService::new(stream)).await
}

async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    service: &mut PlistService<S>,
) -> Result<Management, LinkError> {
    let cloud = ask(service, "GetCloudConfiguration").await?;
    let list = ask(service, "GetProfileList").await?;
    for (answer, key) in
        [(&cloud, "CloudConfiguration"), (&list, "ProfileMetadata"), (&list, "ProfileManifest")]
    {
        if answer.get(key).is_some_and(|value| value.as_dictionary().is_none()) {
            return Err(LinkError::Malformed(format!("{key} is of another type")));
        }
    }
    let cloud = cloud.get("CloudConfiguration").and_then(Value::as_dictionary);
    Ok(Management { profiles: profiles(&list), ..configuration(cloud)? })
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    service: &mut PlistService<S>,
    request: &str,
) -> Result<Dictionary, LinkError> {
    let request = Dictionary::from_iter([("RequestType", Value::from(request))]);
    let answer = service.ask("asking for the management of the device", &request).await?;
    match answer.get("Status").and_then(Value::as_string) {
        Some("Acknowledged") => Ok(answer),
        Some(_) => Err(LinkError::Malformed("the management of the device is not told".to_owned())),
        None => Err(LinkError::Malformed("an answer without a status".to_owned())),
    }
}

/// Reads who manages the device. What is absent is not so; what is of another type says nothing, and must not pass for "no".
fn configuration(cloud: Option<&Dictionary>) -> Result<Management, LinkError> {
    let flag = |key: &str| match cloud.and_then(|keys| keys.get(key)) {
        None => Ok(None),
        Some(Value::Boolean(flag)) => Ok(Some(*flag)),
        Some(_) => Err(LinkError::Malformed(format!("{key} is of another type"))),
    };
    Ok(Management {
        supervised: flag("IsSupervised")?.unwrap_or(false),
        may_pair: flag("AllowPairing")?,
        shared: flag("IsMultiUser")?.unwrap_or(false) | flag("IsReturnToService")?.unwrap_or(false),
        profiles: Vec::new(),
    })
}

/// Reads the list of profiles, however much of it makes sense.
pub fn profiles(list: &Dictionary) -> Vec<Profile> {
    let metadata = list.get("ProfileMetadata").and_then(Value::as_dictionary);
    let manifest = list.get("ProfileManifest").and_then(Value::as_dictionary);
    let named = list.get("OrderedIdentifiers").and_then(Value::as_array);
    let named = named.into_iter().flatten().filter_map(Value::as_string);
    let others = metadata.into_iter().flat_map(Dictionary::keys).map(String::as_str);
    let mut names: Vec<&str> = named.chain(others).take(MANY).collect();
    names.sort_unstable();
    names.dedup();
    let profile = |name: &&str| {
        let mut profile = Profile { identifier: short(name), ..Profile::default() };
        for part in [metadata, manifest].into_iter().flatten().filter_map(|keys| keys.get(name)) {
            gather(part, &mut profile, 0);
        }
        profile.payloads.sort_unstable();
        profile.payloads.dedup();
        profile
    };
    names.iter().map(profile).collect()
}

/// Looks for payload types and for the one setting that matters, wherever in the tree the device puts them.
fn gather(value: &Value, profile: &mut Profile, depth: u32) {
    if depth > 8 || profile.payloads.len() > MANY {
        return;
    }
    match value {
        Value::Dictionary(keys) => {
            for (key, inner) in keys {
                match (key.as_str(), inner) {
                    ("PayloadType", Value::String(kind)) => profile.payloads.push(short(kind)),
                    ("allowCloudBackup", Value::Boolean(allowed)) => {
                        let before = profile.cloud_backup.unwrap_or(true);
                        profile.cloud_backup = Some(before && *allowed);
                    }
                    _ => gather(inner, profile, depth + 1),
                }
            }
        }
        Value::Array(values) => {
            for inner in values {
                gather(inner, profile, depth + 1);
            }
        }
        _ => {}
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::tests::answering;

    fn dictionary(xml: &str) -> Dictionary {
        let text = format!("<plist version=\"1.0\">{xml}</plist>");
        plist::from_bytes::<Value>(text.as_bytes()).unwrap().into_dictionary().unwrap()
    }

    const LIST: &str = "<dict><key>Status</key><string>Acknowledged</string>\
        <key>OrderedIdentifiers</key><array><string>org.harbour.mdm</string><integer>5</integer></array>\
        <key>ProfileMetadata</key><dict><key>org.harbour.mdm</key><dict><key>PayloadContent</key><array>\
        <dict><key>PayloadType</key><string>com.apple.vpn.managed</string></dict>\
        <dict><key>PayloadType</key><string>com.apple.applicationaccess</string>\
        <key>allowCloudBackup</key><false/></dict></array></dict></dict></dict>";

    #[tokio::test]
    async fn supervision_and_profiles_are_read() {
        let cloud = dictionary(
            "<dict><key>Status</key><string>Acknowledged</string><key>CloudConfiguration</key>\
            <dict><key>IsSupervised</key><true/><key>AllowPairing</key><false/></dict></dict>",
        );
        let (ours, theirs) = tokio::io::duplex(8192);
        let mut service = PlistService::new(ours);
        let (read, asked) =
            tokio::join!(read(&mut service), answering(theirs, vec![cloud, dictionary(LIST)]));
        let read = read.unwrap();
        assert_eq!(asked.len(), 2);
        assert!(read.supervised && read.may_pair == Some(false) && !read.shared);
        let profile = &read.profiles[0];
        assert_eq!(profile.payloads, ["com.apple.applicationaccess", "com.apple.vpn.managed"]);
        assert_eq!(profile.cloud_backup, Some(false));
    }

    #[tokio::test]
    async fn a_device_that_does_not_tell_is_an_error() {
        let (ours, theirs) = tokio::io::duplex(8192);
        let mut service = PlistService::new(ours);
        let refusal = Dictionary::from_iter([("Status", Value::from("Error"))]);
        let (read, _) = tokio::join!(read(&mut service), answering(theirs, vec![refusal]));
        assert!(matches!(read, Err(LinkError::Malformed(_))));
    }

    #[test]
    fn profiles_of_the_wrong_types_are_passed_over() {
        let broken = dictionary(
            "<dict><key>OrderedIdentifiers</key><string>x</string>\
            <key>ProfileMetadata</key><array/><key>ProfileManifest</key><integer>1</integer></dict>",
        );
        assert!(profiles(&broken).is_empty());
        assert_eq!(configuration(Some(&broken)).unwrap(), Management::default());
    }

    #[tokio::test]
    async fn what_is_of_another_type_says_nothing() {
        let fine = "<dict><key>Status</key><string>Acknowledged</string></dict>";
        let of = |key: &str, value: &str| {
            let status = "<key>Status</key><string>Acknowledged</string>";
            format!("<dict>{status}<key>{key}</key>{value}</dict>")
        };
        let inner = "<dict><key>IsSupervised</key><string>true</string></dict>";
        for (cloud, list) in [
            (of("CloudConfiguration", "<array/>"), fine.to_owned()),
            (of("CloudConfiguration", inner), fine.to_owned()),
            (fine.to_owned(), of("ProfileMetadata", "<array/>")),
            (fine.to_owned(), of("ProfileManifest", "<string>x</string>")),
        ] {
            let (ours, theirs) = tokio::io::duplex(8192);
            let mut service = PlistService::new(ours);
            let answers = vec![dictionary(&cloud), dictionary(&list)];
            let (read, _) = tokio::join!(read(&mut service), answering(theirs, answers));
            assert!(matches!(read, Err(LinkError::Malformed(_))), "{cloud} {list}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(keys in prop::collection::btree_map(".{0,9}", any::<i64>(), 0..5)) {
            let inner: Dictionary =
                keys.into_iter().map(|(key, number)| (key, Value::from(number))).collect();
            let outer = Dictionary::from_iter([("ProfileMetadata", Value::Dictionary(inner))]);
            drop(profiles(&outer));
        }
    }
}
