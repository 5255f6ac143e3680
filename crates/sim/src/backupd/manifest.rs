//! Makes `Manifest.db` and `Manifest.plist`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use lifeboat_mobilesync::build::{self, ManifestDbWriter, Schema};
use lifeboat_mobilesync::crypto::{self, Key};
use lifeboat_mobilesync::file::MbFile;
use lifeboat_mobilesync::keybag::{ClassKey, Keybag, WrappedKey};
pub(super) use lifeboat_mobilesync::manifest::seal;
use lifeboat_mobilesync::{ManifestError, ManifestPlist};
use plist::{Dictionary, Value};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngCore as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};

use super::fail::{MbError, Stop};
use super::plan::{Item, Plan, Sealing};
use super::run::Run;
use super::secrets::Secrets;
use crate::disk::{AppKind, Frozen};
use crate::options::{Ios, ManifestKnob, Reuse};
use crate::phone::Phone;

/// How the database is made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    /// From nothing, its rows in the order of the disk.
    New,
    /// The last one, changed in place.
    InPlace,
    /// From nothing, its rows in random order.
    Shuffled {
        /// Another order each time, the same for the same phone at the same time.
        seed: u64,
    },
}

impl Method {
    pub(super) fn of(knob: ManifestKnob, incremental: bool, seed: u64) -> Self {
        match knob {
            ManifestKnob::Rebuilt => Self::Shuffled { seed },
            ManifestKnob::InPlace if incremental => Self::InPlace,
            ManifestKnob::InPlace => Self::New,
        }
    }
}

/// Writes the database to `target`. `last` is the last one, which [`Method::InPlace`] takes for its own; `more` folders are in it that
/// are nowhere else.
pub(super) fn database(
    plan: &Plan,
    method: Method,
    last: &Utf8Path,
    target: &Utf8Path,
    more: u32,
) -> Result<(), ManifestError> {
    match method {
        Method::New => build::rebuild(
            target,
            Schema::Classic,
            plan.items.iter().filter_map(|item| row(plan, item)),
        )?,
        Method::Shuffled { seed } => {
            let mut items: Vec<&Item> = plan.items.iter().collect();
            items.shuffle(&mut StdRng::seed_from_u64(seed));
            build::rebuild(
                target,
                Schema::Classic,
                items.into_iter().filter_map(|item| row(plan, item)),
            )?
        }
        Method::InPlace => {
            fs_err::copy(last, target)?;
            in_place(plan, target)?
        }
    };
    if more > 0 { more_folders(target, more) } else { Ok(()) }
}

/// Adds folders with attributes of their own, which nothing compresses.
fn more_folders(target: &Utf8Path, more: u32) -> Result<(), ManifestError> {
    const AT_ONCE: usize = 1000;
    let mut writer = ManifestDbWriter::open(target)?;
    let mut numbers = 0..more;
    loop {
        let folders: Vec<MbFile> = numbers.by_ref().take(AT_ONCE).map(folder).collect();
        if folders.is_empty() {
            return writer.finish().map(drop);
        }
        writer.put_all(folders.iter().map(|folder| ("HomeDomain", 2, folder)))?;
    }
}

fn folder(number: u32) -> MbFile {
    /// Bytes of attributes: a row fills a page with them.
    const ATTRIBUTES: usize = 3200;
    let mut attributes = vec![0; ATTRIBUTES];
    StdRng::seed_from_u64(number.into()).fill_bytes(&mut attributes);
    let inode = FIRST_OF_MORE + u64::from(number);
    MbFile {
        // As on a phone, no folder holds more than some hundreds.
        relative_path: format!("Library/More/{:03}/folder-{number:07}", number / 500),
        mode: 0o040_755,
        inode,
        uid: 501,
        gid: 501,
        protection_class: 3,
        extended_attributes: Some(attributes),
        ..MbFile::default()
    }
}

/// The number of the first of the folders that only `Manifest.db` tells of; the disk never comes that far.
const FIRST_OF_MORE: u64 = 1 << 40;

fn row<'p>(plan: &'p Plan, item: &'p Item) -> Option<(&'p str, u32, &'p MbFile)> {
    plan.entry(item).map(|entry| (entry.domain.as_str(), item.flags, &item.file))
}

fn in_place(plan: &Plan, target: &Utf8Path) -> Result<camino::Utf8PathBuf, ManifestError> {
    let mut writer = ManifestDbWriter::open(target)?;
    let changed = plan.items.iter().filter(|item| {
        plan.old.get(&item.id).is_none_or(|old| old.flags != item.flags || old.file != item.file)
    });
    writer.put_all(changed.filter_map(|item| row(plan, item)))?;
    let mut now: Vec<_> = plan.items.iter().map(|item| item.id).collect();
    now.sort_unstable();
    for id in plan.old.keys().filter(|id| now.binary_search(id).is_err()) {
        writer.remove(id)?;
    }
    writer.finish()
}

