//! Notes: `NoteStore.sqlite` with bodies as gzip of protobuf, and their media (docs/format.md 3.5).

use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use rusqlite::{Connection, params};

use super::database::{cocoa_real, core_data, entity, next, set_maximum, signed};
use super::words::{sentence, title};
use crate::disk::DiskError;
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;

const DOMAIN: &str = "AppDomainGroup-group.com.apple.notes";
const DATABASE: &str = "NoteStore.sqlite";

const ENTITIES: [(&str, i64); 9] = [
    ("ICCloudState", 0),
    ("ICCloudSyncingObject", 0),
    ("ICAccount", 2),
    ("ICAttachment", 2),
    ("ICFolder", 2),
    ("ICMedia", 2),
    ("ICNote", 2),
    ("ICNoteData", 0),
    ("ICLocation", 0),
];

/// Rows 1 and 2 are the account and its folder; notes follow.
const FIRST_NOTE: i64 = 3;

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let mut rng = Rng::new(maker.seed, "notes");
    let (start, end, count) = (maker.start, maker.end, maker.amounts.notes);
    let account = rng.uuid();
    let media = rng.uuid();
    maker.database(DOMAIN, DATABASE, |connection| {
        core_data(connection, &mut rng, &ENTITIES)?;
        connection.execute_batch(include_str!("sql/notes.sql"))?;
        let insert = "INSERT INTO ZICCLOUDSYNCINGOBJECT (Z_PK, Z_ENT, Z_OPT, ZIDENTIFIER, ZNAME, ZTITLE2, ZACCOUNT8)
                      VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)";
        connection.execute(
            insert,
            params![1, entity(connection, "ICAccount")?, account, "On My iPhone", None::<&str>, None::<i64>],
        )?;
        connection.execute(
            insert,
            params![2, entity(connection, "ICFolder")?, "DefaultFolder-LocalAccount", None::<&str>, "Notes", 1],
        )?;
        for _ in 0..count {
            let created = rng.between(start, end);
            add(connection, &mut rng, created)?;
        }
        attach(connection, &media, &mut rng)?;
        set_maximum(connection, "ICNoteData", "ZICNOTEDATA")?;
        set_maximum(connection, "ICCloudSyncingObject", "ZICCLOUDSYNCINGOBJECT")
    })?;
    let folder = format!("Accounts/LocalAccount/Media/{media}/1_{}", rng.uuid());
    maker.generated(DOMAIN, &format!("{folder}/Sketch 1.jpg"), Shape::Jpeg, 7_000);
    maker.directory(DOMAIN, "Accounts/LocalAccount/Previews");
    maker.directory(DOMAIN, "Accounts/LocalAccount/FallbackImages");
    // The store of iOS 8 and before is still there, mostly empty.
    maker.database("HomeDomain", "Library/Notes/notes.sqlite", |connection| {
        core_data(connection, &mut rng, &[("Account", 0), ("Note", 0), ("NoteBody", 0), ("Store", 0)])?;
        connection.execute_batch(
            "CREATE TABLE ZNOTE (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZBODY INTEGER,
                ZSTORE INTEGER, ZCREATIONDATE TIMESTAMP, ZMODIFICATIONDATE TIMESTAMP, ZTITLE VARCHAR);
             CREATE TABLE ZNOTEBODY (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZOWNER INTEGER,
                ZCONTENT VARCHAR);",
        )
    })?;
    Ok(())
}

/// Edits one note a day and writes a new one.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let end = maker.end;
    maker.change(DOMAIN, DATABASE, |connection| {
        let last = next(connection, "ZICNOTEDATA", "Z_PK")?;
        for _ in 0..days {
            edit(connection, rng, end, last)?;
        }
        add(connection, rng, end)?;
        set_maximum(connection, "ICNoteData", "ZICNOTEDATA")?;
        set_maximum(connection, "ICCloudSyncingObject", "ZICCLOUDSYNCINGOBJECT")
    })
}

