//! `os_trace_relay`: the log of the device, entry by entry, both directions (`docs/protocol.md` 10.6).
//!
//! The host asks with one property list; the device answers with a length of a length, a property list and then entries
//! without end, each a byte 2, a little-endian `u32` and a body with fixed places and five texts.

use bytes::{Buf as _, BytesMut};
use plist::{Dictionary, Value};
use thiserror::Error;

use crate::plist_guard::{self, Limits};

/// Longest entry that is taken.
pub const ENTRY_LIMIT: usize = 256 << 10;
/// Length of an entry before its texts.
const FIXED: usize = 129;
/// First byte of an entry.
const MARK: u8 = 2;

/// Bytes that are no log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TraceError {
    /// The answer to the request makes no sense.
    #[error("the answer of the log service makes no sense")]
    Answer,
    /// The device does not want to tell its log.
    #[error("the device refuses to tell its log")]
    Refused,
    /// Something else than an entry stands where one should begin.
    #[error("no entry where one should begin")]
    Mark,
    /// An entry is longer than allowed.
    #[error("an entry of {announced} bytes")]
    TooLong {
        /// What its length says.
        announced: u32,
    },
}

/// How grave an entry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// As usual.
    Notice,
    /// For the curious.
    Info,
    /// For developers.
    Debug,
    /// An error.
    Error,
    /// A fault.
    Fault,
    /// Any other number.
    Other(u8),
}

impl Level {
    /// Returns the number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Notice => 0,
            Self::Info => 1,
            Self::Debug => 2,
            Self::Error => 0x10,
            Self::Fault => 0x11,
            Self::Other(number) => number,
        }
    }
}

impl From<u8> for Level {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Notice,
            1 => Self::Info,
            2 => Self::Debug,
            0x10 => Self::Error,
            0x11 => Self::Fault,
            other => Self::Other(other),
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Number of the process.
    pub pid: u32,
    /// Seconds since 1970, by the clock of the device.
    pub seconds: u32,
    /// Microseconds of that second.
    pub microseconds: u32,
    /// Ticks of the processor's clock since the device was started, 24 million a second.
    pub ticks: u64,
    /// How grave it is.
    pub level: Level,
    /// Path of the process.
    pub process: String,
    /// Path of the library that wrote it.
    pub image: String,
    /// What it says.
    pub message: String,
    /// Its subsystem, empty where it has none.
    pub subsystem: String,
    /// Its category, empty where it has none.
    pub category: String,
}

impl Entry {
    /// Returns the name of the process: the last part of its path.
    pub fn process_name(&self) -> &str {
        self.process.rsplit('/').next().unwrap_or_default()
    }