/// The key of a `Manifest.db` to be, and what `Manifest.plist` says of it.
pub(super) struct ManifestKey {
    pub(super) secrets: Arc<Secrets>,
    pub(super) key: Key,
    pub(super) wrapped: WrappedKey,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Returns the key for the `Manifest.db` of this backup: a new one, or the last one again; nothing when it is not encrypted.
    pub(super) fn manifest_key(&mut self) -> Result<Option<ManifestKey>, Stop> {
        let Some(Sealing { secrets, .. }) = self.sealing.clone() else { return Ok(None) };
        let spec = &self.phone.spec.encryption;
        let last = secrets.manifest.clone().filter(|_| spec.manifest_key == Reuse::Kept);
        let local = |error| Stop::from(MbError::local(&error));
        let (key, wrapped) = if let Some(wrapped) = last {
            (secrets.open(&wrapped.encode()).map_err(local)?, wrapped)
        } else {
            let key = self.keys.next();
            let wrapped = secrets.seal(spec.manifest_class.into(), &key).map_err(local)?;
            (key, wrapped)
        };
        Ok(Some(ManifestKey { secrets, key, wrapped }))
    }
}

/// Makes the property list; that of an encrypted backup with its keybag and the key of the database.
pub(super) fn property_list(
    phone: &Phone,
    frozen: &Frozen,
    now: SystemTime,
    sealed: Option<(&[u8], &WrappedKey)>,
) -> Vec<u8> {
    let domains = if phone.ios() < Ios::V16_1 { "20.0" } else { "24.0" };
    let manifest = ManifestPlist {
        version: "10.0".to_owned(),
        system_domains_version: Some(domains.to_owned()),
        date: Some(now),
        is_encrypted: sealed.is_some(),
        was_passcode_set: phone.spec.knobs.passcode,
        keybag: Some(sealed.map_or_else(|| keybag(phone.udid()).encode(), |(bag, _)| bag.to_vec())),
        manifest_key: sealed.map(|(_, key)| key.encode()),
        lockdown: lockdown(phone),
        applications: applications(frozen),
        others: Dictionary::new(),
    };
    manifest.encode()
}

fn lockdown(phone: &Phone) -> Dictionary {
    let (version, build) = (phone.version(), phone.build());
    let mut keys = Dictionary::from_iter(
        [
            ("BuildVersion", build.as_str()),
            ("DeviceClass", "iPhone"),
            ("DeviceName", phone.memory().name.as_str()),
            ("ProductType", phone.identity.model.product_type),
            ("ProductVersion", version.as_str()),
            ("SerialNumber", phone.identity.serial.as_str()),
            ("UniqueDeviceID", phone.udid()),
        ]
        .map(|(key, value)| (key, Value::from(value))),
    );
    for domain in [
        "com.apple.Accessibility",
        "com.apple.MobileDeviceCrashCopy",
        "com.apple.TerminalFlashr",
        "com.apple.mobile.data_sync",
        "com.apple.mobile.iTunes.accessories",
        "com.apple.mobile.wireless_lockdown",
    ] {
        keys.insert(domain.to_owned(), Dictionary::new().into());
    }
    keys
}

/// Containers of apps, groups and extensions; those of daemons are not listed.
fn applications(frozen: &Frozen) -> Dictionary {
    let mut keys = Dictionary::new();
    for container in
        frozen.containers.iter().filter(|container| !container.domain.starts_with("Sys"))
    {
        let app = frozen.apps.iter().find(|app| app.bundle_id == container.identifier);
        let mut values = Dictionary::from_iter([
            ("CFBundleIdentifier", Value::from(container.identifier.as_str())),
            ("ContainerContentClass", container.class.into()),
            ("Path", container.path.as_str().into()),
        ]);
        if let Some(app) = app {
            values.insert("CFBundleVersion".into(), app.build.as_str().into());
            values.insert("CFBundleShortVersionString".into(), app.version.as_str().into());
            values.insert("IsUserApp".into(), (app.kind == AppKind::User).into());
        }
        keys.insert(container.identifier.clone(), values.into());
    }
    keys
}

/// An unencrypted backup has a keybag too; the empty password opens it, and nothing is wrapped with its keys.
fn keybag(udid: &str) -> Keybag {
    let bytes =
        |label: &str| -> [u8; 32] { Sha256::digest(format!("{udid} keybag {label}")).into() };
    let cut = |label: &str, length: usize| {
        bytes(label).iter().copied().cycle().take(length).collect::<Vec<u8>>()
    };
    let mut bag = Keybag {
        version: 5,
        kind: 1,
        uuid: cut("uuid", 16),
        hmac_key: cut("hmac", 40),
        wrap: 0,
        salt: cut("salt", 20),
        rounds: 1,
        first_kind: Some(1),
        first_rounds: Some(1),
        first_salt: Some(cut("first salt", 20)),
        classes: Vec::new(),
    };
    let Ok(key) = bag.derivation().and_then(|derivation| Ok(derivation.derive(b"")?)) else {
        return bag;
    };
    for class in (1..=11_u32).rev() {
        let label = format!("class {class}");
        bag.classes.push(ClassKey {
            uuid: cut(&format!("{label} uuid"), 16),
            class,
            wrap: if matches!(class, 5 | 9..=11) { 3 } else { 2 },
            key_type: 0,
            wrapped: Some(crypto::wrap(&key, &bytes(&label).into()).to_vec()),
        });
    }
    bag
}

/// Returns a moment as property lists have it: whole seconds.
pub(super) fn moment(now: jiff::Timestamp) -> SystemTime {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
