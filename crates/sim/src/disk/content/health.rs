//! What only encrypted backups hold: health, the home, interactions, Wi-Fi networks (docs/format.md 3.3 and 3.5).

use plist::Value;
use rusqlite::{Connection, params};

use super::database::{
    binary_file, cocoa_real, core_data, date, dictionary, next, set_maximum, signed, xml_file,
};
use super::words::people;
use crate::disk::DiskError;
use crate::disk::entry::Content;
use crate::disk::maker::Maker;
use crate::disk::prng::Rng;

const SECURE: &str = "Health/healthdb_secure.sqlite";
const INTERACTIONS: &str = "Library/CoreDuet/People/interactionC.db";
const NETWORKS: &str = "com.apple.wifi.known-networks.plist";

/// Types of samples: heart rate, steps, distance, active energy, flights.
const TYPES: [i64; 5] = [5, 7, 8, 10, 12];

const SECURE_TABLES: &str = "
    CREATE TABLE samples (data_id INTEGER PRIMARY KEY, start_date REAL, end_date REAL, data_type INTEGER);
    CREATE TABLE objects (data_id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB UNIQUE, provenance INTEGER NOT NULL,
        type INTEGER, creation_date REAL);
    CREATE TABLE quantity_samples (data_id INTEGER PRIMARY KEY, quantity REAL, original_quantity REAL,
        original_unit INTEGER);
    CREATE TABLE quantity_sample_series (data_id INTEGER PRIMARY KEY, count INTEGER NOT NULL DEFAULT 0,
        insertion_era INTEGER, hfd_key INTEGER UNIQUE NOT NULL, series_location INTEGER NOT NULL);
    CREATE TABLE quantity_series_data (series_identifier INTEGER NOT NULL, timestamp REAL NOT NULL, value REAL NOT NULL,
        duration REAL NOT NULL, PRIMARY KEY (series_identifier, timestamp)) WITHOUT ROWID;
    CREATE TABLE category_samples (data_id INTEGER PRIMARY KEY, value INTEGER);
    CREATE TABLE data_provenances (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, sync_provenance INTEGER NOT NULL,
        origin_product_type TEXT NOT NULL, origin_build TEXT NOT NULL, local_product_type TEXT NOT NULL,
        local_build TEXT NOT NULL, source_id INTEGER NOT NULL, device_id INTEGER NOT NULL, source_version TEXT NOT NULL,
        tz_name TEXT NOT NULL, derived_flags INTEGER NOT NULL);
    CREATE TABLE workouts (data_id INTEGER PRIMARY KEY, total_distance REAL, goal_type INTEGER, goal REAL);
    CREATE TABLE metadata_keys (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE);
    CREATE TABLE metadata_values (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, key_id INTEGER, object_id INTEGER,
        value_type INTEGER NOT NULL DEFAULT 0, string_value TEXT, numerical_value REAL, date_value REAL, data_value BLOB);
    CREATE TABLE activity_caches (data_id INTEGER PRIMARY KEY, cache_index INTEGER, sequence INTEGER NOT NULL,
        activity_mode INTEGER, energy_burned REAL, brisk_minutes REAL, steps REAL, walk_distance REAL);
    CREATE INDEX samples_type_start ON samples (data_type, start_date);
    CREATE INDEX samples_type_end ON samples (data_type, end_date);
    CREATE INDEX objects_provenance ON objects (provenance);
    CREATE INDEX metadata_values_object ON metadata_values (object_id);
    INSERT INTO data_provenances VALUES (1, 0, 'iPhone', '', 'iPhone', '', 1, 1, '1', 'Europe/Berlin', 0);";

