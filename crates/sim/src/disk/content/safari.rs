//! Safari: history, bookmarks, tabs (docs/format.md 3.5).

use rusqlite::{Connection, params};

use super::database::{binary, cocoa_real, date, dictionary, next, signed};
use super::words::{WORDS, sentence, title};
use crate::disk::DiskError;
use crate::disk::maker::Maker;
use crate::disk::prng::Rng;

const HISTORY: &str = "Library/Safari/History.db";
const BOOKMARKS: &str = "Library/Safari/Bookmarks.db";
const STATE: &str = "Library/Safari/BrowserState.db";
const TABS: &str = "Library/Safari/SafariTabs.db";

const HISTORY_TABLES: &str = "
    CREATE TABLE metadata (key TEXT NOT NULL UNIQUE, value);
    CREATE TABLE history_items (id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL UNIQUE, domain_expansion TEXT,
        visit_count INTEGER NOT NULL, daily_visit_counts BLOB NOT NULL, weekly_visit_counts BLOB,
        autocomplete_triggers BLOB, should_recompute_derived_visit_counts INTEGER NOT NULL,
        visit_count_score INTEGER NOT NULL, status_code INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE history_visits (id INTEGER PRIMARY KEY AUTOINCREMENT,
        history_item INTEGER NOT NULL REFERENCES history_items(id) ON DELETE CASCADE, visit_time REAL NOT NULL,
        title TEXT, load_successful BOOLEAN NOT NULL DEFAULT 1, http_non_get BOOLEAN NOT NULL DEFAULT 0,
        synthesized BOOLEAN NOT NULL DEFAULT 0, redirect_source INTEGER UNIQUE, redirect_destination INTEGER UNIQUE,
        origin INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0, attributes INTEGER NOT NULL DEFAULT 0,
        score INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE history_tombstones (id INTEGER PRIMARY KEY AUTOINCREMENT, start_time REAL NOT NULL,
        end_time REAL NOT NULL, url TEXT, generation INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE history_clients (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
    CREATE INDEX history_visits__last_visit ON history_visits (history_item, visit_time DESC, synthesized ASC);
    CREATE INDEX history_visits__origin ON history_visits (origin, generation);
    CREATE INDEX history_items__domain_expansion ON history_items (domain_expansion);
    CREATE INDEX history_tombstones__generation ON history_tombstones (generation);
    CREATE INDEX history_tombstones__end_time ON history_tombstones (end_time);";

const BOOKMARK_TABLES: &str = "
    CREATE TABLE bookmarks (id INTEGER PRIMARY KEY, special_id INTEGER DEFAULT 0, parent INTEGER, type INTEGER,
        title TEXT, url TEXT COLLATE NOCASE, num_children INTEGER DEFAULT 0, editable INTEGER DEFAULT 1,
        deletable INTEGER DEFAULT 1, hidden INTEGER DEFAULT 0, hidden_ancestor_count INTEGER DEFAULT 0,
        order_index INTEGER NOT NULL, external_uuid TEXT UNIQUE, read INTEGER DEFAULT NULL, last_modified REAL,
        server_id TEXT, sync_key TEXT, sync_data BLOB, added INTEGER DEFAULT 1, deleted INTEGER DEFAULT 0,
        extra_attributes BLOB DEFAULT NULL, local_attributes BLOB DEFAULT NULL, fetched_icon BOOL DEFAULT 0,
        icon BLOB DEFAULT NULL, dav_generation INTEGER DEFAULT 0, locally_added BOOL DEFAULT 0,
        archive_status INTEGER DEFAULT 0, syncable BOOL DEFAULT 1, web_filter_status INTEGER DEFAULT 0,
        modified_attributes UNSIGNED BIG INT DEFAULT 0, date_closed REAL, last_selected_child INTEGER,
        subtype INTEGER DEFAULT 0);
    CREATE TABLE bookmark_title_words (bookmark_id INTEGER NOT NULL, word TEXT, word_index INTEGER);
    CREATE TABLE folder_ancestors (folder_id INTEGER NOT NULL, ancestor_id INTEGER NOT NULL);
    CREATE TABLE sync_properties (key TEXT PRIMARY KEY, value BLOB);
    CREATE TABLE generations (generation INTEGER);
    CREATE INDEX parent_index ON bookmarks (parent);
    CREATE INDEX title_index ON bookmarks (title);
    CREATE INDEX url_index ON bookmarks (url);
    CREATE INDEX type_index ON bookmarks (type);
    CREATE INDEX order_index_index ON bookmarks (order_index);
    CREATE INDEX hidden_index ON bookmarks (hidden);
    CREATE INDEX server_id_index ON bookmarks (server_id);
    CREATE INDEX bookmark_title_words_bookmark_id_index ON bookmark_title_words (bookmark_id);";

/// Folders every store has: identifier, special identifier, title.
const FOLDERS: [(i64, i64, &str); 4] = [
    (0, 0, "Root"),
    (1, 1, "BookmarksBar"),
    (2, 2, "BookmarksMenu"),
    (3, 3, "com.apple.ReadingList"),
];

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let mut rng = Rng::new(maker.seed, "safari");
    let (start, end, count) = (maker.start, maker.end, maker.amounts.visits);
    maker.database("HomeDomain", HISTORY, |connection| {
        connection.execute_batch(HISTORY_TABLES)?;
        visits(connection, &mut rng, (start, end), count)
    })?;
    let marks = (count / 20).clamp(6, 300);
    maker.database("HomeDomain", BOOKMARKS, |connection| {
        bookmarks(connection, &mut rng, (start, end), marks)
    })?;
    maker.database("HomeDomain", STATE, |connection| {
        connection.execute_batch(
            "CREATE TABLE tabs (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, title TEXT, url TEXT, user_visible_url TEXT,
                order_index INTEGER, last_viewed_time REAL, readinglist_bookmark_id INTEGER, opened_from_link INTEGER,
                showing_reader INTEGER, reader_view_top_scroll_offset INTEGER, private_browsing INTEGER,
                displaying_standalone_image INTEGER, browser_window_uuid TEXT, browser_window_id INTEGER);
             CREATE TABLE browser_windows (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, scene_id TEXT UNIQUE,
                active_document_index INTEGER, active_private_document_index INTEGER, type INTEGER);
             CREATE TABLE tab_sessions (id INTEGER PRIMARY KEY, tab_uuid TEXT UNIQUE, session_data BLOB,
                uncompressed_session_data_size INTEGER);",
        )?;
        let window = rng.uuid();
        connection.execute("INSERT INTO browser_windows VALUES (1, ?1, 'default', 0, 0, 0)", [&window])?;
        tabs(connection, &mut rng, &window, end)
    })?;
    if maker.ios.major >= 15 {
        maker.database("HomeDomain", TABS, |connection| {
            bookmarks(connection, &mut rng, (start, end), 5)?;
            connection.execute_batch(
                "CREATE TABLE windows (id INTEGER PRIMARY KEY, uuid TEXT, active_tab_group_id INTEGER,
                    date_closed REAL, scene_id TEXT, extra_attributes BLOB);
                 CREATE TABLE windows_tab_groups (id INTEGER PRIMARY KEY, window_id INTEGER, tab_group_id INTEGER,
                    active_tab_id INTEGER);
                 INSERT INTO windows (id, uuid) VALUES (1, 'default');
                 INSERT INTO windows_tab_groups VALUES (1, 1, 1, 4);",
            )
        })?;
    }
    Ok(())
}

/// Adds the visits of some days, a bookmark, and forgets a page.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let (start, end, count) = (maker.start, maker.end, maker.amounts.daily.visits * days);
    maker.change("HomeDomain", HISTORY, |connection| {
        visits(connection, rng, (start, end), count)?;
        let oldest: i64 = connection.query_row("SELECT min(id) FROM history_visits", [], |row| row.get(0))?;
        connection.execute(
            "INSERT INTO history_tombstones (start_time, end_time, url)
             SELECT visit_time, visit_time, 'https://example.com/' FROM history_visits WHERE id = ?1",
            [oldest],
        )?;
        connection.execute("DELETE FROM history_visits WHERE id = ?1", [oldest])?;
        Ok(())
    })?;
    maker.change("HomeDomain", BOOKMARKS, |connection| {
        let id = next(connection, "bookmarks", "id")?;
        leaf(connection, rng, id, 2, end)
    })?;
    maker.change("HomeDomain", STATE, |connection| {
        connection.execute(
            // Days that end within one second are days all the same.
            "UPDATE tabs SET last_viewed_time = max(?1, last_viewed_time + 1) WHERE id = 1",
            [cocoa_real(end)],
        )?;
        Ok(())
    })
}

