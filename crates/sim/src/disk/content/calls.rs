//! Call history and voicemail (docs/format.md 3.5).

use rusqlite::{Connection, params};

use super::Stretch;
use super::database::{
    binary_file, cocoa_real, core_data, date, dictionary, next, set_maximum, signed,
};
use super::words::{Person, people, sentence};
use crate::disk::DiskError;
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;

const HISTORY: &str = "Library/CallHistoryDB/CallHistory.storedata";
const VOICEMAIL: &str = "Library/Voicemail/voicemail.db";

const TABLES: &str = "
    CREATE TABLE ZCALLDBPROPERTIES (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZTIMER_ALL FLOAT,
        ZTIMER_INCOMING FLOAT, ZTIMER_LAST FLOAT, ZTIMER_LAST_RESET FLOAT, ZTIMER_LIFETIME FLOAT, ZTIMER_OUTGOING FLOAT);
    CREATE TABLE ZCALLRECORD (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZANSWERED INTEGER,
        ZCALL_CATEGORY INTEGER, ZCALLTYPE INTEGER, ZDISCONNECTED_CAUSE INTEGER, ZFACE_TIME_DATA INTEGER,
        ZFILTERED_OUT_REASON INTEGER, ZHANDLE_TYPE INTEGER, ZJUNKCONFIDENCE INTEGER, ZNUMBER_AVAILABILITY INTEGER,
        ZORIGINATED INTEGER, ZREAD INTEGER, ZVERIFICATIONSTATUS INTEGER, ZOUTGOINGLOCALPARTICIPANT INTEGER,
        ZDATE TIMESTAMP, ZDURATION FLOAT, ZADDRESS VARCHAR, ZDEVICE_ID VARCHAR, ZISO_COUNTRY_CODE VARCHAR,
        ZLOCATION VARCHAR, ZNAME VARCHAR, ZSERVICE_PROVIDER VARCHAR, ZUNIQUE_ID VARCHAR,
        ZLOCALPARTICIPANTUUID BLOB, ZOUTGOINGLOCALPARTICIPANTUUID BLOB);
    CREATE TABLE ZHANDLE (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZTYPE INTEGER,
        ZNORMALIZEDVALUE VARCHAR, ZVALUE VARCHAR);
    CREATE TABLE Z_2REMOTEPARTICIPANTHANDLES (Z_2REMOTEPARTICIPANTCALLS INTEGER, Z_4REMOTEPARTICIPANTHANDLES INTEGER,
        PRIMARY KEY (Z_2REMOTEPARTICIPANTCALLS, Z_4REMOTEPARTICIPANTHANDLES));
    CREATE INDEX ZCALLRECORD_ZDATE_INDEX ON ZCALLRECORD (ZDATE);
    CREATE INDEX ZCALLRECORD_ZUNIQUE_ID_INDEX ON ZCALLRECORD (ZUNIQUE_ID);
    CREATE INDEX ZCALLRECORD_ZOUTGOINGLOCALPARTICIPANT_INDEX ON ZCALLRECORD (ZOUTGOINGLOCALPARTICIPANT);
    CREATE INDEX ZHANDLE_ZNORMALIZEDVALUE_INDEX ON ZHANDLE (ZNORMALIZEDVALUE);
    CREATE INDEX Z_2REMOTEPARTICIPANTHANDLES_INDEX
        ON Z_2REMOTEPARTICIPANTHANDLES (Z_4REMOTEPARTICIPANTHANDLES, Z_2REMOTEPARTICIPANTCALLS);";

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let people = people(maker.seed, maker.amounts.contacts);
    let mut rng = Rng::new(maker.seed, "calls");
    let stretch = Stretch::new(maker, maker.amounts.calls);
    maker.database("HomeDomain", HISTORY, |connection| {
        let entities =
            [("CallDBProperties", 0), ("CallRecord", 0), ("EmergencyMediaItem", 0), ("Handle", 0)];
        core_data(connection, &mut rng, &entities)?;
        connection.execute_batch(TABLES)?;
        connection.execute(
            "INSERT INTO ZCALLDBPROPERTIES VALUES (1, 1, 1, 9000, 5000, 60, 0, 9000, 4000)",
            [],
        )?;
        let mut handle = connection.prepare("INSERT INTO ZHANDLE VALUES (?1, 4, 1, 2, ?2, ?2)")?;
        for (row, person) in (1_i64..).zip(&people) {
            handle.execute(params![row, person.phone])?;
        }
        write(connection, &people, &mut rng, stretch)
    })?;
    let about = dictionary([("DatabaseVersion", 32.into()), ("Date", date(stretch.end))]);
    maker.file(
        "HomeDomain",
        "Library/CallHistoryDB/com.apple.callhistory.databaseInfo.plist",
        binary_file(&about),
    );
    voicemail(maker, &people, &mut rng)
}