/// What iOS 16 added.
const ACTIVITIES: &str = "
    CREATE TABLE workout_activities (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB UNIQUE,
        owner_id INTEGER NOT NULL, is_primary_activity INTEGER NOT NULL, activity_type INTEGER NOT NULL,
        location_type INTEGER NOT NULL, start_date REAL NOT NULL, end_date REAL NOT NULL, duration REAL NOT NULL);";

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let mut rng = Rng::new(maker.seed, "health");
    let (start, end, count) = (maker.start, maker.end, maker.amounts.health_samples);
    let activities = maker.ios.major >= 16;
    maker.database("HealthDomain", SECURE, |connection| {
        connection.execute_batch(SECURE_TABLES)?;
        if activities {
            connection.execute_batch(ACTIVITIES)?;
        }
        samples(connection, &mut rng, (start, end), count)
    })?;
    maker.database("HealthDomain", "Health/healthdb.sqlite", |connection| {
        connection.execute_batch(
            "CREATE TABLE sources (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB UNIQUE, bundle_id TEXT UNIQUE,
                name TEXT NOT NULL, source_options INTEGER, local_device INTEGER, product_type TEXT,
                deleted INTEGER, mod_date REAL);
             CREATE TABLE source_devices (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB UNIQUE, name TEXT,
                manufacturer TEXT, model TEXT, hardware TEXT, firmware TEXT, software TEXT);
             CREATE TABLE key_value (category INTEGER NOT NULL, domain TEXT NOT NULL, key TEXT NOT NULL, value,
                UNIQUE(category, domain, key));
             INSERT INTO sources (bundle_id, name, local_device) VALUES ('com.apple.health', 'iPhone', 1);
             INSERT INTO source_devices (name, manufacturer, model) VALUES ('iPhone', 'Apple Inc.', 'iPhone');",
        )
    })?;
    maker.directory("HealthDomain", "Health/Client");
    maker.database("HomeKitDomain", "Library/homed/datastore3.sqlite", |connection| {
        core_data(connection, &mut rng, &[("MKFHome", 0), ("MKFAccessory", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZMKFHOME (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZNAME VARCHAR, ZMODELID BLOB);
             INSERT INTO ZMKFHOME VALUES (1, 1, 1, 'Lighthouse', x'00112233445566778899AABBCCDDEEFF');",
        )
    })?;
    interactions(maker, &mut rng)?;
    networks(maker, &mut rng);
    let focus =
        br#"{"data":[{"modeConfigurations":{"com.apple.donotdisturb.mode.default":{"state":1}}}]}"#;
    maker.file(
        "HomeDomain",
        "Library/DoNotDisturb/DB/ModeConfigurations.json",
        Content::bytes(*focus),
    );
    Ok(())
}

/// Adds the samples and interactions of some days, and joins a network again.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let (start, end, count) = (maker.start, maker.end, maker.amounts.daily.health_samples * days);
    maker.change("HealthDomain", SECURE, |connection| {
        samples(connection, rng, (start, end), count)
    })?;
    let contacts = maker.amounts.contacts;
    maker.change("HomeDomain", INTERACTIONS, |connection| {
        met(connection, rng, (start, end), contacts, 5 * days)
    })?;
    let content = known_networks(maker.seed, end, rng);
    maker.rewrite("SystemPreferencesDomain", NETWORKS, content);
    Ok(())
}

fn samples(
    connection: &Connection,
    rng: &mut Rng,
    (start, end): (i64, i64),
    count: u64,
) -> rusqlite::Result<()> {
    let mut object = connection.prepare("INSERT INTO objects VALUES (?1, ?2, 1, 1, ?3)")?;
    let mut sample = connection.prepare("INSERT INTO samples VALUES (?1, ?2, ?3, ?4)")?;
    let mut quantity = connection.prepare("INSERT INTO quantity_samples VALUES (?1, ?2, ?2, 1)")?;
    let first = next(connection, "objects", "data_id")?;
    let span = u64::try_from(end - start).unwrap_or(0);
    for number in 0..count {
        let row = first + signed(number);
        let passed = u128::from(span) * u128::from(number) / u128::from(count);
        let when = start + i64::try_from(passed).unwrap_or(0);
        object.execute(params![row, rng.bytes(16), cocoa_real(when)])?;
        sample.execute(params![
            row,
            cocoa_real(when),
            cocoa_real(when + 60),
            TYPES[rng.index(TYPES.len())]
        ])?;
        quantity.execute(params![
            row,
            f64::from(u16::try_from(rng.below(2_000)).unwrap_or(0)) / 10.0
        ])?;
    }
    Ok(())
}

