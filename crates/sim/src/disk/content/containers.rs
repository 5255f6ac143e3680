//! Apps and their containers, with one typical messenger (docs/format.md 3.5).

use rusqlite::{Connection, params};

use super::Stretch;
use super::database::{
    binary_file, cocoa_real, core_data, date, dictionary, next, set_maximum, signed,
};
use super::words::{Person, WORDS, people, sentence, title};
use crate::disk::DiskError;
use crate::disk::apps::{AppKind, InstalledApp, container_path};
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;

const MESSENGER: &str = "net.whatsapp.WhatsApp";
const MESSENGER_GROUP: &str = "group.net.whatsapp.WhatsApp.shared";
const CHATS: &str = "ChatStorage.sqlite";

const SYSTEM_APPS: [(&str, &str); 16] = [
    ("com.apple.mobilephone", "Phone"),
    ("com.apple.mobilesafari", "Safari"),
    ("com.apple.MobileSMS", "Messages"),
    ("com.apple.camera", "Camera"),
    ("com.apple.mobilenotes", "Notes"),
    ("com.apple.mobilecal", "Calendar"),
    ("com.apple.mobileslideshow", "Photos"),
    ("com.apple.reminders", "Reminders"),
    ("com.apple.Maps", "Maps"),
    ("com.apple.weather", "Weather"),
    ("com.apple.Health", "Health"),
    ("com.apple.podcasts", "Podcasts"),
    ("com.apple.VoiceMemos", "Voice Memos"),
    ("com.apple.Preferences", "Settings"),
    ("com.apple.stocks", "Stocks"),
    ("com.apple.calculator", "Calculator"),
];

/// What the containers of daemons are called.
const DAEMONS: [&str; 8] = [
    "geod",
    "lsd",
    "nsurlsessiond",
    "suggestd",
    "rapportd",
    "sharingd",
    "bluetoothd",
    "mediaremoted",
];

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<Vec<InstalledApp>, DiskError> {
    let mut rng = Rng::new(maker.seed, "apps");
    let mut apps: Vec<InstalledApp> = SYSTEM_APPS
        .iter()
        .map(|(bundle_id, name)| installed(bundle_id, name, AppKind::System, &mut rng))
        .collect();
    for number in 0..maker.amounts.user_apps {
        let mut app = match number {
            0 => installed(MESSENGER, "WhatsApp", AppKind::User, &mut rng),
            1 => installed("com.example.odds", "Odds & Ends", AppKind::User, &mut rng),
            _ => {
                let word = WORDS[(number * 7) % WORDS.len()];
                let bundle_id = format!("com.example.{word}{number}");
                installed(&bundle_id, &title(&mut rng), AppKind::User, &mut rng)
            }
        };
        if number == 0 {
            app.groups = vec![MESSENGER_GROUP.to_owned()];
        } else if number % 5 == 2 {
            app.groups = vec![format!("group.{}", app.bundle_id)];
        }
        if number % 3 == 0 {
            app.plugins = vec![format!("{}.ShareExtension", app.bundle_id)];
        }
        apps.push(app);
    }
    for app in &apps {
        place(maker, app, &mut rng);
    }
    plugins(maker, &mut rng);
    daemons(maker, &mut rng)?;
    messenger(maker, &mut rng)?;
    Ok(apps)
}

/// Updates an app: a new version, some documents changed, a cache file gone, and the messenger goes on.
pub(crate) fn live(
    maker: &mut Maker<'_>,
    apps: &mut [InstalledApp],
    days: u64,
    rng: &mut Rng,
) -> Result<(), DiskError> {
    let mut users: Vec<&mut InstalledApp> =
        apps.iter_mut().filter(|app| app.kind == AppKind::User).collect();
    let updates = 1 + usize::try_from(days / 3).unwrap_or(0).min(users.len());
    for _ in 0..updates {
        let index = rng.index(users.len());
        let Some(app) = users.get_mut(index) else { continue };
        app.version[1] += 1;
        app.version[2] = 0;
        update(maker, app, rng);
    }
    let people = people(maker.seed, maker.amounts.contacts);
    let stretch = Stretch::new(maker, maker.amounts.daily.chat_app_messages * days);
    let domain = format!("AppDomainGroup-{MESSENGER_GROUP}");
    maker.change(&domain, CHATS, |connection| write(connection, &people, rng, stretch))
}

fn installed(bundle_id: &str, name: &str, kind: AppKind, rng: &mut Rng) -> InstalledApp {
    let mut part = |bound| u32::try_from(rng.below(bound)).unwrap_or(0);
    InstalledApp {
        bundle_id: bundle_id.to_owned(),
        name: name.to_owned(),
        kind,
        version: [1 + part(9), part(30), part(10)],
        groups: Vec::new(),
        plugins: Vec::new(),
    }
}

