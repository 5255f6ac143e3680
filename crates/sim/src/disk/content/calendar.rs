//! Calendars and reminders (docs/format.md 3.5).

use rusqlite::{Connection, params};

use super::database::{cocoa_real, core_data, entity, next, set_maximum, signed};
use super::words::{CITIES, people, sentence, title};
use crate::disk::DiskError;
use crate::disk::maker::{DAY, Maker};
use crate::disk::prng::Rng;

const CALENDAR: &str = "Library/Calendar/Calendar.sqlitedb";

const REMINDERS: &str = "
    CREATE TABLE ZREMCDBASELIST (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZMARKEDFORDELETION INTEGER,
        ZISGROUP INTEGER, ZSHARINGSTATUS INTEGER, ZACCOUNT INTEGER, ZIDENTIFIER BLOB, ZNAME VARCHAR,
        ZBADGEEMBLEM VARCHAR);
    CREATE TABLE ZREMCDREMINDER (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZALLDAY INTEGER,
        ZCOMPLETED INTEGER, ZFLAGGED INTEGER, ZMARKEDFORDELETION INTEGER, ZPRIORITY INTEGER, ZACCOUNT INTEGER,
        ZLIST INTEGER, ZPARENTREMINDER INTEGER, ZCOMPLETIONDATE TIMESTAMP, ZCREATIONDATE TIMESTAMP,
        ZDUEDATE TIMESTAMP, ZLASTMODIFIEDDATE TIMESTAMP, ZSTARTDATE TIMESTAMP, ZNOTES VARCHAR, ZTITLE VARCHAR,
        ZTIMEZONE VARCHAR, ZIDENTIFIER BLOB);
    CREATE TABLE ZREMCDOBJECT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZMARKEDFORDELETION INTEGER,
        ZACCOUNT INTEGER, ZREMINDER INTEGER, ZNAME VARCHAR, ZTITLE1 VARCHAR, ZIDENTIFIER BLOB);
    CREATE INDEX ZREMCDREMINDER_ZLIST_INDEX ON ZREMCDREMINDER (ZLIST);
    CREATE INDEX ZREMCDREMINDER_ZACCOUNT_INDEX ON ZREMCDREMINDER (ZACCOUNT);
    CREATE INDEX ZREMCDREMINDER_ZPARENTREMINDER_INDEX ON ZREMCDREMINDER (ZPARENTREMINDER);
    CREATE UNIQUE INDEX ZREMCDREMINDER_ZIDENTIFIER_INDEX ON ZREMCDREMINDER (ZIDENTIFIER);
    CREATE INDEX ZREMCDBASELIST_ZACCOUNT_INDEX ON ZREMCDBASELIST (ZACCOUNT);
    CREATE INDEX ZREMCDOBJECT_Z_ENT_INDEX ON ZREMCDOBJECT (Z_ENT);";

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let mut rng = Rng::new(maker.seed, "calendar");
    let (start, end, count) = (maker.start, maker.end, maker.amounts.events);
    let people = people(maker.seed, maker.amounts.contacts);
    maker.database("HomeDomain", CALENDAR, |connection| {
        connection.execute_batch(include_str!("sql/calendar.sql"))?;
        connection.execute(
            "INSERT INTO Store (ROWID, name, type, persistent_id, disabled) VALUES (1, 'Default', 0, ?1, 0)",
            [rng.uuid()],
        )?;
        for (row, name) in (1_i64..).zip(["Home", "Work", "Birthdays"]) {
            connection.execute(
                "INSERT INTO Calendar (ROWID, store_id, title, color, type, sharing_status, UUID)
                 VALUES (?1, 1, ?2, '#1BADF8', 0, 0, ?3)",
                params![row, name, rng.uuid()],
            )?;
        }
        events(connection, &mut rng, (start, end + 60 * DAY), end, count)?;
        for person in people.iter().take(5) {
            invite(connection, &person.mail, &person.name(), &mut rng)?;
        }
        Ok(())
    })?;
    reminders(maker, &mut rng)
}

/// Adds an event, moves one, and ticks off a reminder.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let (start, end) = (maker.start, maker.end);
    maker.change("HomeDomain", CALENDAR, |connection| {
        let last = next(connection, "CalendarItem", "ROWID")?;
        connection.execute(
            "UPDATE CalendarItem SET start_date = start_date + 3600, end_date = end_date + 3600, last_modified = ?1
             WHERE ROWID = ?2",
            params![cocoa_real(end), rng.between(1, last)],
        )?;
        events(connection, rng, (start, end + 20 * DAY), end, days)
    })?;
    let (domain, path) = place(maker);
    maker.change(domain, &path, |connection| {
        connection.execute(
            "UPDATE ZREMCDREMINDER SET ZCOMPLETED = 1, ZCOMPLETIONDATE = ?1, ZLASTMODIFIEDDATE = ?1, Z_OPT = Z_OPT + 1
             WHERE Z_PK = (SELECT min(Z_PK) FROM ZREMCDREMINDER WHERE ZCOMPLETED = 0)",
            [cocoa_real(end)],
        )?;
        tasks(connection, rng, (start, end), days)
    })
}

