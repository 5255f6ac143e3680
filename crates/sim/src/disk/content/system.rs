//! The rest of the system: accounts, permissions, usage, keychain, home screen, keyboard, tones, settings.

use plist::Value;
use rusqlite::params;

use super::database::{
    binary_file, cocoa_real, core_data, date, dictionary, set_maximum, xml_file,
};
use super::words::WORDS;
use crate::diary;
use crate::disk::DiskError;
use crate::disk::apps::InstalledApp;
use crate::disk::entry::Content;
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;

const ACCOUNTS: &str = "Library/Accounts/Accounts3.sqlite";
const PERMISSIONS: &str = "Library/TCC/TCC.db";
const CELLULAR: &str = "Library/Databases/CellularUsage.db";
const DATA_USAGE: &str = "Library/Databases/DataUsage.sqlite";
const PREFERENCES: &str = "Library/Preferences";
const HOME_SCREEN: &str = "Library/SpringBoard/IconState.plist";
const LEARNED_WORDS: &str = "Library/Keyboard/en-dynamic.lm/dynamic-lexicon.dat";

/// Settings a phone always has; the more there are, the more of the invented ones follow.
const SETTINGS: [&str; 32] = [
    "com.apple.springboard",
    "com.apple.Accessibility",
    "com.apple.mobiletimerd",
    "com.apple.mobile.ldbackup",
    "com.apple.MobileBackup",
    "com.apple.assistant.backedup",
    "com.apple.MobileSMS",
    "com.apple.mobilephone",
    "com.apple.mobilesafari",
    "com.apple.mobileslideshow",
    "com.apple.mobilenotes",
    "com.apple.mobilecal",
    "com.apple.Maps",
    "com.apple.weather",
    "com.apple.Preferences",
    "com.apple.preferences.datetime",
    "com.apple.camera",
    "com.apple.AddressBook",
    "com.apple.ToneLibrary",
    "com.apple.celestial",
    "com.apple.coremedia",
    "com.apple.imessage",
    "com.apple.identityservicesd",
    "com.apple.itunescloudd",
    "com.apple.keyboard",
    "com.apple.locationd",
    "com.apple.madrid",
    "com.apple.purplebuddy",
    "com.apple.stocks",
    "com.apple.voiceservices",
    "com.apple.wallet",
    "com.apple.wifi",
];

/// Keeps one file of preferences: it is written only where it says something else.
pub(crate) fn keep_preference(maker: &mut Maker<'_>, name: &str, settings: &Value) {
    let path = format!("{PREFERENCES}/{name}.plist");
    let content = binary_file(settings);
    match maker.content("HomeDomain", &path) {
        Some(known) if *known == content => {}
        Some(_) => maker.rewrite("HomeDomain", &path, content),
        None => drop(maker.file("HomeDomain", &path, content).permissions(0o600)),
    }
}

pub(crate) fn create(maker: &mut Maker<'_>, apps: &[InstalledApp]) -> Result<(), DiskError> {
    let mut rng = Rng::new(maker.seed, "system");
    accounts(maker, &mut rng)?;
    permissions(maker, apps)?;
    usage(maker, apps, &mut rng)?;
    shortcuts(maker, &mut rng)?;
    keychain(maker, &mut rng);
    settings(maker, &mut rng);
    home_screen(maker, apps);
    wallpaper(maker, &mut rng);
    keyboard_and_tones(maker, &mut rng);
    other_domains(maker, &mut rng)
}

/// Changes settings, usage and learned words, as days do.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let paths = maker.paths("HomeDomain", &format!("{PREFERENCES}/com.apple."));
    let count =
        (maker.amounts.daily.preferences * days).min(u64::try_from(paths.len()).unwrap_or(0));
    for _ in 0..count {
        let path = &paths[rng.index(paths.len())];
        let content = setting(maker.end, rng);
        // The diary of iCloud Backup says what the state of the phone says, not what chance does.
        if !diary::NAMES.iter().any(|name| path.ends_with(&format!("/{name}.plist"))) {
            maker.rewrite("HomeDomain", path, content);
        }
    }
    let now = maker.end;
    maker.change("WirelessDomain", DATA_USAGE, |connection| {
        connection.execute(
            "UPDATE ZLIVEUSAGE SET ZWIFIIN = ZWIFIIN + ?1, ZWWANIN = ZWWANIN + ?2, ZTIMESTAMP = ?3, Z_OPT = Z_OPT + 1",
            params![rng.between(1, 50_000_000), rng.between(1, 5_000_000), cocoa_real(now)],
        )?;
        Ok(())
    })?;
    maker.change("WirelessDomain", CELLULAR, |connection| {
        // Days that end within one second are days all the same.
        connection.execute(
            "UPDATE subscriber_info SET last_update_time = max(?1, last_update_time + 1)",
            [now],
        )?;
        Ok(())
    })?;
    let content = maker.fresh(Shape::Noise, 2_000 + rng.below(4_000));
    maker.rewrite("KeyboardDomain", LEARNED_WORDS, content);
    Ok(())
}

