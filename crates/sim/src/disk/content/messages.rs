//! Messages: `sms.db` and the attachments (docs/format.md 3.5).

use rusqlite::{Connection, Statement, params};

use super::database::{binary, cocoa_nanoseconds, dictionary, next, signed};
use super::words::{Person, people, sentence};
use crate::disk::DiskError;
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;

const DATABASE: &str = "Library/SMS/sms.db";

/// The owner's own address.
const ACCOUNT: &str = "e:owner@example.com";

/// Seconds within which one conversation stays where it is: people answer each other.
const SITTING: u64 = 6;

/// A file that came with a message.
struct Attachment {
    path: String,
    shape: Shape,
    length: u64,
}

/// Where messages go: which people, how many chats of two, how many of a group.
struct Chats {
    people: Vec<Person>,
    pairs: usize,
    groups: usize,
}

impl Chats {
    fn of(maker: &Maker<'_>) -> Self {
        let people = people(maker.seed, maker.amounts.contacts);
        let pairs = (people.len() * 2 / 3).max(1);
        let groups = (people.len() / 12).max(1);
        Self { people, pairs, groups }
    }

    /// Returns the people of a group chat; groups overlap.
    fn members(&self, group: usize) -> Vec<usize> {
        (0..3 + group % 4).map(|member| (group * 5 + member * 7) % self.people.len()).collect()
    }

    /// Returns a chat, early ones more often: everybody has a few people they write to all the time.
    fn any(&self, rng: &mut Rng) -> usize {
        let bound = rng.index(self.pairs + self.groups) + 1;
        let chat = rng.index(bound);
        if rng.chance(10) { self.pairs + rng.index(self.groups) } else { chat }
    }
}

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let amounts = maker.amounts;
    let chats = Chats::of(maker);
    let mut rng = Rng::new(maker.seed, "messages");
    let mut writer = Writer::new(maker, amounts.messages, amounts.attachments);
    maker.database("HomeDomain", DATABASE, |connection| {
        connection.execute_batch(include_str!("sql/sms.sql"))?;
        properties(connection)?;
        write_chats(connection, &chats, &mut rng)?;
        writer.write(connection, &chats, &mut rng)?;
        connection.execute_batch(include_str!("sql/sms_indexes.sql"))
    })?;
    place(maker, &writer.files);
    let stickers = "Library/SMS/StickerCache";
    maker.directory("MediaDomain", stickers);
    Ok(())
}

/// Adds the messages of some days, reads old ones and deletes one.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let daily = &maker.amounts.daily;
    let chats = Chats::of(maker);
    let mut writer = Writer::new(maker, daily.messages * days, daily.attachments * days);
    let read = cocoa_nanoseconds(maker.end);
    maker.change("HomeDomain", DATABASE, |connection| {
        connection.execute(
            "UPDATE message SET is_read = 1, date_read = ?1 WHERE is_read = 0 AND is_from_me = 0 AND item_type = 0",
            [read],
        )?;
        connection.execute(
            "INSERT INTO chat_recoverable_message_join (chat_id, message_id, delete_date)
             SELECT chat_id, message_id, ?1 FROM chat_message_join
             WHERE message_id = (SELECT max(message_id) FROM chat_message_join)",
            [read],
        )?;
        connection.execute(
            "DELETE FROM chat_message_join WHERE message_id IN
             (SELECT message_id FROM chat_recoverable_message_join WHERE delete_date = ?1)",
            [read],
        )?;
        writer.write(connection, &chats, rng)
    })?;
    place(maker, &writer.files);
    Ok(())
}

fn place(maker: &mut Maker<'_>, files: &[Attachment]) {
    for file in files {
        maker.generated("MediaDomain", &file.path, file.shape, file.length);
    }
}

fn properties(connection: &Connection) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO _SqliteDatabaseProperties VALUES (?1, ?2)")?;
    for (key, value) in
        [("_ClientVersion", "17025"), ("counter_in_all", "0"), ("counter_out_all", "0")]
    {
        insert.execute([key, value])?;
    }
    Ok(())
}