fn interactions(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    let (start, end, contacts) = (maker.start, maker.end, maker.amounts.contacts);
    let known = people(maker.seed, contacts);
    maker.database("HomeDomain", INTERACTIONS, |connection| {
        core_data(connection, rng, &[("Attachments", 0), ("Contacts", 0), ("Interactions", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZCONTACTS (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZINCOMINGRECIPIENTCOUNT INTEGER,
                ZOUTGOINGRECIPIENTCOUNT INTEGER, ZCREATIONDATE TIMESTAMP, ZLASTINCOMINGSENDERDATE TIMESTAMP,
                ZDISPLAYNAME VARCHAR, ZIDENTIFIER VARCHAR, ZPERSONID VARCHAR);
             CREATE TABLE ZINTERACTIONS (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZDIRECTION INTEGER,
                ZMECHANISM INTEGER, ZRECIPIENTCOUNT INTEGER, ZSENDER INTEGER, ZSTARTDATE TIMESTAMP, ZENDDATE TIMESTAMP,
                ZBUNDLEID VARCHAR, ZUUID VARCHAR);
             CREATE INDEX ZINTERACTIONS_ZSTARTDATE_INDEX ON ZINTERACTIONS (ZSTARTDATE);
             CREATE INDEX ZINTERACTIONS_ZSENDER_INDEX ON ZINTERACTIONS (ZSENDER);",
        )?;
        let mut contact = connection.prepare("INSERT INTO ZCONTACTS VALUES (?1, 2, 1, 3, 4, ?2, ?2, ?3, ?4, NULL)")?;
        for (row, person) in (1_i64..).zip(&known) {
            contact.execute(params![row, cocoa_real(start), person.name(), person.phone])?;
        }
        met(connection, rng, (start, end), contacts, contacts * 3)?;
        set_maximum(connection, "Contacts", "ZCONTACTS")
    })?;
    Ok(())
}

fn met(
    connection: &Connection,
    rng: &mut Rng,
    (start, end): (i64, i64),
    contacts: u64,
    count: u64,
) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO ZINTERACTIONS VALUES (?1, 3, 1, ?2, 13, 1, ?3, ?4, ?4, ?5, ?6)")?;
    let first = next(connection, "ZINTERACTIONS", "Z_PK")?;
    for row in first..first + signed(count) {
        insert.execute(params![
            row,
            rng.chance(50),
            rng.between(1, signed(contacts) + 1),
            cocoa_real(rng.between(start, end)),
            "com.apple.MobileSMS",
            rng.uuid(),
        ])?;
    }
    set_maximum(connection, "Interactions", "ZINTERACTIONS")
}

fn networks(maker: &mut Maker<'_>, rng: &mut Rng) {
    let content = known_networks(maker.seed, maker.end, rng);
    maker.file("SystemPreferencesDomain", NETWORKS, content).class(3);
    let wifi = xml_file(&dictionary([("AllowEnable", 1.into()), ("Version", 14.into())]));
    maker
        .file("SystemPreferencesDomain", "SystemConfiguration/com.apple.wifi.plist", wifi)
        .class(3);
}

fn known_networks(seed: u64, now: i64, rng: &mut Rng) -> Content {
    let mut names = Rng::new(seed, "networks");
    let mut networks = plist::Dictionary::new();
    for name in ["Lighthouse", "Ferry Guest", "Café 🐟"] {
        let access_point: Vec<String> =
            names.bytes(6).iter().map(|byte| format!("{byte:02x}")).collect();
        let station = dictionary([
            ("BSSID", access_point.join(":").into()),
            ("Channel", names.between(1, 12).into()),
            ("ChannelFlags", 10.into()),
            ("LastAssociatedAt", date(now - rng.between(60, 80_000))),
        ]);
        let network = dictionary([
            ("SSID", Value::Data(name.as_bytes().to_vec())),
            ("AddReason", "WiFi Settings".into()),
            ("AddedAt", date(now - 400 * 86_400)),
            ("JoinedByUserAt", date(now - 300 * 86_400)),
            ("JoinedBySystemAt", date(now - rng.between(60, 80_000))),
            ("Hidden", false.into()),
            ("LowDataMode", false.into()),
            ("SupportedSecurityTypes", "WPA2 Personal".into()),
            ("BSSList", Value::Array(vec![station])),
        ]);
        networks.insert(format!("wifi.network.ssid.{name}"), network);
    }
    binary_file(&Value::Dictionary(networks))
}
