//! `MCInstall`: configuration profiles and supervision (docs/protocol.md 10.4).

use plist::{Dictionary, Value};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};
use crate::fault::twisted;
use crate::phone::Phone;
use crate::state::{InstalledProfile, Management};

/// Answers until the host closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    while let Some(request) = channel.receive().await? {
        channel.send(answer(phone, &request)).await?;
    }
    Ok(())
}

fn answer(phone: &Phone, request: &Dictionary) -> Dictionary {
    let status = ("Status", "Acknowledged".into());
    let management = phone.state().management;
    let mut answer = match text(request, "RequestType") {
        _ if phone.is_locked() => {
            return error(4_009, "The device is locked.");
        }
        Some("GetProfileList") => {
            let mut answer = list(&management);
            answer.insert("Status".to_owned(), "Acknowledged".into());
            answer
        }
        Some("GetCloudConfiguration") => {
            keys([status, ("CloudConfiguration", cloud(&management).into())])
        }
        Some("HelloHostIdentifier" | "Flush") => keys([status]),
        _ => return error(4_001, "The request is not known."),
    };
    if phone.faults.is_on("wrong-types") {
        answer = answer
            .into_iter()
            .map(|(key, value)| if key == "Status" { (key, value) } else { (key, twisted(value)) })
            .collect();
    }
    if phone.faults.is_on("broken-profile") && answer.contains_key("OrderedIdentifiers") {
        break_profiles(&mut answer);
    }
    answer
}

fn error(code: i64, text: &str) -> Dictionary {
    let chain = keys([
        ("ErrorCode", code.into()),
        ("ErrorDomain", "MCInstallationErrorDomain".into()),
        ("LocalizedDescription", text.into()),
    ]);
    keys([("Status", "Error".into()), ("ErrorChain", Value::Array(vec![Value::Dictionary(chain)]))])
}

/// What the enrolment says; empty on a phone that nobody manages.
fn cloud(management: &Management) -> Dictionary {
    if !management.supervised {
        return Dictionary::new();
    }
    let organization = management.organization.as_deref().unwrap_or("Harbour School");
    keys([
        ("AllowPairing", management.allow_pairing.into()),
        ("CloudConfigurationUIComplete", true.into()),
        ("IsMDMUnremovable", true.into()),
        ("IsMandatory", true.into()),
        ("IsSupervised", true.into()),
        ("OrganizationName", organization.into()),
        ("PostSetupProfileWasInstalled", true.into()),
    ])
}

/// The profiles with the types of what is in them, but not what those say: a restriction cannot be read.
fn list(management: &Management) -> Dictionary {
    let identifiers = management.profiles.iter().map(|profile| profile.identifier.as_str().into());
    let by_identifier = |describe: fn(&InstalledProfile) -> Dictionary| {
        let pairs = management
            .profiles
            .iter()
            .map(|profile| (profile.identifier.clone(), Value::Dictionary(describe(profile))));
        Value::Dictionary(pairs.collect())
    };
    keys([
        ("OrderedIdentifiers", Value::Array(identifiers.collect())),
        ("ProfileManifest", by_identifier(manifest)),
        ("ProfileMetadata", by_identifier(metadata)),
    ])
}

fn manifest(profile: &InstalledProfile) -> Dictionary {
    keys([("Description", profile.name.as_str().into()), ("IsActive", true.into())])
}

fn metadata(profile: &InstalledProfile) -> Dictionary {
    let payloads = profile.payloads.iter().map(|kind| {
        Value::Dictionary(keys([
            ("PayloadType", kind.as_str().into()),
            ("PayloadIdentifier", format!("{}.{kind}", profile.identifier).into()),
            ("PayloadVersion", 1.into()),
        ]))
    });
    keys([
        ("PayloadContent", Value::Array(payloads.collect())),
        ("PayloadDescription", "".into()),
        ("PayloadDisplayName", profile.name.as_str().into()),
        ("PayloadOrganization", "Harbour School".into()),
        ("PayloadRemovalDisallowed", false.into()),
        ("PayloadUUID", uuid_of(profile).into()),
        ("PayloadVersion", 1.into()),
    ])
}

fn uuid_of(profile: &InstalledProfile) -> String {
    let digest: [u8; 32] = Sha256::digest(&profile.identifier).into();
    let bytes = digest.first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string().to_uppercase()
}

/// Profiles as a broken or evil one has them: names without profiles, a profile that is a text, payloads that are property lists
/// within property lists, cut off.
fn break_profiles(answer: &mut Dictionary) {
    let broken = keys([
        ("PayloadContent", Value::Data(b"bplist00\xd1\x01\x02".to_vec())),
        ("PayloadDisplayName", Value::Array(vec![7.into()])),
        ("PayloadUUID", Value::Boolean(false)),
    ]);
    let metadata = keys([
        ("a", Value::from("<plist><dict><key>PayloadType")),
        ("b", Value::Dictionary(broken)),
        ("\u{1b}[31m", Value::Array(Vec::new())),
    ]);
    answer.insert(
        "OrderedIdentifiers".to_owned(),
        Value::Array(vec!["a".into(), 7.into(), "nowhere".into(), "\u{0}".into()]),
    );
    answer.insert("ProfileMetadata".to_owned(), Value::Dictionary(metadata));
    answer.insert("ProfileManifest".to_owned(), Value::from(-1));
}