fn write_chats(connection: &Connection, chats: &Chats, rng: &mut Rng) -> rusqlite::Result<()> {
    let mut handle = connection.prepare(
        "INSERT INTO handle (ROWID, id, country, service, uncanonicalized_id) VALUES (?1, ?2, 'us', ?3, ?4)",
    )?;
    for (number, person) in (0_i64..).zip(&chats.people) {
        handle.execute(params![number * 2 + 1, person.phone, "iMessage", person.phone])?;
        handle.execute(params![number * 2 + 2, person.phone, "SMS", person.phone])?;
    }
    let mut chat = connection.prepare(
        "INSERT INTO chat (ROWID, guid, style, state, account_id, chat_identifier, service_name, room_name,
                           account_login, last_addressed_handle, display_name, group_id)
         VALUES (?1, ?2, ?3, 3, ?4, ?5, 'iMessage', ?6, ?7, '+12015550100', ?8, ?9)",
    )?;
    let mut join = connection.prepare("INSERT INTO chat_handle_join VALUES (?1, ?2)")?;
    let account = rng.uuid();
    for (row, person) in (1_i64..).zip(chats.people.iter().take(chats.pairs)) {
        let guid = format!("iMessage;-;{}", person.phone);
        chat.execute(params![
            row,
            guid,
            45,
            account,
            person.phone,
            None::<&str>,
            ACCOUNT,
            None::<&str>,
            rng.uuid()
        ])?;
        join.execute([row, row * 2 - 1])?;
    }
    let first = row_of(chats.pairs);
    for (row, group) in (first..).zip(0..chats.groups) {
        let room = format!("chat{}", 100_000_000_000_000_000 + rng.below(900_000_000_000_000_000));
        let guid = format!("iMessage;+;{room}");
        let name = super::words::title(rng);
        chat.execute(params![row, guid, 43, account, room, room, ACCOUNT, name, rng.uuid()])?;
        for member in chats.members(group) {
            join.execute([row, row_of(member) * 2 - 1])?;
        }
    }
    Ok(())
}

fn row_of(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX - 1) + 1
}

/// Writes messages in order of time.
struct Writer {
    count: u64,
    attachments: u64,
    length: u64,
    start: i64,
    end: i64,
    modern: bool,
    summaries: Vec<Vec<u8>>,
    files: Vec<Attachment>,
}

const MESSAGE: &str = "INSERT INTO message (
        ROWID, guid, text, handle_id, attributedBody, version, service, account, account_guid, date, date_read,
        date_delivered, is_delivered, is_finished, is_from_me, is_read, is_sent, cache_has_attachments,
        cache_roomnames, associated_message_guid, associated_message_type, ck_record_id, ck_record_change_tag,
        destination_caller_id, reply_to_guid, thread_originator_guid, thread_originator_part, part_count, item_type,
        group_title, date_edited, has_dd_results, ck_sync_state, did_notify_recipient,
        message_summary_info)
    VALUES (?1, ?2, ?3, ?4, ?5, 10, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
            '+12015550100', ?22, ?23, ?24, 1, ?25, ?26, ?27, ?28, 1, ?29, ?30)";

impl Writer {
    fn new(maker: &Maker<'_>, count: u64, attachments: u64) -> Self {
        Self {
            count,
            attachments: attachments.min(count),
            length: maker.amounts.attachment_bytes,
            start: maker.start,
            end: maker.end,
            modern: maker.ios.major >= 18,
            summaries: (0..8).map(summary).collect(),
            files: Vec::new(),
        }
    }

    fn write(
        &mut self,
        connection: &Connection,
        chats: &Chats,
        rng: &mut Rng,
    ) -> rusqlite::Result<()> {
        let mut message = connection.prepare(MESSAGE)?;
        let mut join = connection.prepare("INSERT INTO chat_message_join VALUES (?1, ?2, ?3)")?;
        let first = next(connection, "message", "ROWID")?;
        let account = Rng::new(0, "account").uuid();
        let mut chat = 0;
        let mut last: Vec<Option<String>> = vec![None; chats.pairs + chats.groups];
        let span = u64::try_from(self.end - self.start).unwrap_or(0);
        for number in 0..self.count {
            if number % SITTING == 0 || rng.chance(20) {
                chat = chats.any(rng);
            }
            let row = first + signed(number);
            let unix = self.start
                + signed(
                    u64::try_from(
                        u128::from(span) * u128::from(number + 1) / u128::from(self.count),
                    )
                    .unwrap_or(0),
                );
            let date = cocoa_nanoseconds(unix);
            let attached = self.attachments > 0
                && (number + 1) * self.attachments / self.count
                    > number * self.attachments / self.count;
            let draft = Draft { row, unix, chat, attached, previous: last[chat].take() };
            let guid = self.message(&mut message, chats, rng, &account, &draft)?;
            join.execute([row_of(chat), row, date])?;
            if attached {
                self.attach(connection, rng, row, unix)?;
            }
            last[chat] = Some(guid);
        }
        Ok(())
    }