fn add(connection: &Connection, rng: &mut Rng, created: i64) -> rusqlite::Result<()> {
    let row = next(connection, "ZICCLOUDSYNCINGOBJECT", "Z_PK")?.max(FIRST_NOTE);
    let data = next(connection, "ZICNOTEDATA", "Z_PK")?;
    let title = title(rng);
    let text = text(&title, rng);
    connection.execute(
        "INSERT INTO ZICNOTEDATA (Z_PK, Z_ENT, Z_OPT, ZNOTE, ZDATA) VALUES (?1, ?2, 1, ?3, ?4)",
        params![data, entity(connection, "ICNoteData")?, row, body(&text)],
    )?;
    connection.execute(
        "INSERT INTO ZICCLOUDSYNCINGOBJECT (Z_PK, Z_ENT, Z_OPT, ZIDENTIFIER, ZTITLE1, ZSNIPPET, ZNOTEDATA, ZFOLDER,
            ZACCOUNT7, ZCREATIONDATE3, ZMODIFICATIONDATE1, ZISPINNED, ZMARKEDFORDELETION, ZISPASSWORDPROTECTED)
         VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, 2, 1, ?7, ?7, ?8, 0, 0)",
        params![
            row,
            entity(connection, "ICNote")?,
            rng.uuid(),
            title,
            text.lines().nth(1),
            data,
            cocoa_real(created),
            rng.chance(5),
        ],
    )?;
    Ok(())
}

fn edit(connection: &Connection, rng: &mut Rng, now: i64, last: i64) -> rusqlite::Result<()> {
    let data = rng.between(1, last);
    let title = title(rng);
    let text = text(&title, rng);
    connection.execute(
        "UPDATE ZICNOTEDATA SET ZDATA = ?1, Z_OPT = Z_OPT + 1 WHERE Z_PK = ?2",
        params![body(&text), data],
    )?;
    connection.execute(
        "UPDATE ZICCLOUDSYNCINGOBJECT SET ZTITLE1 = ?1, ZSNIPPET = ?2, ZMODIFICATIONDATE1 = ?3, Z_OPT = Z_OPT + 1
         WHERE ZNOTEDATA = ?4",
        params![title, text.lines().nth(1), cocoa_real(now), data],
    )?;
    Ok(())
}

fn attach(connection: &Connection, media: &str, rng: &mut Rng) -> rusqlite::Result<()> {
    let row = next(connection, "ZICCLOUDSYNCINGOBJECT", "Z_PK")?;
    let insert = "INSERT INTO ZICCLOUDSYNCINGOBJECT (Z_PK, Z_ENT, Z_OPT, ZIDENTIFIER, ZFILENAME, ZTYPEUTI, ZMEDIA, ZNOTE)
                  VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7)";
    let name = "Sketch 1.jpg";
    connection.execute(
        insert,
        params![
            row,
            entity(connection, "ICMedia")?,
            media,
            name,
            None::<&str>,
            None::<i64>,
            None::<i64>
        ],
    )?;
    connection.execute(
        insert,
        params![
            row + 1,
            entity(connection, "ICAttachment")?,
            rng.uuid(),
            None::<&str>,
            "public.jpeg",
            row,
            FIRST_NOTE
        ],
    )?;
    Ok(())
}

fn text(title: &str, rng: &mut Rng) -> String {
    let mut text = title.to_owned();
    for _ in 0..2 + rng.below(12) {
        text.push('\n');
        let words = 4 + rng.index(20);
        text.push_str(&sentence(rng, words));
    }
    text
}

/// Returns the stored body of a note: gzip of a protobuf with the text at 2, 3, 2 and its one run at 2, 3, 5.
fn body(text: &str) -> Vec<u8> {
    let mut run = vec![0x08];
    varint(&mut run, signed_length(text.encode_utf16().count()));
    let mut note = field(2, text.as_bytes());
    note.extend(field(5, &run));
    let mut document = vec![0x08, 0x00, 0x10, 0x00];
    document.extend(field(3, &note));
    let store = [vec![0x08, 0x00], field(2, &document)].concat();
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
    gzip.write_all(&store).expect("writing to memory does not fail");
    gzip.finish().expect("writing to memory does not fail")
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    varint(&mut field, signed_length(bytes.len()));
    field.extend_from_slice(bytes);
    field
}

fn signed_length(length: usize) -> u64 {
    signed(u64::try_from(length).unwrap_or(u64::MAX)).unsigned_abs()
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7F).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_body_is_gzip_of_protobuf_and_always_the_same() {
        let text = "Größe\n".repeat(40);
        let stored = body(&text);
        assert_eq!(stored, body(&text));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&stored[..]).read_to_end(&mut plain).unwrap();
        assert!(plain.windows(text.len()).any(|window| window == text.as_bytes()));
        assert_eq!(plain[2], 2 << 3 | 2);
    }
}
