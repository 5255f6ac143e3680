//! The apps on the phone: what `installation_proxy` and `springboardservices` tell, and where their containers lie.

use std::io::Write as _;

use flate2::Crc;
use flate2::write::ZlibEncoder;
use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

use super::DiskError;
use super::domains::CONTAINER_FAMILIES;
use super::index::Index;
use super::prng::Rng;

/// Whether an app came with iOS or from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppKind {
    /// Part of iOS.
    System,
    /// Installed by the person.
    User,
}

/// An app, as services of the phone describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// `CFBundleIdentifier`.
    pub bundle_id: String,
    /// `CFBundleDisplayName`.
    pub name: String,
    /// `CFBundleShortVersionString`, for people.
    pub version: String,
    /// `CFBundleVersion`, the build.
    pub build: String,
    /// System or user.
    pub kind: AppKind,
    /// Path of the data container on the phone.
    pub container: String,
    /// Content class of the data container.
    pub container_class: &'static str,
    /// Identifiers of its app groups.
    pub groups: Vec<String>,
    /// Identifiers of its extensions.
    pub plugins: Vec<String>,
    /// `ApplicationSINF` of a store app (empty for system apps).
    pub sinf: Vec<u8>,
    /// `iTunesMetadata`, a binary property list (empty for system apps).
    pub itunes_metadata: Vec<u8>,
    /// The icon, a PNG.
    pub icon: Vec<u8>,
    /// Whether the app's documents show up in Finder (`UIFileSharingEnabled`).
    pub file_sharing: bool,
    /// Size of the binary (`StaticDiskUsage`).
    pub static_bytes: u64,
}

/// The container of an app, group, extension or daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The backup domain.
    pub domain: String,
    /// The domain without its family: a bundle, group or extension identifier.
    pub identifier: String,
    /// `ContainerContentClass`.
    pub class: &'static str,
    /// Path on the phone.
    pub path: String,
}

/// What the index keeps of an app; the rest follows from it and the seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstalledApp {
    pub(crate) bundle_id: String,
    pub(crate) name: String,
    pub(crate) kind: AppKind,
    /// Major, minor and patch version; an update raises the last two.
    pub(crate) version: [u32; 3],
    pub(crate) groups: Vec<String>,
    pub(crate) plugins: Vec<String>,
}

impl InstalledApp {
    pub(crate) fn version(&self) -> String {
        let [major, minor, patch] = self.version;
        format!("{major}.{minor}.{patch}")
    }
}

pub(crate) fn save(index: &Index, apps: &[InstalledApp]) -> Result<(), DiskError> {
    let text = serde_json::to_string(apps).map_err(|_| DiskError::Property("apps"))?;
    index.set_property("apps", &text)
}

pub(crate) fn load(index: &Index) -> Result<Vec<InstalledApp>, DiskError> {
    let text = index.property("apps")?.ok_or(DiskError::Property("apps"))?;
    serde_json::from_str(&text).map_err(|_| DiskError::Property("apps"))
}

pub(crate) fn describe(seed: u64, apps: &[InstalledApp]) -> Vec<App> {
    apps.iter().map(|app| describe_one(seed, app)).collect()
}

fn describe_one(seed: u64, app: &InstalledApp) -> App {
    let mut rng = Rng::new(seed, &app.bundle_id);
    let item_id = 300_000_000 + rng.below(1_500_000_000);
    let store = app.kind == AppKind::User;
    let [major, minor, patch] = app.version;
    App {
        bundle_id: app.bundle_id.clone(),
        name: app.name.clone(),
        version: app.version(),
        build: format!("{}", major * 10_000 + minor * 100 + patch),
        kind: app.kind,
        container: container_path(seed, &format!("AppDomain-{}", app.bundle_id)),
        container_class: "Data/Application",
        groups: app.groups.clone(),
        plugins: app.plugins.clone(),
        sinf: if store { sinf(&mut rng, item_id) } else { Vec::new() },
        itunes_metadata: if store { metadata(app, item_id) } else { Vec::new() },
        icon: icon(&mut rng),
        file_sharing: store && rng.chance(40),
        static_bytes: 5_000_000 + rng.below(200_000_000),
    }
}