fn accounts(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    let start = maker.start;
    maker.database("HomeDomain", ACCOUNTS, |connection| {
        core_data(
            connection,
            rng,
            &[("Account", 0), ("AccountProperty", 0), ("AccountType", 0), ("Dataclass", 0)],
        )?;
        connection.execute_batch(
            "CREATE TABLE ZACCOUNT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZACTIVE INTEGER,
                ZAUTHENTICATED INTEGER, ZVISIBLE INTEGER, ZACCOUNTTYPE INTEGER, ZPARENTACCOUNT INTEGER,
                ZDATE TIMESTAMP, ZACCOUNTDESCRIPTION VARCHAR, ZIDENTIFIER VARCHAR, ZUSERNAME VARCHAR);
             CREATE TABLE ZACCOUNTTYPE (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER,
                ZACCOUNTTYPEDESCRIPTION VARCHAR, ZIDENTIFIER VARCHAR);
             CREATE TABLE ZACCOUNTPROPERTY (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZOWNER INTEGER,
                ZKEY VARCHAR, ZVALUE BLOB);
             CREATE INDEX ZACCOUNT_ZACCOUNTTYPE_INDEX ON ZACCOUNT (ZACCOUNTTYPE);
             CREATE INDEX ZACCOUNTPROPERTY_ZOWNER_INDEX ON ZACCOUNTPROPERTY (ZOWNER);",
        )?;
        for (row, (name, identifier)) in (1_i64..).zip([
            ("iCloud", "com.apple.account.AppleAccount"),
            ("iTunes Store", "com.apple.account.iTunesStore"),
            ("Holiday Calendar", "com.apple.account.HolidayCalendar"),
        ]) {
            connection.execute("INSERT INTO ZACCOUNTTYPE VALUES (?1, 3, 1, ?2, ?3)", params![row, name, identifier])?;
            connection.execute(
                "INSERT INTO ZACCOUNT VALUES (?1, 1, 1, 1, 1, 1, ?1, NULL, ?2, ?3, ?4, 'owner@example.com')",
                params![row, cocoa_real(start), name, rng.uuid()],
            )?;
            let value = super::database::binary(&Value::from("value"));
            connection.execute(
                "INSERT INTO ZACCOUNTPROPERTY VALUES (?1, 2, 1, ?1, 'ClassToken', ?2)",
                params![row, value],
            )?;
        }
        set_maximum(connection, "Account", "ZACCOUNT")
    })?;
    Ok(())
}