fn events(
    connection: &Connection,
    rng: &mut Rng,
    (start, end): (i64, i64),
    now: i64,
    count: u64,
) -> rusqlite::Result<()> {
    let mut event = connection.prepare(
        "INSERT INTO CalendarItem (ROWID, summary, location_id, description, start_date, start_tz, end_date, end_tz,
            all_day, calendar_id, status, availability, last_modified, creation_date, has_recurrences, has_attendees,
            UUID, entity_type, priority)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?8, ?9, 0, 0, ?10, ?10, ?11, 0, ?12, 2, 0)",
    )?;
    let mut location = connection
        .prepare("INSERT INTO Location (title, address, latitude, longitude, item_owner_id) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut recurrence = connection.prepare(
        "INSERT INTO Recurrence (frequency, interval, count, specifier, owner_id) VALUES (2, 1, 10, '', ?1)",
    )?;
    let mut alarm = connection.prepare(
        "INSERT INTO Alarm (trigger_interval, type, calendaritem_owner_id, UUID) VALUES (-900, 0, ?1, ?2)",
    )?;
    let first = next(connection, "CalendarItem", "ROWID")?;
    for row in first..first + signed(count) {
        let when = rng.between(start, end) / 900 * 900;
        let length = 900 * rng.between(1, 12);
        let all_day = rng.chance(15);
        let weekly = rng.chance(8);
        let place = if rng.chance(30) {
            let (city, country, latitude, longitude) = CITIES[rng.index(CITIES.len())];
            location.execute(params![
                city,
                format!("{city}, {country}"),
                f64::from(latitude) / 1000.0,
                f64::from(longitude) / 1000.0,
                row
            ])?;
            Some(connection.last_insert_rowid())
        } else {
            None
        };
        event.execute(params![
            row,
            title(rng),
            place.unwrap_or(0),
            rng.chance(30).then(|| sentence(rng, 14)),
            cocoa_real(when).floor(),
            if all_day { "_float" } else { "Europe/Berlin" },
            cocoa_real(when + length).floor(),
            all_day,
            rng.between(1, 3),
            cocoa_real(when.min(now)),
            weekly,
            rng.uuid(),
        ])?;
        if weekly {
            recurrence.execute([row])?;
        }
        if rng.chance(50) {
            alarm.execute(params![row, rng.uuid()])?;
        }
    }
    Ok(())
}

fn invite(connection: &Connection, mail: &str, name: &str, rng: &mut Rng) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO Identity VALUES (?1, ?2, '', '')", [name, mail])?;
    let identity = connection.last_insert_rowid();
    let item = rng.between(1, next(connection, "CalendarItem", "ROWID")?);
    connection.execute(
        "INSERT INTO Participant (entity_type, type, status, role, identity_id, owner_id, UUID, email)
         VALUES (7, 1, ?1, 1, ?2, ?3, ?4, ?5)",
        params![rng.between(0, 4), identity, item, rng.uuid(), mail],
    )?;
    connection.execute("UPDATE CalendarItem SET has_attendees = 1 WHERE ROWID = ?1", [item])?;
    Ok(())
}

/// Returns where the reminders are: since iOS 17 in an app group.
fn place(maker: &Maker<'_>) -> (&'static str, String) {
    let name = format!("Data-{}.sqlite", Rng::new(maker.seed, "reminders").uuid());
    if maker.ios.major >= 17 {
        ("AppDomainGroup-group.com.apple.reminders", format!("Container_v1/Stores/{name}"))
    } else {
        ("HomeDomain", format!("Library/Reminders/Container_v1/Stores/{name}"))
    }
}

fn reminders(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    let (domain, path) = place(maker);
    let local =
        path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned() + "/Data-local.sqlite";
    let (start, end) = (maker.start, maker.end);
    let count = maker.amounts.notes.max(4);
    for (path, count) in [(path, count), (local, 1)] {
        maker.database(domain, &path, |connection| {
            core_data(
                connection,
                rng,
                &[
                    ("REMCDBaseList", 0),
                    ("REMCDList", 1),
                    ("REMCDObject", 0),
                    ("REMCDAccount", 3),
                    ("REMCDReminder", 0),
                ],
            )?;
            connection.execute_batch(REMINDERS)?;
            let (list, account) =
                (entity(connection, "REMCDList")?, entity(connection, "REMCDAccount")?);
            connection.execute(
                "INSERT INTO ZREMCDOBJECT VALUES (1, ?1, 1, 0, NULL, NULL, 'iCloud', NULL, ?2)",
                params![account, rng.bytes(16)],
            )?;
            for (row, name) in (1_i64..).zip(["Reminders", "Shopping"]) {
                connection.execute(
                    "INSERT INTO ZREMCDBASELIST VALUES (?1, ?2, 1, 0, 0, 0, 1, ?3, ?4, NULL)",
                    params![row, list, rng.bytes(16), name],
                )?;
            }
            tasks(connection, rng, (start, end), count)
        })?;
    }
    Ok(())
}

fn tasks(
    connection: &Connection,
    rng: &mut Rng,
    (start, end): (i64, i64),
    count: u64,
) -> rusqlite::Result<()> {
    let reminder = entity(connection, "REMCDReminder")?;
    let mut insert = connection.prepare(
        "INSERT INTO ZREMCDREMINDER VALUES (?1, ?2, 1, 0, ?3, ?4, 0, ?5, 1, ?6, NULL, ?7, ?8, ?9, ?8, ?9, ?10, ?11,
                                            'Europe/Berlin', ?12)",
    )?;
    let first = next(connection, "ZREMCDREMINDER", "Z_PK")?;
    for row in first..first + signed(count) {
        let created = rng.between(start, end);
        let done = rng.chance(50);
        insert.execute(params![
            row,
            reminder,
            done,
            rng.chance(10),
            [0, 1, 5, 9][rng.index(4)],
            rng.between(1, 3),
            done.then(|| cocoa_real(rng.between(created, end))),
            cocoa_real(created),
            rng.chance(60).then(|| cocoa_real(created + rng.between(1, 20) * DAY)),
            rng.chance(20).then(|| sentence(rng, 9)),
            title(rng),
            rng.bytes(16),
        ])?;
    }
    set_maximum(connection, "REMCDReminder", "ZREMCDREMINDER")?;
    set_maximum(connection, "REMCDBaseList", "ZREMCDBASELIST")
}