fn preferences_path(app: &InstalledApp) -> String {
    format!("Library/Preferences/{}.plist", app.bundle_id)
}

fn preferences(app: &InstalledApp, now: i64) -> crate::disk::entry::Content {
    binary_file(&dictionary([("lastVersion", app.version().into()), ("lastLaunch", date(now))]))
}

fn place(maker: &mut Maker<'_>, app: &InstalledApp, rng: &mut Rng) {
    let domain = format!("AppDomain-{}", app.bundle_id);
    for folder in ["Documents", "Library/Preferences"] {
        maker.directory(&domain, folder);
    }
    // Light system apps keep nothing of their own.
    if app.kind == AppKind::User || maker.amounts.files > 1_000 {
        let content = preferences(app, maker.end);
        maker.file(&domain, &preferences_path(app), content).permissions(0o600);
    }
    if app.kind == AppKind::User {
        let length = 300 + rng.below(3_000);
        maker.generated(&domain, "Documents/state.json", Shape::Text, length).permissions(0o600);
        let target = container_path(maker.seed, &domain) + "/Library/Caches/WebKit/IndexedDB/v1";
        maker.link(&domain, "Library/WebKit/WebsiteData/IndexedDB/v0", &target);
    }
    for group in &app.groups {
        let domain = format!("AppDomainGroup-{group}");
        maker.directory(&domain, "Library/Preferences");
    }
    for plugin in &app.plugins {
        let domain = format!("AppDomainPlugin-{plugin}");
        maker.directory(&domain, "Documents");
        maker.directory(&domain, "Library/Preferences");
    }
}

fn update(maker: &mut Maker<'_>, app: &InstalledApp, rng: &mut Rng) {
    let domain = format!("AppDomain-{}", app.bundle_id);
    let content = preferences(app, maker.end);
    maker.rewrite(&domain, &preferences_path(app), content);
    let content = maker.fresh(Shape::Text, 400 + rng.below(4_000));
    maker.rewrite(&domain, "Documents/state.json", content);
    let length = 500 + rng.below(20_000);
    let version = app.version();
    maker.generated(
        &domain,
        &format!("Library/Application Support/{version}/model.bin"),
        Shape::Noise,
        length,
    );
    if let Some(path) = maker.paths(&domain, "Library/Application Support/data/").first() {
        maker.remove(&domain, path);
    }
}

/// Extensions of the system: nearly all of them empty folders.
fn plugins(maker: &mut Maker<'_>, rng: &mut Rng) {
    for number in 0..maker.amounts.plugins {
        let index = usize::try_from(number).unwrap_or(0);
        let domain =
            format!("AppDomainPlugin-com.apple.{}{number}.Extension", WORDS[index % WORDS.len()]);
        for folder in ["Documents", "Library/Preferences", "SystemData"] {
            maker.directory(&domain, folder);
        }
        if rng.chance(3) {
            maker.generated(&domain, "Documents/state.bin", Shape::Noise, 120);
        }
    }
}

fn daemons(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    for daemon in DAEMONS {
        let domain = format!("SysContainerDomain-com.apple.{daemon}");
        maker.directory(&domain, "Library/Preferences").flags = 128;
    }
    let domain = "SysSharedContainerDomain-systemgroup.com.apple.configurationprofiles";
    let profile = dictionary([("ProfileListHash", plist::Value::Data(rng.bytes(20)))]);
    maker.file(
        domain,
        "Library/ConfigurationProfiles/PayloadManifest.plist",
        binary_file(&profile),
    );
    let domain = "SysSharedContainerDomain-systemgroup.com.apple.bluetooth";
    maker.database(domain, "Library/Database/com.apple.MobileBluetooth.ledevices.paired.db", |connection| {
        connection.execute_batch(
            "CREATE TABLE PairedDevices (Uuid TEXT PRIMARY KEY, Name TEXT, NameOrigin INTEGER, Address TEXT,
                ResolvedAddress TEXT, LastSeenTime INTEGER, LastConnectionTime INTEGER);",
        )?;
        connection.execute(
            "INSERT INTO PairedDevices VALUES (?1, 'Watch', 1, 'Public 00:00:5E:00:53:01', '', 0, 0)",
            [rng.uuid()],
        )?;
        Ok(())
    })?;
    Ok(())
}