    /// Encodes the entry with mark and length.
    ///
    /// A text that is too long for its length field is cut.
    pub fn encode(&self) -> Vec<u8> {
        let short = |text: &str| cut(text, usize::from(u16::MAX) - 1);
        let (image, message) = (short(&self.image), short(&self.message));
        let (subsystem, category) = (short(&self.subsystem), short(&self.category));
        let size = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let label = |bytes: &[u8]| if bytes.len() > 1 { u32::from(size(bytes)) } else { 0 };
        let mut body = vec![0; 9];
        body.extend_from_slice(&self.pid.to_le_bytes());
        body.extend_from_slice(&u64::from(self.pid).to_le_bytes());
        body.extend_from_slice(&[0; 34]);
        body.extend_from_slice(&self.seconds.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&self.microseconds.to_le_bytes());
        body.extend_from_slice(&[0, self.level.number()]);
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&self.ticks.to_le_bytes());
        body.extend_from_slice(&[0; 26]);
        body.extend_from_slice(&size(&image).to_le_bytes());
        body.extend_from_slice(&size(&message).to_le_bytes());
        body.extend_from_slice(&[0; 6]);
        body.extend_from_slice(&label(&subsystem).to_le_bytes());
        body.extend_from_slice(&label(&category).to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&short(&self.process));
        body.extend_from_slice(&image);
        body.extend_from_slice(&message);
        if label(&subsystem) > 0 {
            body.extend_from_slice(&subsystem);
        }
        if label(&category) > 0 {
            body.extend_from_slice(&category);
        }
        let mut bytes = vec![MARK];
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads the body of an entry; nothing where its places contradict each other.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (fixed, texts) = body.split_at_checked(FIXED)?;
        let word = |at: usize| Some(u32::from_le_bytes(*fixed.get(at..)?.first_chunk()?));
        let half = |at: usize| Some(u16::from_le_bytes(*fixed.get(at..)?.first_chunk()?));
        let end = texts.iter().position(|byte| *byte == 0)?;
        let (process, texts) = texts.split_at_checked(end + 1)?;
        let (image, texts) = texts.split_at_checked(usize::from(half(107)?))?;
        let (message, texts) = texts.split_at_checked(usize::from(half(109)?))?;
        let length = |at: usize| usize::try_from(word(at)?).ok();
        // What stands after the message is a label that may be cut off; the message counts.
        let (subsystem, texts) = texts.split_at_checked(length(117)?).unwrap_or_default();
        let (category, _) = texts.split_at_checked(length(121)?).unwrap_or_default();
        Some(Self {
            pid: word(9)?,
            seconds: word(55)?,
            microseconds: word(63)?,
            ticks: u64::from_le_bytes(*fixed.get(73..)?.first_chunk()?),
            level: Level::from(*fixed.get(68)?),
            process: text(process),
            image: text(image),
            message: text(message),
            subsystem: text(subsystem),
            category: text(category),
        })
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// Returns the text with its zero, cut where it is too long or has one inside.
fn cut(text: &str, longest: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take_while(|byte| *byte != 0).take(longest).collect();
    bytes.push(0);
    bytes
}

/// Returns the request that starts the log of all processes, information lines with it.
pub fn start() -> Dictionary {
    Dictionary::from_iter([
        ("Request", Value::from("StartActivity")),
        ("MessageFilter", Value::from(65_535)),
        ("Pid", Value::from(-1)),
        ("StreamFlags", Value::from(60)),
    ])
}

/// Encodes the answer to the request.
pub fn answer(granted: bool) -> Vec<u8> {
    let status = if granted { "RequestSuccessful" } else { "RequestFailed" };
    let answer = Dictionary::from_iter([("Status", Value::from(status))]);
    let body = plist_guard::to_xml(&Value::Dictionary(answer));
    let mut bytes = 4_u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Cuts the bytes of the device into its answer and its entries.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    granted: bool,
}

impl Decoder {
    /// Makes a decoder that waits for the answer to the request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the device said that it tells its log.
    pub fn is_granted(&self) -> bool {
        self.granted
    }

    /// Returns the next entry, or nothing while bytes are missing. An entry that makes no sense is passed over.
    #[expect(clippy::should_implement_trait, reason = "fed between calls, so it is no iterator")]
    pub fn next(&mut self) -> Result<Option<Entry>, TraceError> {
        if !self.granted && !self.take_answer()? {
            return Ok(None);
        }
        loop {
            let Some([mark, length @ ..]) = self.buffer.first_chunk::<5>() else {
                return Ok(None);
            };
            if *mark != MARK {
                return Err(TraceError::Mark);
            }
            let announced = u32::from_le_bytes(*length);
            let length = usize::try_from(announced).unwrap_or(usize::MAX);
            if length > ENTRY_LIMIT {
                return Err(TraceError::TooLong { announced });
            }
            if self.buffer.len() - 5 < length {
                return Ok(None);
            }
            self.buffer.advance(5);
            if let Some(entry) = Entry::decode(&self.buffer.split_to(length)) {
                return Ok(Some(entry));
            }
        }
    }