fn permissions(maker: &mut Maker<'_>, apps: &[InstalledApp]) -> Result<(), DiskError> {
    let start = maker.start;
    maker.database("HomeDomain", PERMISSIONS, |connection| {
        connection.execute_batch(
            "CREATE TABLE admin (key TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
             INSERT INTO admin VALUES ('version', 29);
             CREATE TABLE policies (id INTEGER NOT NULL PRIMARY KEY, bundle_id TEXT NOT NULL, uuid TEXT NOT NULL,
                display TEXT NOT NULL, UNIQUE (bundle_id, uuid));
             CREATE TABLE access (service TEXT NOT NULL, client TEXT NOT NULL, client_type INTEGER NOT NULL,
                auth_value INTEGER NOT NULL, auth_reason INTEGER NOT NULL, auth_version INTEGER NOT NULL, csreq BLOB,
                policy_id INTEGER, indirect_object_identifier_type INTEGER,
                indirect_object_identifier TEXT NOT NULL DEFAULT 'UNUSED', indirect_object_code_identity BLOB,
                flags INTEGER, last_modified INTEGER NOT NULL,
                PRIMARY KEY (service, client, client_type, indirect_object_identifier));",
        )?;
        let mut insert = connection.prepare(
            "INSERT INTO access (service, client, client_type, auth_value, auth_reason, auth_version, flags, last_modified)
             VALUES (?1, ?2, 0, 2, 2, 1, 0, ?3)",
        )?;
        for app in apps {
            for service in ["kTCCServicePhotos", "kTCCServiceCamera"] {
                insert.execute(params![service, app.bundle_id, start])?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn usage(maker: &mut Maker<'_>, apps: &[InstalledApp], rng: &mut Rng) -> Result<(), DiskError> {
    let (start, end) = (maker.start, maker.end);
    maker.database("WirelessDomain", CELLULAR, |connection| {
        connection.execute_batch(
            "CREATE TABLE subscriber_info (subscriber_id TEXT, subscriber_mdn TEXT, tag INTEGER, last_update_time INTEGER,
                slot_id INTEGER);
             CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key));",
        )?;
        connection.execute(
            "INSERT INTO subscriber_info VALUES ('89014103211118510720', '+12015550100', 1, ?1, 1)",
            [end],
        )?;
        Ok(())
    })?;
    maker.database("WirelessDomain", DATA_USAGE, |connection| {
        core_data(connection, rng, &[("LiveUsage", 0), ("NetworkAttachment", 0), ("Process", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZLIVEUSAGE (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZKIND INTEGER,
                ZMETADATA INTEGER, ZTAG INTEGER, ZHASPROCESS INTEGER, ZBILLCYCLEEND TIMESTAMP, ZTIMESTAMP TIMESTAMP,
                ZWIFIIN FLOAT, ZWIFIOUT FLOAT, ZWWANIN FLOAT, ZWWANOUT FLOAT);
             CREATE TABLE ZPROCESS (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZFIRSTTIMESTAMP TIMESTAMP,
                ZTIMESTAMP TIMESTAMP, ZBUNDLENAME VARCHAR, ZPROCNAME VARCHAR);
             CREATE INDEX ZLIVEUSAGE_ZHASPROCESS_INDEX ON ZLIVEUSAGE (ZHASPROCESS);",
        )?;
        for (row, app) in (1_i64..).zip(apps) {
            connection.execute(
                "INSERT INTO ZPROCESS VALUES (?1, 3, 1, ?2, ?3, ?4, ?4)",
                params![row, cocoa_real(start), cocoa_real(end), app.bundle_id],
            )?;
            connection.execute(
                "INSERT INTO ZLIVEUSAGE VALUES (?1, 1, 1, 0, NULL, NULL, ?1, NULL, ?2, ?3, 0, ?4, 0)",
                params![row, cocoa_real(end), rng.between(0, 1 << 30), rng.between(0, 1 << 26)],
            )?;
        }
        set_maximum(connection, "Process", "ZPROCESS")?;
        set_maximum(connection, "LiveUsage", "ZLIVEUSAGE")
    })?;
    let commcenter = xml_file(&dictionary([
        ("PhoneNumber", "+12015550100".into()),
        ("ReportedSubscriberIdentity", "310150".into()),
    ]));
    maker
        .file("WirelessDomain", "Library/Preferences/com.apple.commcenter.plist", commcenter)
        .permissions(0o600);
    Ok(())
}

fn shortcuts(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    maker.database("HomeDomain", "Library/Shortcuts/Shortcuts.sqlite", |connection| {
        core_data(connection, rng, &[("Shortcut", 0), ("ShortcutActions", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZSHORTCUT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZNAME VARCHAR, ZWORKFLOWID VARCHAR);
             CREATE TABLE ZSHORTCUTACTIONS (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZSHORTCUT INTEGER, ZDATA BLOB);
             INSERT INTO ZSHORTCUT VALUES (1, 1, 1, 'Home', '7A0C3F3E-0000-4000-8000-000000000001');",
        )
    })?;
    maker.database("HomeDomain", "Library/FrontBoard/applicationState.db", |connection| {
        connection.execute_batch(
            "CREATE TABLE application_identifier_tab (id INTEGER PRIMARY KEY, application_identifier TEXT UNIQUE);
             CREATE TABLE key_tab (id INTEGER PRIMARY KEY, key TEXT UNIQUE);
             CREATE TABLE kvs (id INTEGER PRIMARY KEY, application_identifier INTEGER, key INTEGER, value BLOB);
             CREATE INDEX kvs_by_application ON kvs (application_identifier, key);
             INSERT INTO key_tab VALUES (1, 'compatibilityInfo');",
        )
    })?;
    Ok(())
}

fn keychain(maker: &mut Maker<'_>, rng: &mut Rng) {
    let mut items = |count: usize| -> Value {
        let item = |_| {
            // Version, class, length of the wrapped key, the key, then ciphertext and tag. The keys are random: in an
            // unencrypted backup the items are bound to the device and nobody can open them.
            let mut data = Vec::new();
            for word in [3_u32, 6, 40] {
                data.extend_from_slice(&word.to_le_bytes());
            }
            data.extend(rng.bytes(40 + 180));
            dictionary([
                ("v_Data", Value::Data(data)),
                ("v_PersistentRef", Value::Data(rng.bytes(12))),
            ])
        };
        Value::Array((0..count).map(item).collect())
    };
    let list = [("genp", items(12)), ("inet", items(5)), ("cert", items(1)), ("keys", items(2))];
    let mut keychain = dictionary(list);
    if let Some(keychain) = keychain.as_dictionary_mut() {
        keychain.insert("keybag-uuid".to_owned(), Value::Data(rng.bytes(16)));
    }
    maker
        .file("KeychainDomain", "keychain-backup.plist", binary_file(&keychain))
        .permissions(0o400)
        .owner(0, 0)
        .class(1);
}

fn settings(maker: &mut Maker<'_>, rng: &mut Rng) {
    let languages = Value::Array(vec!["en-GB".into(), "de-DE".into()]);
    let global = dictionary([
        ("AppleLanguages", languages),
        ("AppleLocale", "en_DE".into()),
        (
            "AppleKeyboards",
            Value::Array(vec!["en_GB@sw=QWERTY;hw=Automatic".into(), "emoji@sw=Emoji".into()]),
        ),
        ("AKLastLocale", "en_DE".into()),
    ]);
    maker
        .file(
            "HomeDomain",
            &format!("{PREFERENCES}/.GlobalPreferences.plist"),
            binary_file(&global),
        )
        .permissions(0o600);
    let invented = WORDS
        .iter()
        .flat_map(|first| WORDS.iter().map(move |second| format!("com.apple.{first}{second}")));
    let names = SETTINGS.iter().map(|name| (*name).to_owned()).chain(invented);
    let count = usize::try_from(maker.amounts.preferences).unwrap_or(0);
    let names: Vec<String> = names.take(count).collect();
    for name in names {
        let path = format!("{PREFERENCES}/{name}.plist");
        let content = setting(maker.end, rng);
        maker.file("HomeDomain", &path, content).permissions(0o600);
    }
}

/// Returns settings of no meaning.
fn setting(now: i64, rng: &mut Rng) -> Content {
    let mut settings = plist::Dictionary::new();
    for _ in 0..=rng.below(9) {
        let key = format!("{}{}", rng.pick(&WORDS), rng.below(100));
        let value = match rng.below(4) {
            0 => Value::Boolean(rng.chance(50)),
            1 => Value::Integer(rng.between(0, 10_000).into()),
            2 => Value::String(super::words::title(rng)),
            _ => date(now - rng.between(0, 10_000_000)),
        };
        settings.insert(key, value);
    }
    if rng.chance(70) {
        binary_file(&Value::Dictionary(settings))
    } else {
        xml_file(&Value::Dictionary(settings))
    }
}

fn home_screen(maker: &mut Maker<'_>, apps: &[InstalledApp]) {
    maker.file("HomeDomain", HOME_SCREEN, icon_state(apps)).permissions(0o644);
    maker
        .file("HomeDomain", "Library/SpringBoard/DesiredIconState.plist", icon_state(apps))
        .permissions(0o644);
}

/// Returns dock, first page with a folder, and further pages (docs/format.md 3.5).
fn icon_state(apps: &[InstalledApp]) -> Content {
    let mut names = apps.iter().map(|app| Value::String(app.bundle_id.clone()));
    let dock: Vec<Value> = names.by_ref().take(4).collect();
    let folder: Vec<Value> = names.by_ref().take(3).collect();
    let folder = dictionary([
        ("displayName", "Useful 🧰".into()),
        ("listType", "folder".into()),
        ("iconLists", Value::Array(vec![Value::Array(folder)])),
    ]);
    let mut pages = Vec::new();
    let mut page = vec![folder];
    for name in names {
        if page.len() == 24 {
            pages.push(Value::Array(std::mem::take(&mut page)));
        }
        page.push(name);
    }
    pages.push(Value::Array(page));
    binary_file(&dictionary([
        ("buttonBar", Value::Array(dock)),
        ("iconLists", Value::Array(pages)),
    ]))
}

fn wallpaper(maker: &mut Maker<'_>, rng: &mut Rng) {
    let length = maker.amounts.wallpaper_bytes;
    if maker.ios.major >= 16 {
        let folder = format!(
            "Library/Application Support/PRBPosterExtensionDataStore/61/Extensions/com.apple.PhotosUIPrivate/configurations/{}",
            rng.uuid()
        );
        maker.generated(
            "AppDomain-com.apple.PosterBoard",
            &format!("{folder}/layer.HEIC"),
            Shape::Heic,
            length,
        );
    } else {
        for name in ["LockBackground", "HomeBackground"] {
            let path = format!("Library/SpringBoard/{name}.cpbitmap");
            maker.generated("HomeDomain", &path, Shape::Noise, length / 2);
        }
    }
    let thumbnail = "Library/SpringBoard/LockBackgroundThumbnail.jpg";
    maker.generated("HomeDomain", thumbnail, Shape::Jpeg, (length / 40).max(800));
}

fn keyboard_and_tones(maker: &mut Maker<'_>, rng: &mut Rng) {
    let length = 2_000 + rng.below(3_000);
    maker.generated("KeyboardDomain", LEARNED_WORDS, Shape::Noise, length).permissions(0o600);
    maker.generated(
        "KeyboardDomain",
        "Library/Keyboard/user_model_database.sqlite-log",
        Shape::Text,
        900,
    );
    let tone = dictionary([
        ("Name", "Foghorn".into()),
        ("GUID", format!("{:016X}", rng.next()).into()),
        ("Total Time", 21_000.into()),
        ("PID", rng.next().cast_signed().into()),
        ("Protected Content", false.into()),
    ]);
    let tones = dictionary([("Ringtones", dictionary([("ABCD.m4r", tone)]))]);
    maker.file("TonesDomain", "Media/iTunes_Control/iTunes/Ringtones.plist", xml_file(&tones));
    let vibration = dictionary([
        ("Name", "Engine".into()),
        ("Pattern", Value::Array(vec![true.into(), false.into()])),
    ]);
    maker.file(
        "MediaDomain",
        "Media/Vibrations/UserGeneratedVibrationPatterns.plist",
        xml_file(&vibration),
    );
}

fn other_domains(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    let zone = "/var/db/timezone/zoneinfo/Europe/Berlin";
    maker.link("DatabaseDomain", "timezone/localtime", zone).owner(0, 0);
    maker.file(
        "DatabaseDomain",
        "com.apple.xpc.launchd/disabled.plist",
        xml_file(&dictionary([("com.apple.bootpd", true.into())])),
    );
    let state = dictionary([("InstalledBuild", "1".into())]);
    maker.file(
        "InstallDomain",
        "Library/MobileInstallation/BackedUpState/SystemAppInstallState.plist",
        binary_file(&state),
    );
    let location = dictionary([("LocationServicesEnabled", true.into())]);
    maker
        .file("RootDomain", "Library/Preferences/com.apple.locationd.plist", binary_file(&location))
        .permissions(0o600);
    maker.generated(
        "RootDomain",
        "Library/Caches/locationd/consolidated.db-log",
        Shape::Noise,
        1_500,
    );
    let network = dictionary([("HostName", "iPhone".into())]);
    maker.file(
        "SystemPreferencesDomain",
        "SystemConfiguration/preferences.plist",
        xml_file(&network),
    );
    maker.directory("ManagedPreferencesDomain", "mobile");
    maker.directory("NetworkDomain", "Library/Preferences");
    maker.directory("ProtectedDomain", "trustd/private");
    for domain in ["MobileDeviceDomain", "BooksDomain", "BackupDomain"] {
        maker.directory(domain, "");
    }
    let recordings = if maker.ios.major >= 17 {
        ("AppDomainGroup-group.com.apple.VoiceMemos.shared", "Recordings")
    } else {
        ("MediaDomain", "Media/Recordings")
    };
    voice_memos(maker, rng, recordings)
}

fn voice_memos(
    maker: &mut Maker<'_>,
    rng: &mut Rng,
    (domain, folder): (&str, &str),
) -> Result<(), DiskError> {
    let end = maker.end;
    maker.database(domain, &format!("{folder}/CloudRecordings.db"), |connection| {
        core_data(connection, rng, &[("CloudRecording", 0), ("Folder", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZCLOUDRECORDING (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZFLAGS INTEGER,
                ZDATE TIMESTAMP, ZDURATION FLOAT, ZCUSTOMLABEL VARCHAR, ZCUSTOMLABELFORSORTING VARCHAR,
                ZENCRYPTEDTITLE VARCHAR, ZPATH VARCHAR, ZUNIQUEID VARCHAR);",
        )?;
        connection.execute(
            "INSERT INTO ZCLOUDRECORDING VALUES (1, 1, 1, 0, ?1, 4.5, 'Seagulls', 'Seagulls', 'Seagulls', 'Seagulls.m4a', ?2)",
            params![cocoa_real(end - 90_000), rng.uuid()],
        )?;
        set_maximum(connection, "CloudRecording", "ZCLOUDRECORDING")
    })?;
    maker.generated(domain, &format!("{folder}/Seagulls.m4a"), Shape::Audio, 9_000);
    Ok(())
}