const CHAT_TABLES: &str = "
    CREATE TABLE ZWACHATSESSION (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZARCHIVED INTEGER,
        ZCONTACTABID INTEGER, ZFLAGS INTEGER, ZHIDDEN INTEGER, ZMESSAGECOUNTER INTEGER, ZREMOVED INTEGER,
        ZSESSIONTYPE INTEGER, ZUNREADCOUNT INTEGER, ZGROUPINFO INTEGER, ZLASTMESSAGE INTEGER,
        ZLASTMESSAGEDATE TIMESTAMP, ZCONTACTJID VARCHAR, ZLASTMESSAGETEXT VARCHAR, ZPARTNERNAME VARCHAR);
    CREATE TABLE ZWAMESSAGE (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZCHILDMESSAGESDELIVEREDCOUNT INTEGER,
        ZDATAITEMVERSION INTEGER, ZDOCID INTEGER, ZENCRETRYCOUNT INTEGER, ZFILTEREDRECIPIENTCOUNT INTEGER,
        ZGROUPEVENTTYPE INTEGER, ZISFROMME INTEGER, ZMESSAGEERRORSTATUS INTEGER, ZMESSAGESTATUS INTEGER,
        ZMESSAGETYPE INTEGER, ZSORT INTEGER, ZSPOTLIGHTSTATUS INTEGER, ZSTARRED INTEGER, ZCHATSESSION INTEGER,
        ZGROUPMEMBER INTEGER, ZLASTSESSION INTEGER, ZMEDIAITEM INTEGER, ZMESSAGEINFO INTEGER, ZPARENTMESSAGE INTEGER,
        ZMESSAGEDATE TIMESTAMP, ZSENTDATE TIMESTAMP, ZFROMJID VARCHAR, ZMEDIASECTIONID VARCHAR, ZPHASH VARCHAR,
        ZPUSHNAME VARCHAR, ZSTANZAID VARCHAR, ZTEXT VARCHAR, ZTOJID VARCHAR);
    CREATE TABLE ZWAMEDIAITEM (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZFILESIZE INTEGER,
        ZMOVIEDURATION INTEGER, ZMESSAGE INTEGER, ZASPECTRATIO FLOAT, ZLATITUDE FLOAT, ZLONGITUDE FLOAT,
        ZMEDIAURLDATE TIMESTAMP, ZMEDIALOCALPATH VARCHAR, ZMEDIAURL VARCHAR, ZTITLE VARCHAR, ZVCARDNAME VARCHAR,
        ZVCARDSTRING VARCHAR, ZMEDIAKEY BLOB);
    CREATE TABLE ZWAGROUPMEMBER (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZISACTIVE INTEGER,
        ZISADMIN INTEGER, ZCHATSESSION INTEGER, ZCONTACTNAME VARCHAR, ZMEMBERJID VARCHAR);
    CREATE TABLE ZWAPROFILEPUSHNAME (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZJID VARCHAR, ZPUSHNAME VARCHAR);
    CREATE INDEX ZWAMESSAGE_ZCHATSESSION_INDEX ON ZWAMESSAGE (ZCHATSESSION);
    CREATE INDEX ZWAMESSAGE_ZMEDIAITEM_INDEX ON ZWAMESSAGE (ZMEDIAITEM);
    CREATE INDEX ZWAMESSAGE_ZMESSAGEDATE_INDEX ON ZWAMESSAGE (ZMESSAGEDATE);
    CREATE INDEX ZWAMESSAGE_ZSTANZAID_INDEX ON ZWAMESSAGE (ZSTANZAID);
    CREATE INDEX ZWACHATSESSION_ZCONTACTJID_INDEX ON ZWACHATSESSION (ZCONTACTJID);
    CREATE INDEX ZWAMEDIAITEM_ZMESSAGE_INDEX ON ZWAMEDIAITEM (ZMESSAGE);";

/// Chats of the messenger; each person beyond has none.
const CHAT_COUNT: usize = 40;

fn address(person: &Person) -> String {
    format!("{}@s.whatsapp.net", person.phone.trim_start_matches('+'))
}