    /// Takes the answer from the front; false while bytes are missing.
    fn take_answer(&mut self) -> Result<bool, TraceError> {
        let Some((size, rest)) = self.buffer.split_first_chunk::<4>() else { return Ok(false) };
        let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
        if !(1..=8).contains(&size) {
            return Err(TraceError::Answer);
        }
        let Some((length, rest)) = rest.split_at_checked(size) else { return Ok(false) };
        let length =
            length.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > ENTRY_LIMIT {
            return Err(TraceError::Answer);
        }
        let Some(body) = rest.get(..length) else { return Ok(false) };
        let answer = plist_guard::parse(body, &Limits::MESSAGE).map_err(|_| TraceError::Answer)?;
        let status = answer.as_dictionary().and_then(|keys| keys.get("Status"));
        match status.and_then(Value::as_string) {
            Some("RequestSuccessful") => self.granted = true,
            Some(_) => return Err(TraceError::Refused),
            None => return Err(TraceError::Answer),
        }
        self.buffer.advance(4 + size + length);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(message: &str) -> Entry {
        Entry {
            pid: 412,
            seconds: 1_795_000_000,
            microseconds: 250_000,
            ticks: 24_000_000,
            level: Level::Error,
            process: "/System/Library/PrivateFrameworks/MobileBackup.framework/backupd".into(),
            image: "/usr/lib/libobjc.A.dylib".into(),
            message: message.into(),
            subsystem: "com.apple.mobilebackup".into(),
            category: "scheduler".into(),
        }
    }

    #[test]
    fn places_are_where_the_description_has_them() {
        let bytes = entry("hello").encode();
        assert_eq!(bytes.first(), Some(&2));
        let (_, body) = bytes.split_at(5);
        let at = |from: usize, wanted: &[u8]| {
            assert!(body.get(from..).is_some_and(|rest| rest.starts_with(wanted)), "{from}");
        };
        at(0, &[0; 9]);
        at(9, &412_u32.to_le_bytes());
        at(55, &1_795_000_000_u32.to_le_bytes());
        at(68, &[0x10]);
        at(73, &24_000_000_u64.to_le_bytes());
        at(107, &25_u16.to_le_bytes());
        at(109, &6_u16.to_le_bytes());
        at(129, b"/System");
        assert_eq!(entry("hello").process_name(), "backupd");
    }

    #[test]
    fn a_refusal_is_told() {
        let mut decoder = Decoder::new();
        decoder.push(&answer(false));
        assert_eq!(decoder.next(), Err(TraceError::Refused));
    }

    #[test]
    fn an_entry_of_four_gibibytes_is_refused_from_its_length_alone() {
        let mut decoder = Decoder::new();
        decoder.push(&answer(true));
        decoder.push(&[2, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next(), Err(TraceError::TooLong { announced: u32::MAX }));
    }

    #[test]
    fn an_entry_that_contradicts_itself_is_passed_over() {
        let mut broken = entry("gone").encode();
        broken.splice(5 + 109..5 + 111, [0xff, 0xff]);
        let mut decoder = Decoder::new();
        decoder.push(&answer(true));
        decoder.push(&broken);
        decoder.push(&[2, 3, 0, 0, 0, 1, 2, 3]);
        decoder.push(&entry("there").encode());
        assert_eq!(decoder.next(), Ok(Some(entry("there"))));
        assert_eq!(decoder.next(), Ok(None));
    }

    proptest! {
        #[test]
        fn entries_survive_any_fragmentation(
            messages in prop::collection::vec("[^\0]{0,40}", 0..5),
            label in "[a-z]{0,9}",
            step in 1_usize..70,
        ) {
            let mut entries: Vec<Entry> = messages.iter().map(|text| entry(text)).collect();
            for entry in &mut entries {
                entry.category.clone_from(&label);
            }
            let mut stream = answer(true);
            stream.extend(entries.iter().flat_map(Entry::encode));
            let mut decoder = Decoder::new();
            let mut read = Vec::new();
            for piece in stream.chunks(step) {
                decoder.push(piece);
                while let Some(entry) = decoder.next().unwrap() {
                    read.push(entry);
                }
            }
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>(), body in prop::collection::vec(any::<u8>(), 120..400)) {
            drop(Entry::decode(&body));
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            drop(decoder.next());
            let mut decoder = Decoder::new();
            decoder.push(&answer(true));
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