/// Returns where each of `domains` lies on the phone; domains that are no containers are left out.
pub(crate) fn containers<'a>(seed: u64, domains: impl Iterator<Item = &'a str>) -> Vec<Container> {
    domains
        .filter_map(|domain| {
            let (family, class, _) =
                CONTAINER_FAMILIES.iter().find(|(family, _, _)| domain.starts_with(family))?;
            let identifier = domain.strip_prefix(family)?.to_owned();
            Some(Container {
                domain: domain.to_owned(),
                identifier,
                class,
                path: container_path(seed, domain),
            })
        })
        .collect()
}

/// Returns the path of a container: a random UUID below the folder of its family.
pub(crate) fn container_path(seed: u64, domain: &str) -> String {
    let folder = CONTAINER_FAMILIES
        .iter()
        .find(|(family, _, _)| domain.starts_with(family))
        .map_or("/var/mobile", |(_, _, folder)| folder);
    format!("{folder}/{}", Rng::new(seed, domain).uuid())
}

/// Returns a `sinf` box of the shape the store uses, with random contents.
fn sinf(rng: &mut Rng, item_id: u64) -> Vec<u8> {
    let mut rights = Vec::new();
    for (name, value) in
        [(*b"user", rng.next() >> 32), (*b"item", item_id), (*b"tool", 0x5032_3131)]
    {
        rights.extend_from_slice(&name);
        rights.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
    }
    let mut information = atom(*b"righ", &rights);
    information.extend(atom(*b"priv", &rng.bytes(440)));
    let mut body = atom(*b"frma", b"game");
    body.extend(atom(*b"schm", b"\0\0\0\0itun\0\0\0\0"));
    body.extend(atom(*b"schi", &information));
    body.extend(atom(*b"sign", &rng.bytes(128)));
    atom(*b"sinf", &body)
}

fn atom(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut atom = u32::try_from(body.len() + 8).unwrap_or(0).to_be_bytes().to_vec();
    atom.extend_from_slice(&name);
    atom.extend_from_slice(body);
    atom
}

/// Returns the store's description of the app as a binary property list.
fn metadata(app: &InstalledApp, item_id: u64) -> Vec<u8> {
    let mut dictionary = Dictionary::new();
    let mut put = |key: &str, value: Value| drop(dictionary.insert(key.to_owned(), value));
    put("artistName", format!("{} Inc.", app.name).into());
    put("bundleShortVersionString", app.version().into());
    put("bundleVersion", app.version().into());
    put("genre", "Utilities".into());
    put("genreId", 6002.into());
    put("itemId", item_id.into());
    put("itemName", app.name.clone().into());
    put("kind", "software".into());
    put("price", 0.into());
    put("softwareVersionBundleId", app.bundle_id.clone().into());
    put("softwareVersionExternalIdentifier", (item_id / 2).into());
    let mut bytes = Vec::new();
    Value::Dictionary(dictionary)
        .to_writer_binary(&mut bytes)
        .expect("writing to memory does not fail");
    bytes
}

/// Side of an icon in pixels.
const ICON_SIDE: u8 = 60;

/// Returns a small valid PNG: two colours, chosen by the seed.
pub(crate) fn icon(rng: &mut Rng) -> Vec<u8> {
    let colours = [rng.next().to_le_bytes(), rng.next().to_le_bytes()];
    let mut rows = Vec::new();
    for row in 0..ICON_SIDE {
        rows.push(0);
        for column in 0..ICON_SIDE {
            let inside = (row / 10 + column / 10) % 2;
            rows.extend_from_slice(&colours[usize::from(inside)][..3]);
        }
    }
    let mut compressed = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    compressed.write_all(&rows).expect("writing to memory does not fail");
    let compressed = compressed.finish().expect("writing to memory does not fail");
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend_from_slice(&u32::from(ICON_SIDE).to_be_bytes());
    header.extend_from_slice(&u32::from(ICON_SIDE).to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    png.extend(chunk(*b"IHDR", &header));
    png.extend(chunk(*b"IDAT", &compressed));
    png.extend(chunk(*b"IEND", &[]));
    png
}

fn chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(&name);
    crc.update(body);
    let mut chunk = u32::try_from(body.len()).unwrap_or(0).to_be_bytes().to_vec();
    chunk.extend_from_slice(&name);
    chunk.extend_from_slice(body);
    chunk.extend_from_slice(&crc.sum().to_be_bytes());
    chunk
}
