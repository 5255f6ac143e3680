//! `installation_proxy`: the list of apps (docs/protocol.md, installation proxy).

use std::collections::BTreeSet;

use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};
use crate::disk::{App, AppKind, Container};
use crate::phone::Phone;

/// Apps in one answer.
const BATCH: usize = 10;

/// Answers until the host closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    while let Some(request) = channel.receive().await? {
        let empty = Dictionary::new();
        let options = request.get("ClientOptions").and_then(Value::as_dictionary).unwrap_or(&empty);
        match text(&request, "Command") {
            Some("Browse") => browse(phone, options, channel).await?,
            Some("Lookup") => channel.send(lookup(phone, options)).await?,
            command => {
                let what = format!("unknown command {command:?}");
                let error = [("Error", "InvalidRequest".into()), ("ErrorDescription", what.into())];
                channel.send(keys(error)).await?;
            }
        }
    }
    Ok(())
}

async fn browse<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    options: &Dictionary,
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    let wanted = Wanted::new(options);
    let containers = phone.disk().containers();
    let apps: Vec<Value> = wanted
        .apps(phone)
        .iter()
        .map(|app| Value::Dictionary(wanted.describe(app, &containers)))
        .chain(placeholder(phone, &wanted))
        .collect();
    let mut index = 0;
    for batch in apps.chunks(BATCH) {
        let answer = keys([
            ("Status", "BrowsingApplications".into()),
            ("CurrentAmount", (batch.len() as u64).into()),
            ("CurrentIndex", (index as u64).into()),
            ("CurrentList", Value::Array(batch.to_vec())),
        ]);
        channel.send(answer).await?;
        index += batch.len();
    }
    channel.send(keys([("Status", "Complete".into())])).await
}

fn lookup(phone: &Phone, options: &Dictionary) -> Dictionary {
    let wanted = Wanted::new(options);
    let containers = phone.disk().containers();
    let found: Dictionary = wanted
        .apps(phone)
        .iter()
        .map(|app| (app.bundle_id.clone(), Value::Dictionary(wanted.describe(app, &containers))))
        .collect();
    keys([("LookupResult", Value::Dictionary(found)), ("Status", "Complete".into())])
}

/// Which apps and which of their attributes a host asks for.
struct Wanted<'a> {
    kind: Option<AppKind>,
    attributes: Option<BTreeSet<&'a str>>,
    bundles: Option<BTreeSet<&'a str>>,
}

impl<'a> Wanted<'a> {
    fn new(options: &'a Dictionary) -> Self {
        let strings = |key: &str| {
            let list = options.get(key).and_then(Value::as_array)?;
            Some(list.iter().filter_map(Value::as_string).collect())
        };
        let kind = match text(options, "ApplicationType") {
            Some("User") => Some(AppKind::User),
            Some("System") => Some(AppKind::System),
            _ => None,
        };
        Self { kind, attributes: strings("ReturnAttributes"), bundles: strings("BundleIDs") }
    }

    fn apps(&self, phone: &Phone) -> Vec<App> {
        let mut apps = phone.disk().apps();
        if phone.state().vpn_app {
            apps.extend(tunnel(&apps));
        }
        apps.retain(|app| {
            let kind = self.kind.is_none_or(|kind| kind == app.kind);
            kind && self.bundles.as_ref().is_none_or(|ids| ids.contains(app.bundle_id.as_str()))
        });
        apps
    }

    /// Describes an app: what was asked for, or all but what is large or slow.
    fn describe(&self, app: &App, containers: &[Container]) -> Dictionary {
        const ONLY_WHEN_ASKED: [&str; 4] =
            ["ApplicationSINF", "iTunesMetadata", "DynamicDiskUsage", "StaticDiskUsage"];
        attributes(app, containers)
            .into_iter()
            .filter(|(key, _)| match &self.attributes {
                Some(asked) => asked.contains(key.as_str()),
                None => !ONLY_WHEN_ASKED.contains(&key.as_str()),
            })
            .collect()
    }
}

/// A VPN app from the store: one of the person's apps under the name of a well-known one.
fn tunnel(apps: &[App]) -> Option<App> {
    let like = apps.iter().find(|app| app.kind == AppKind::User)?;
    Some(App {
        bundle_id: "com.wireguard.ios".to_owned(),
        name: "WireGuard".to_owned(),
        groups: Vec::new(),
        ..like.clone()
    })
}

/// An app that is being downloaded is a placeholder: it has a name and no program yet.
fn placeholder(phone: &Phone, wanted: &Wanted<'_>) -> Option<Value> {
    let shown = wanted.kind != Some(AppKind::System) && phone.state().downloading;
    let keys = keys([
        ("ApplicationType", "User".into()),
        ("CFBundleDisplayName", "Harbour Lights".into()),
        ("CFBundleIdentifier", "com.example.harbourlights".into()),
        ("IsDemotedApp", Value::Boolean(false)),
        ("IsPlaceholder", Value::Boolean(true)),
        ("StaticDiskUsage", 0.into()),
    ]);
    let asked =
        |key: &String| wanted.attributes.as_ref().is_none_or(|asked| asked.contains(key.as_str()));
    shown.then(|| keys.into_iter().filter(|(key, _)| asked(key)).collect::<Dictionary>().into())
}

fn attributes(app: &App, containers: &[Container]) -> Dictionary {
    let user = app.kind == AppKind::User;
    let executable: String = app.name.split_whitespace().collect();
    let mut all = keys([
        ("ApplicationType", if user { "User" } else { "System" }.into()),
        ("CFBundleDisplayName", app.name.as_str().into()),
        ("CFBundleExecutable", executable.as_str().into()),
        ("CFBundleIdentifier", app.bundle_id.as_str().into()),
        ("CFBundleName", app.name.as_str().into()),
        ("CFBundleShortVersionString", app.version.as_str().into()),
        ("CFBundleVersion", app.build.as_str().into()),
        ("Container", app.container.as_str().into()),
        ("IsDemotedApp", Value::Boolean(false)),
        ("IsPlaceholder", Value::Boolean(false)),
        ("Path", format!("/private/var/containers/Bundle/Application/{executable}.app").into()),
        ("DynamicDiskUsage", (app.static_bytes / 2).into()),
        ("StaticDiskUsage", app.static_bytes.into()),
        ("UIFileSharingEnabled", Value::Boolean(app.file_sharing)),
    ]);
    let groups: Dictionary = containers
        .iter()
        .filter(|container| app.groups.contains(&container.identifier))
        .map(|container| (container.identifier.clone(), Value::from(container.path.as_str())))
        .collect();
    if !groups.is_empty() {
        all.insert("GroupContainers".to_owned(), Value::Dictionary(groups));
    }
    if user {
        all.insert("ApplicationSINF".to_owned(), Value::Data(app.sinf.clone()));
        all.insert("iTunesMetadata".to_owned(), Value::Data(app.itunes_metadata.clone()));
    }
    all
}
