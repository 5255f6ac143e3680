//! Contacts: `AddressBook.sqlitedb` and the pictures (docs/format.md 3.5).

use rusqlite::{Connection, Statement, params};

use super::database::{cocoa, next};
use super::words::{CITIES, Person, people, sentence};
use crate::disk::DiskError;
use crate::disk::apps::icon;
use crate::disk::maker::Maker;
use crate::disk::prng::Rng;

const DATABASE: &str = "Library/AddressBook/AddressBook.sqlitedb";
const PICTURES: &str = "Library/AddressBook/AddressBookImages.sqlitedb";

/// Properties of a contact that can have several values.
const PHONE: i64 = 3;
const MAIL: i64 = 4;
const ADDRESS: i64 = 5;

const LABELS: [&str; 4] = ["_$!<Mobile>!$_", "_$!<Home>!$_", "_$!<Work>!$_", "iPhone"];
const KEYS: [&str; 5] = ["Street", "ZIP", "City", "CountryCode", "Country"];

/// Everybody has a picture whose number divides by this.
const PICTURED: usize = 4;

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let people = people(maker.seed, maker.amounts.contacts);
    let mut rng = Rng::new(maker.seed, "contacts");
    let (start, end) = (maker.start, maker.end);
    maker.database("HomeDomain", DATABASE, |connection| {
        connection.execute_batch(include_str!("sql/address_book.sql"))?;
        lists(connection, &mut rng)?;
        let mut writer = Writer::new(connection)?;
        for person in &people {
            let created = rng.between(start, end);
            let id = next(connection, "ABPerson", "ROWID")?;
            writer.write(person, id, (created, rng.between(created, end)), &mut rng)?;
        }
        groups(connection, people.len(), &mut rng)
    })?;
    maker.database("HomeDomain", PICTURES, |connection| {
        connection.execute_batch(
            "CREATE TABLE ABThumbnailImage (record_id INTEGER, format INTEGER, derived_from_format INTEGER, data BLOB,
                                            PRIMARY KEY(record_id, format));
             CREATE TABLE ABFullSizeImage (record_id INTEGER PRIMARY KEY, crop_x INTEGER, crop_y INTEGER,
                                           crop_width INTEGER, data BLOB, guid TEXT, UNIQUE(guid));
             CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key));",
        )?;
        let mut thumbnail = connection.prepare("INSERT INTO ABThumbnailImage VALUES (?1, 0, NULL, ?2)")?;
        let mut full =
            connection.prepare("INSERT INTO ABFullSizeImage VALUES (?1, 0, 0, 60, ?2, ?3)")?;
        for (id, _) in (1_i64..).zip(&people).step_by(PICTURED) {
            let picture = icon(&mut rng);
            thumbnail.execute(params![id, picture])?;
            full.execute(params![id, picture, rng.uuid()])?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Edits one contact.
pub(crate) fn live(maker: &mut Maker<'_>, rng: &mut Rng) -> Result<(), DiskError> {
    let now = cocoa(maker.end);
    maker.change("HomeDomain", DATABASE, |connection| {
        let last = next(connection, "ABPerson", "ROWID")?;
        connection.execute(
            "UPDATE ABPerson SET Note = ?1, ModificationDate = ?2 WHERE ROWID = ?3",
            params![sentence(rng, 6), now, rng.between(1, last)],
        )?;
        Ok(())
    })
}

fn lists(connection: &Connection, rng: &mut Rng) -> rusqlite::Result<()> {
    for label in LABELS {
        connection.execute("INSERT INTO ABMultiValueLabel VALUES (?1)", [label])?;
    }
    for key in KEYS {
        connection.execute("INSERT INTO ABMultiValueEntryKey VALUES (?1)", [key])?;
    }
    connection.execute(
        "INSERT INTO ABStore (ROWID, Name, Type, AccountID, guid) VALUES (1, 'On My iPhone', 0, -1, ?1)",
        [rng.uuid()],
    )?;
    for (key, value) in [("ABVersion", "140"), ("ABNextSequence", "1")] {
        connection
            .execute("INSERT INTO _SqliteDatabaseProperties VALUES (?1, ?2)", [key, value])?;
    }
    Ok(())
}

fn groups(connection: &Connection, people: usize, rng: &mut Rng) -> rusqlite::Result<()> {
    for (id, name) in (1_i64..).zip(["Family", "Sailing"]) {
        connection.execute(
            "INSERT INTO ABGroup (ROWID, Name, StoreID, guid) VALUES (?1, ?2, 1, ?3)",
            params![id, name, rng.uuid()],
        )?;
        for (member, _) in (id..).zip(0..people).step_by(5) {
            connection.execute(
                "INSERT INTO ABGroupMembers (group_id, member_type, member_id) VALUES (?1, 0, ?2)",
                [id, member],
            )?;
        }
    }
    Ok(())
}

struct Writer<'c> {
    person: Statement<'c>,
    value: Statement<'c>,
    part: Statement<'c>,
    digits: Statement<'c>,
    next: i64,
}

impl<'c> Writer<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            person: connection.prepare(
                "INSERT INTO ABPerson (ROWID, First, Last, Organization, Note, Kind, Birthday, FirstSort, LastSort,
                                       CreationDate, ModificationDate, StoreID, guid)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10, 1, ?11)",
            )?,
            value: connection.prepare("INSERT INTO ABMultiValue VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?,
            part: connection.prepare("INSERT INTO ABMultiValueEntry VALUES (?1, ?2, ?3)")?,
            digits: connection.prepare("INSERT INTO ABPhoneLastFour VALUES (?1, ?2)")?,
            next: 1,
        })
    }

    fn write(
        &mut self,
        person: &Person,
        id: i64,
        (created, modified): (i64, i64),
        rng: &mut Rng,
    ) -> rusqlite::Result<()> {
        let employer = rng.chance(30).then(|| format!("{} & Co.", super::words::title(rng)));
        // Birthdays are text: seconds since 2001, negative for nearly everybody.
        let birthday = rng.chance(50).then(|| format!("{}.0", -rng.between(0, 1_500_000_000)));
        let note = rng.chance(20).then(|| sentence(rng, 8));
        self.person.execute(params![
            id,
            person.first,
            person.last,
            employer,
            note,
            birthday,
            person.first.to_lowercase(),
            person.last.to_lowercase(),
            cocoa(created),
            cocoa(modified),
            rng.uuid(),
        ])?;
        let phone = self.value(id, PHONE, 1, Some(&person.phone), rng)?;
        let last_four = person.phone.get(person.phone.len().saturating_sub(4)..);
        self.digits.execute(params![phone, last_four])?;
        if rng.chance(70) {
            self.value(id, MAIL, 2, Some(&person.mail), rng)?;
        }
        if rng.chance(40) {
            let address = self.value(id, ADDRESS, 2, None, rng)?;
            let (city, country, ..) = CITIES[person.city];
            let street = format!("{} Street {}", person.last, 1 + rng.below(99));
            let zip = format!("{:05}", rng.below(100_000));
            let parts = [street.as_str(), zip.as_str(), city, country, country];
            for (key, part) in (1_i64..).zip(parts) {
                self.part.execute(params![address, key, part])?;
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        record: i64,
        property: i64,
        label: i64,
        value: Option<&str>,
        rng: &mut Rng,
    ) -> rusqlite::Result<i64> {
        let id = self.next;
        self.next += 1;
        self.value.execute(params![id, record, property, 0, label, value, rng.uuid()])?;
        Ok(id)
    }
}