/// Returns an address; few sites are visited often.
fn address(rng: &mut Rng) -> String {
    let bound = rng.index(WORDS.len()) + 1;
    let site = WORDS[rng.index(bound)];
    format!("https://www.{site}.example/{}/{}", rng.pick(&WORDS), rng.below(60))
}

fn visits(
    connection: &Connection,
    rng: &mut Rng,
    (start, end): (i64, i64),
    count: u64,
) -> rusqlite::Result<()> {
    let mut item = connection.prepare(
        "INSERT INTO history_items (url, domain_expansion, visit_count, daily_visit_counts,
            should_recompute_derived_visit_counts, visit_count_score) VALUES (?1, ?2, 1, ?3, 0, 100)
         ON CONFLICT (url) DO UPDATE SET visit_count = visit_count + 1, visit_count_score = visit_count_score + 10
         RETURNING id",
    )?;
    let mut visit = connection
        .prepare("INSERT INTO history_visits (history_item, visit_time, title, score) VALUES (?1, ?2, ?3, 100)")?;
    let step = (end - start) / signed(count.max(1));
    for number in 0..signed(count) {
        let url = address(rng);
        let site = url.split('.').nth(1).unwrap_or_default();
        let id: i64 = item.query_row(params![url, site, [100_u8, 0, 0, 0]], |row| row.get(0))?;
        let when = start + number * step + rng.between(0, step.max(1));
        visit.execute(params![id, cocoa_real(when), title(rng)])?;
    }
    Ok(())
}