    fn message(
        &self,
        message: &mut Statement<'_>,
        chats: &Chats,
        rng: &mut Rng,
        account: &str,
        draft: &Draft,
    ) -> rusqlite::Result<String> {
        let guid = rng.uuid();
        let date = cocoa_nanoseconds(draft.unix);
        let from_me = rng.chance(45);
        let group = draft.chat.checked_sub(chats.pairs);
        let member = match group {
            Some(group) => {
                let members = chats.members(group);
                members.get(rng.index(members.len())).copied().unwrap_or(0)
            }
            None => draft.chat,
        };
        let short = group.is_none() && rng.chance(8);
        let service = match (short, self.modern && rng.chance(50)) {
            (false, _) => "iMessage",
            (true, true) => "RCS",
            (true, false) => "SMS",
        };
        let handle =
            if group.is_some() && from_me { 0 } else { row_of(member) * 2 - i64::from(!short) };
        let renamed = group.is_some() && !draft.attached && rng.chance(2);
        let tapback =
            draft.previous.as_ref().filter(|_| !renamed && !draft.attached && rng.chance(4));
        let reply =
            draft.previous.as_ref().filter(|_| tapback.is_none() && !renamed && rng.chance(3));
        let words = 3 + rng.index(18);
        let text = match (renamed, draft.attached) {
            (true, _) => None,
            (false, true) => Some("\u{FFFC}".to_owned()),
            (false, false) => Some(sentence(rng, words)),
        };
        // Since iOS 16 the text of many messages is in the attributed body alone.
        let body = text.as_deref().map(attributed_body);
        let column = text.as_deref().filter(|_| !rng.chance(30));
        let read = date + signed(rng.below(3_600)) * 1_000_000_000;
        let edited = if rng.chance(1) { date + 60_000_000_000 } else { 0 };
        message.execute(params![
            draft.row,
            guid,
            column,
            handle,
            body,
            service,
            ACCOUNT,
            account,
            date,
            if from_me { 0 } else { read },
            if from_me { date + 1_000_000_000 } else { 0 },
            from_me,
            from_me,
            !from_me,
            from_me,
            draft.attached,
            group.map(|group| format!("chat{group}")),
            tapback.map(|guid| format!("p:0/{guid}")),
            tapback.map_or(0, |_| 2_000 + signed(rng.below(6))),
            hex::encode(rng.bytes(32)),
            format!("{:x}", rng.below(1 << 20)),
            draft.previous,
            reply,
            reply.map(|_| "0:0:12"),
            if renamed { 2 } else { 0 },
            renamed.then(|| super::words::title(rng)),
            edited,
            rng.chance(10),
            !from_me,
            self.summaries[rng.index(self.summaries.len())],
        ])?;
        Ok(guid)
    }