/// Adds the calls of some days.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let people = people(maker.seed, maker.amounts.contacts);
    let stretch = Stretch::new(maker, maker.amounts.daily.calls * days);
    maker.change("HomeDomain", HISTORY, |connection| write(connection, &people, rng, stretch))
}

fn write(
    connection: &Connection,
    people: &[Person],
    rng: &mut Rng,
    stretch: Stretch,
) -> rusqlite::Result<()> {
    let mut call = connection.prepare(
        "INSERT INTO ZCALLRECORD (Z_PK, Z_ENT, Z_OPT, ZANSWERED, ZCALL_CATEGORY, ZCALLTYPE, ZHANDLE_TYPE,
            ZNUMBER_AVAILABILITY, ZORIGINATED, ZREAD, ZDATE, ZDURATION, ZADDRESS, ZISO_COUNTRY_CODE, ZLOCATION,
            ZSERVICE_PROVIDER, ZUNIQUE_ID)
         VALUES (?1, 2, 1, ?2, 1, ?3, 2, 0, ?4, 1, ?5, ?6, ?7, 'us', ?8, ?9, ?10)",
    )?;
    let mut join = connection.prepare("INSERT INTO Z_2REMOTEPARTICIPANTHANDLES VALUES (?1, ?2)")?;
    let first = next(connection, "ZCALLRECORD", "Z_PK")?;
    for number in 0..stretch.count {
        let row = first + number;
        let who = rng.index(people.len());
        let outgoing = rng.chance(50);
        let answered = rng.chance(75);
        let (kind, provider) = match rng.below(10) {
            0 => (8, "com.apple.FaceTime"),
            1 => (16, "com.apple.FaceTime"),
            _ => (1, "com.apple.Telephony"),
        };
        let duration = if answered { cocoa_real(978_307_200 + rng.between(3, 2_400)) } else { 0.0 };
        let when = stretch.moment(number, rng);
        call.execute(params![
            row,
            answered,
            kind,
            outgoing,
            cocoa_real(when),
            duration,
            people[who].phone,
            super::words::CITIES[people[who].city].0,
            provider,
            rng.uuid(),
        ])?;
        join.execute([row, i64::try_from(who).unwrap_or(0) + 1])?;
    }
    set_maximum(connection, "CallRecord", "ZCALLRECORD")?;
    set_maximum(connection, "Handle", "ZHANDLE")
}

fn voicemail(maker: &mut Maker<'_>, people: &[Person], rng: &mut Rng) -> Result<(), DiskError> {
    let count = (maker.amounts.calls / 12).clamp(1, 60);
    let (start, end) = (maker.start, maker.end);
    maker.database("HomeDomain", VOICEMAIL, |connection| {
        connection.execute_batch(
            "CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key));
             CREATE TABLE voicemail (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, remote_uid INTEGER, date INTEGER,
                token TEXT, sender TEXT, callback_num TEXT, duration INTEGER, expiration INTEGER,
                trashed_date INTEGER, flags INTEGER, receiver TEXT, label TEXT, uuid TEXT);
             CREATE TABLE deleted (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, remote_uid INTEGER, date INTEGER,
                token TEXT, sender TEXT, callback_num TEXT, duration INTEGER, expiration INTEGER,
                trashed_date INTEGER, flags INTEGER, receiver TEXT, label TEXT, uuid TEXT);
             CREATE TABLE map (ROWID INTEGER PRIMARY KEY, account TEXT, label TEXT);
             CREATE INDEX date_index ON voicemail(date);
             CREATE INDEX remote_uid_index ON voicemail(remote_uid);
             INSERT INTO map VALUES (1, '89014103211118510720', 'primary');",
        )?;
        let mut insert = connection.prepare(
            "INSERT INTO voicemail (remote_uid, date, token, sender, callback_num, duration, expiration,
                                    trashed_date, flags, receiver, label)
             VALUES (?1, ?2, 'Complete', ?3, ?3, ?4, 0, 0, ?5, '+12015550100', 'primary')",
        )?;
        for number in 1..=signed(count) {
            let phone = &people[rng.index(people.len())].phone;
            let heard = if rng.chance(80) { 67 } else { 3 };
            insert.execute(params![number, rng.between(start, end), phone, rng.between(4, 90), heard])?;
        }
        Ok(())
    })?;
    for number in 1..=count {
        let length = if count == 1 { 3_000 } else { 6_000 + rng.below(60_000) };
        maker.generated(
            "HomeDomain",
            &format!("Library/Voicemail/{number}.amr"),
            Shape::Noise,
            length,
        );
    }
    let transcript = dictionary([
        ("transcriptionString", sentence(rng, 12).into()),
        ("confidence", plist::Value::Real(0.8)),
    ]);
    maker.file("HomeDomain", "Library/Voicemail/1.transcript", binary_file(&transcript));
    maker.generated("HomeDomain", "Library/Voicemail/Greeting.amr", Shape::Noise, 4_000);
    Ok(())
}