fn bookmarks(
    connection: &Connection,
    rng: &mut Rng,
    (start, end): (i64, i64),
    count: u64,
) -> rusqlite::Result<()> {
    connection.execute_batch(BOOKMARK_TABLES)?;
    for (id, special, title) in FOLDERS {
        connection.execute(
            "INSERT INTO bookmarks (id, special_id, parent, type, title, order_index, external_uuid)
             VALUES (?1, ?2, 0, 1, ?3, ?1, ?4)",
            params![id, special, title, rng.uuid()],
        )?;
    }
    for id in 4..4 + signed(count) {
        let (parent, time) = (rng.between(1, 4), rng.between(start, end));
        leaf(connection, rng, id, parent, time)?;
    }
    Ok(())
}

fn leaf(
    connection: &Connection,
    rng: &mut Rng,
    id: i64,
    parent: i64,
    time: i64,
) -> rusqlite::Result<()> {
    let reading = parent == 3;
    let extra = reading.then(|| {
        let list = [("DateAdded", date(time)), ("PreviewText", sentence(rng, 12).into())];
        binary(&dictionary([("com.apple.ReadingList", dictionary(list))]))
    });
    connection.execute(
        "INSERT INTO bookmarks (id, parent, type, title, url, order_index, external_uuid, read, last_modified,
                                extra_attributes)
         VALUES (?1, ?2, 0, ?3, ?4, ?1, ?5, ?6, ?7, ?8)",
        params![
            id,
            parent,
            title(rng),
            address(rng),
            rng.uuid(),
            reading.then(|| rng.chance(50)),
            // The one date of Safari that is in Unix seconds.
            cocoa_real(time) + 978_307_200.0,
            extra,
        ],
    )?;
    connection
        .execute("UPDATE bookmarks SET num_children = num_children + 1 WHERE id = ?1", [parent])?;
    Ok(())
}

fn tabs(connection: &Connection, rng: &mut Rng, window: &str, end: i64) -> rusqlite::Result<()> {
    for id in 1..=4 {
        let url = address(rng);
        connection.execute(
            "INSERT INTO tabs (id, uuid, title, url, user_visible_url, order_index, last_viewed_time, private_browsing,
                               browser_window_uuid, browser_window_id)
             VALUES (?1, ?2, ?3, ?4, ?4, ?1, ?5, 0, ?6, 1)",
            params![id, rng.uuid(), title(rng), url, cocoa_real(end - 4_000 * id), window],
        )?;
    }
    Ok(())
}