    fn attach(
        &mut self,
        connection: &Connection,
        rng: &mut Rng,
        message: i64,
        unix: i64,
    ) -> rusqlite::Result<()> {
        let guid = rng.uuid();
        let bucket = rng.below(256);
        let number = 1000 + rng.below(9000);
        let (name, shape, uti, mime) = match rng.below(10) {
            0 => (
                format!("IMG_{number}.MOV"),
                Shape::Movie,
                "com.apple.quicktime-movie",
                "video/quicktime",
            ),
            1 => {
                (format!("Audio {number}.m4a"), Shape::Audio, "com.apple.m4a-audio", "audio/x-m4a")
            }
            2 | 3 => (format!("{number}.jpeg"), Shape::Jpeg, "public.jpeg", "image/jpeg"),
            4 => (format!("Notes {number}.txt"), Shape::Text, "public.plain-text", "text/plain"),
            _ => (format!("IMG_{number}.HEIC"), Shape::Heic, "public.heic", "image/heic"),
        };
        let length = self.length / 2 + rng.below(self.length);
        let path = format!("Library/SMS/Attachments/{bucket:02x}/{:02}/{guid}/{name}", bucket % 16);
        let row = next(connection, "attachment", "ROWID")?;
        // Now and then an attachment was never downloaded: it has a row and no file.
        let missing = rng.chance(2);
        connection.execute(
            "INSERT INTO attachment (ROWID, guid, created_date, start_date, filename, uti, mime_type, transfer_state,
                                     transfer_name, total_bytes, ck_record_id, original_guid)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?2)",
            params![
                row,
                guid,
                super::database::cocoa(unix),
                (!missing).then(|| format!("~/{path}")),
                uti,
                mime,
                if missing { 0 } else { 5 },
                name,
                signed(length),
                hex::encode(rng.bytes(32)),
            ],
        )?;
        connection
            .execute("INSERT INTO message_attachment_join VALUES (?1, ?2)", [message, row])?;
        if !missing {
            self.files.push(Attachment { path, shape, length });
        }
        Ok(())
    }
}

/// Returns what the phone notes about the text of a message: a property list of a few flags and ranges.
fn summary(number: i64) -> Vec<u8> {
    let parts = (0..=(number % 3)).map(|part| {
        let range = dictionary([("le", (12 + number).into()), ("lo", (part * 20).into())]);
        (part.to_string(), range)
    });
    binary(&dictionary([
        ("amc", 1.into()),
        ("ust", true.into()),
        ("hbr", (number % 2 == 0).into()),
        ("cmmS", 0.into()),
        ("cmmAssetOffset", 0.into()),
        ("osn", "iMessage".into()),
        ("otr", plist::Value::Dictionary(parts.collect())),
    ]))
}

/// What is decided of a message before it is written.
struct Draft {
    row: i64,
    unix: i64,
    chat: usize,
    attached: bool,
    previous: Option<String>,
}

/// Returns `text` as an archived `NSAttributedString` with one run (docs/format.md 3.5: typedstream).
fn attributed_body(text: &str) -> Vec<u8> {
    let mut body =
        b"\x04\x0bstreamtyped\x81\xe8\x03\x84\x01@\x84\x84\x84\x12NSAttributedString\0".to_vec();
    body.extend_from_slice(
        b"\x84\x84\x08NSObject\0\x85\x92\x84\x84\x84\x08NSString\x01\x94\x84\x01+",
    );
    integer(&mut body, text.len());
    body.extend_from_slice(text.as_bytes());
    body.extend_from_slice(b"\x86\x84\x02iI\x01");
    integer(&mut body, text.encode_utf16().count());
    body.extend_from_slice(
        b"\x92\x84\x84\x84\x0cNSDictionary\0\x94\x84\x01i\x01\x92\x84\x96\x96\x1d",
    );
    body.extend_from_slice(
        b"__kIMMessagePartAttributeName\x86\x92\x84\x84\x84\x08NSNumber\0\x84\x84\x07NSValue\0",
    );
    body.extend_from_slice(b"\x94\x84\x01*\x84\x99\x99\0\x86\x86\x86");
    body
}

/// Writes an integer as a typedstream does: one byte, or a mark and two or four bytes in little-endian order.
fn integer(body: &mut Vec<u8>, value: usize) {
    match (i8::try_from(value), u16::try_from(value)) {
        (Ok(small), _) => body.push(small.cast_unsigned()),
        (Err(_), Ok(middle)) => {
            body.push(0x81);
            body.extend_from_slice(&middle.to_le_bytes());
        }
        _ => {
            body.push(0x82);
            body.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributed_body_holds_the_text() {
        let long = "x".repeat(300);
        for text in ["Hello 👋", long.as_str()] {
            let body = attributed_body(text);
            assert!(body.starts_with(b"\x04\x0bstreamtyped\x81\xe8\x03"));
            assert!(body.windows(text.len()).any(|window| window == text.as_bytes()));
        }
        let mut bytes = Vec::new();
        integer(&mut bytes, 127);
        integer(&mut bytes, 128);
        assert_eq!(bytes, [127, 0x81, 128, 0]);
    }
}