fn messenger(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    let domain = format!("AppDomainGroup-{MESSENGER_GROUP}");
    let known = people(maker.seed, maker.amounts.contacts);
    let stretch = Stretch::new(maker, maker.amounts.chat_app_messages);
    let mut media = Vec::new();
    let wanted = maker.amounts.chat_app_media;
    maker.database(&domain, CHATS, |connection| {
        core_data(
            connection,
            rng,
            &[("WAChatSession", 0), ("WAMediaItem", 0), ("WAMessage", 0), ("WAGroupMember", 0), ("WAProfilePushName", 0)],
        )?;
        connection.execute_batch(CHAT_TABLES)?;
        let mut session = connection.prepare(
            "INSERT INTO ZWACHATSESSION (Z_PK, Z_ENT, Z_OPT, ZSESSIONTYPE, ZCONTACTJID, ZPARTNERNAME) VALUES (?1, 1, 1, 0, ?2, ?3)",
        )?;
        let mut name = connection.prepare("INSERT INTO ZWAPROFILEPUSHNAME VALUES (?1, 5, 1, ?2, ?3)")?;
        for (row, person) in (1_i64..).zip(known.iter().take(CHAT_COUNT)) {
            session.execute(params![row, address(person), person.name()])?;
            name.execute(params![row, address(person), person.first])?;
        }
        write(connection, &known, rng, stretch)?;
        media = items(connection, rng, wanted)?;
        set_maximum(connection, "WAChatSession", "ZWACHATSESSION")?;
        set_maximum(connection, "WAMediaItem", "ZWAMEDIAITEM")
    })?;
    for (path, length) in media {
        maker.generated(&domain, &path, Shape::Jpeg, length);
    }
    maker.database(&domain, "ContactsV2.sqlite", |connection| {
        core_data(connection, rng, &[("WAAddressBookContact", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZWAADDRESSBOOKCONTACT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZFULLNAME VARCHAR,
                ZPHONENUMBER VARCHAR, ZWHATSAPPID VARCHAR);",
        )?;
        let mut insert = connection.prepare("INSERT INTO ZWAADDRESSBOOKCONTACT VALUES (?1, 1, 1, ?2, ?3, ?4)")?;
        for (row, person) in (1_i64..).zip(&known) {
            insert.execute(params![row, person.name(), person.phone, address(person)])?;
        }
        set_maximum(connection, "WAAddressBookContact", "ZWAADDRESSBOOKCONTACT")
    })?;
    Ok(())
}

fn write(
    connection: &Connection,
    people: &[Person],
    rng: &mut Rng,
    stretch: Stretch,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(
        "INSERT INTO ZWAMESSAGE (Z_PK, Z_ENT, Z_OPT, ZISFROMME, ZMESSAGESTATUS, ZMESSAGETYPE, ZSORT, ZSTARRED,
            ZCHATSESSION, ZMESSAGEDATE, ZSENTDATE, ZFROMJID, ZSTANZAID, ZTEXT, ZTOJID)
         VALUES (?1, 3, 1, ?2, 8, 0, ?1, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let first = next(connection, "ZWAMESSAGE", "Z_PK")?;
    let chats = people.len().min(CHAT_COUNT);
    for number in 0..stretch.count {
        let bound = rng.index(chats) + 1;
        let chat = rng.index(bound);
        let person = &people[chat];
        let from_me = rng.chance(45);
        let words = 2 + rng.index(14);
        let when = stretch.moment(number, rng);
        insert.execute(params![
            first + number,
            from_me,
            rng.chance(1),
            i64::try_from(chat).unwrap_or(0) + 1,
            cocoa_real(when),
            (!from_me).then(|| address(person)),
            format!("3EB0{:016X}", rng.next()),
            sentence(rng, words),
            from_me.then(|| address(person)),
        ])?;
    }
    connection.execute(
        "UPDATE ZWACHATSESSION SET Z_OPT = Z_OPT + 1, ZLASTMESSAGEDATE = (
            SELECT max(ZMESSAGEDATE) FROM ZWAMESSAGE WHERE ZCHATSESSION = ZWACHATSESSION.Z_PK)",
        [],
    )?;
    set_maximum(connection, "WAMessage", "ZWAMESSAGE")
}

/// Gives some messages a picture and returns paths and lengths of the files.
fn items(
    connection: &Connection,
    rng: &mut Rng,
    count: u64,
) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut insert = connection.prepare(
        "INSERT INTO ZWAMEDIAITEM (Z_PK, Z_ENT, Z_OPT, ZFILESIZE, ZMESSAGE, ZMEDIALOCALPATH) VALUES (?1, 2, 1, ?2, ?3, ?4)",
    )?;
    let mut message =
        connection.prepare("UPDATE ZWAMESSAGE SET ZMESSAGETYPE = 1, ZMEDIAITEM = ?1 WHERE Z_PK = ?2 RETURNING ZCHATSESSION")?;
    let last = next(connection, "ZWAMESSAGE", "Z_PK")?;
    let mut files = Vec::new();
    for row in 1..=signed(count) {
        let owner = 1 + (row - 1) * (last - 1) / signed(count.max(1));
        let chat: i64 = message.query_row([row, owner], |row| row.get(0))?;
        let length = 5_000 + rng.below(if count > 10 { 150_000 } else { 10_000 });
        let name = rng.uuid().to_lowercase();
        let path = format!(
            "Media/chat{chat}@s.whatsapp.net/{}/{}/{name}.jpg",
            name.get(..1).unwrap_or("0"),
            name.get(1..2).unwrap_or("0")
        );
        insert.execute(params![row, signed(length), owner, path])?;
        files.push((format!("Message/{path}"), length));
    }
    Ok(files)
}
