//! Helpers for the databases: dates of Apple's frameworks and the tables every Core Data store has.

use plist::{Dictionary, Value};
use rusqlite::{Connection, params};

use crate::disk::entry::Content;
use crate::disk::maker::COCOA;
use crate::disk::prng::Rng;

/// Returns seconds since 2001.
pub(crate) fn cocoa(unix: i64) -> i64 {
    unix.saturating_sub(COCOA)
}

/// Returns seconds since 2001 as Core Data stores them, with a fraction made from the moment itself.
pub(crate) fn cocoa_real(unix: i64) -> f64 {
    let seconds = i32::try_from(cocoa(unix)).unwrap_or(i32::MAX);
    f64::from(seconds) + f64::from(seconds % 997) / 1000.0
}

/// Returns nanoseconds since 2001, the dates of messages since iOS 11.
pub(crate) fn cocoa_nanoseconds(unix: i64) -> i64 {
    cocoa(unix).saturating_mul(1_000_000_000).saturating_add(unix % 997 * 1_000_000)
}

/// Makes the tables every Core Data store has. Entities are numbered from 1 in the order given; each has the number
/// of its parent entity (0 for none). The numbers differ between stores, so readers must look names up.
pub(crate) fn core_data(
    connection: &Connection,
    rng: &mut Rng,
    entities: &[(&str, i64)],
) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE Z_PRIMARYKEY (Z_ENT INTEGER PRIMARY KEY, Z_NAME VARCHAR, Z_SUPER INTEGER, Z_MAX INTEGER);
         CREATE TABLE Z_METADATA (Z_VERSION INTEGER PRIMARY KEY, Z_UUID VARCHAR(255), Z_PLIST BLOB);
         CREATE TABLE Z_MODELCACHE (Z_CONTENT BLOB);",
    )?;
    let mut insert = connection.prepare("INSERT INTO Z_PRIMARYKEY VALUES (?1, ?2, ?3, 0)")?;
    for (number, (name, parent)) in (1_i64..).zip(entities) {
        insert.execute(params![number, name, parent])?;
    }
    let about = binary(&dictionary([
        ("NSStoreModelVersionHashesVersion", 3.into()),
        ("NSStoreType", "SQLite".into()),
        ("_NSAutoVacuumLevel", "2".into()),
    ]));
    connection.execute("INSERT INTO Z_METADATA VALUES (1, ?1, ?2)", params![rng.uuid(), about])?;
    connection.execute("INSERT INTO Z_MODELCACHE VALUES (?1)", [rng.bytes(512)])?;
    Ok(())
}

/// Sets the largest primary key of an entity to what its table holds.
pub(crate) fn set_maximum(
    connection: &Connection,
    entity: &str,
    table: &str,
) -> rusqlite::Result<()> {
    connection.execute(
        &format!(
            "UPDATE Z_PRIMARYKEY SET Z_MAX = (SELECT coalesce(max(Z_PK), 0) FROM {table}) WHERE Z_NAME = ?1"
        ),
        [entity],
    )?;
    Ok(())
}

/// Returns the number of an entity, as readers must look it up.
pub(crate) fn entity(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection
        .query_row("SELECT Z_ENT FROM Z_PRIMARYKEY WHERE Z_NAME = ?1", [name], |row| row.get(0))
}

/// Returns the number after the largest one in a column.
pub(crate) fn next(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<i64> {
    connection.query_row(
        &format!("SELECT coalesce(max({column}), 0) + 1 FROM {table}"),
        [],
        |row| row.get(0),
    )
}

/// Returns a dictionary of these keys.
pub(crate) fn dictionary<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let mut dictionary = Dictionary::new();
    for (key, value) in pairs {
        dictionary.insert(key.to_owned(), value);
    }
    Value::Dictionary(dictionary)
}

/// Returns a binary property list.
pub(crate) fn binary(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.to_writer_binary(&mut bytes).expect("writing to memory does not fail");
    bytes
}

/// Returns a binary property list as the content of a file.
pub(crate) fn binary_file(value: &Value) -> Content {
    Content::bytes(binary(value))
}

/// Returns an XML property list as the content of a file.
pub(crate) fn xml_file(value: &Value) -> Content {
    let mut bytes = Vec::new();
    value.to_writer_xml(&mut bytes).expect("writing to memory does not fail");
    Content::bytes(bytes)
}

/// Returns a date of a property list.
pub(crate) fn date(unix: i64) -> Value {
    let seconds = u64::try_from(unix).unwrap_or(0);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    Value::Date(time.into())
}

/// Returns an unsigned count as the number SQL wants.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
