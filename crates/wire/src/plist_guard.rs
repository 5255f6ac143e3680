//! Property lists from outside: refused when they are bombs, before a tree is built.
//!
//! A binary property list is a table of objects that may be shared: thirty arrays that each name the next one twice are a
//! few hundred bytes and expand to a thousand million values. [`parse`] walks the object table first and adds up what the
//! expansion would cost; only what stays within [`Limits`] is handed to the parser proper. XML is scanned once for the
//! number and the depth of its elements.

use std::io::Cursor;

use plist::Value;
use thiserror::Error;

/// What a property list may cost, counted after expansion of shared objects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Length of the encoded form in bytes.
    pub bytes: usize,
    /// Number of values, keys included.
    pub objects: u64,
    /// Bytes in strings and data.
    pub content: u64,
    /// Nesting of arrays and dictionaries.
    pub depth: u32,
}

impl Limits {
    /// Limits for one protocol message.
    pub const MESSAGE: Self =
        Self { bytes: 8 << 20, objects: 400_000, content: 16 << 20, depth: 48 };

    /// Limits for a property list that is a file of a backup (`Manifest.plist`, `Info.plist`).
    pub const FILE: Self =
        Self { bytes: 256 << 20, objects: 2_000_000, content: 512 << 20, depth: 96 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::MESSAGE
    }
}

/// Why a property list was refused.
#[derive(Debug, Error)]
pub enum PlistError {
    /// The encoded form is longer than allowed.
    #[error("property list of {bytes} bytes, allowed are {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It would expand to more values than allowed.
    #[error("property list expands to more than {limit} objects")]
    TooManyObjects {
        /// The limit.
        limit: u64,
    },
    /// Its strings and data would expand to more bytes than allowed.
    #[error("property list expands to more than {limit} bytes of content")]
    TooMuchContent {
        /// The limit.
        limit: u64,
    },
    /// It is nested more deeply than allowed.
    #[error("property list nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: u32,
    },
    /// An object contains itself.
    #[error("property list contains itself")]
    Recursive,
    /// Its frame is damaged.
    #[error("malformed property list: {0}")]
    Malformed(&'static str),
    /// It is neither binary nor XML.
    #[error("neither a binary nor an XML property list")]
    UnknownFormat,
    /// The parser refused it.
    #[error("property list does not parse")]
    Parse(#[source] plist::Error),
}

/// Parses a binary or XML property list that stays within `limits`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, PlistError> {
    if bytes.len() > limits.bytes {
        return Err(PlistError::TooLong { bytes: bytes.len(), limit: limits.bytes });
    }
    if bytes.starts_with(b"bplist") {
        Table::read(bytes, limits)?.check(limits)?;
        return Value::from_reader(Cursor::new(bytes)).map_err(PlistError::Parse);
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = text.trim_ascii_start();
    if text.first() != Some(&b'<') {
        return Err(PlistError::UnknownFormat);
    }
    scan_xml(text, limits)?;
    Value::from_reader_xml(Cursor::new(text)).map_err(PlistError::Parse)
}

/// Encodes a value as a binary property list.
pub fn to_binary(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.to_writer_binary(&mut bytes).expect("a value that exists can be written to memory");
    bytes
}

/// Encodes a value as an XML property list.
pub fn to_xml(value: &Value) -> Vec<u8> {
    if has_reference(value) {
        return to_xml(&spelled(value));
    }
    let mut bytes = Vec::new();
    value.to_writer_xml(&mut bytes).expect("a value that exists can be written to memory");
    bytes
}

/// Whether XML has no form for a part of it.
fn has_reference(value: &Value) -> bool {
    match value {
        Value::Uid(_) => true,
        Value::Array(all) => all.iter().any(has_reference),
        Value::Dictionary(all) => all.values().any(has_reference),
        _ => false,
    }
}

/// Writes the references of archives as Apple's tools do in XML: as a dictionary with the key `CF$UID`.
fn spelled(value: &Value) -> Value {
    match value {
        Value::Uid(uid) => {
            let number = Value::from(uid.get());
            Value::Dictionary(plist::Dictionary::from_iter([("CF$UID".to_owned(), number)]))
        }
        Value::Array(all) => Value::Array(all.iter().map(spelled).collect()),
        Value::Dictionary(all) => Value::Dictionary(
            all.iter().map(|(key, value)| (key.clone(), spelled(value))).collect(),
        ),
        other => other.clone(),
    }
}

/// The object table of a binary property list.
struct Table<'a> {
    bytes: &'a [u8],
    offsets: &'a [u8],
    offset_size: usize,
    reference_size: usize,
    count: usize,
    root: usize,
}

/// What one object costs when everything it names is expanded.
#[derive(Clone, Copy, Default)]
struct Cost {
    objects: u64,
    content: u64,
    depth: u32,
}

/// How far the walk has come with an object.
#[derive(Clone, Copy)]
enum Visit {
    Unseen,
    Open,
    Done(Cost),
}

/// An object on the way from the root to where the walk stands.
struct Frame<'a> {
    index: usize,
    /// The references not yet followed.
    references: &'a [u8],
    cost: Cost,
}

impl Cost {
    fn add(&mut self, child: Self, limits: &Limits) -> Result<(), PlistError> {
        self.objects = self.objects.saturating_add(child.objects);
        self.content = self.content.saturating_add(child.content);
        self.depth = self.depth.max(child.depth.saturating_add(1));
        if self.objects > limits.objects {
            return Err(PlistError::TooManyObjects { limit: limits.objects });
        }
        if self.content > limits.content {
            return Err(PlistError::TooMuchContent { limit: limits.content });
        }
        if self.depth > limits.depth {
            return Err(PlistError::TooDeep { limit: limits.depth });
        }
        Ok(())
    }
}

impl<'a> Table<'a> {
    fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, PlistError> {
        const SHORT: PlistError = PlistError::Malformed("shorter than its frame");
        if !bytes.starts_with(b"bplist00") {
            return Err(PlistError::Malformed("unknown binary version"));
        }
        let (body, trailer) = bytes.split_last_chunk::<32>().ok_or(SHORT)?;
        let (sizes, numbers) = trailer.split_at(8);
        let (Some([.., offset_size, reference_size]), Some([count, root, start])) =
            (sizes.first_chunk::<8>(), numbers.as_chunks::<8>().0.first_chunk::<3>())
        else {
            return Err(SHORT);
        };
        let number =
            |bytes: &[u8; 8]| usize::try_from(u64::from_be_bytes(*bytes)).map_err(|_| SHORT);
        let (count, root, start) = (number(count)?, number(root)?, number(start)?);
        let (offset_size, reference_size) =
            (usize::from(*offset_size), usize::from(*reference_size));
        if !(1..=8).contains(&offset_size) || !(1..=8).contains(&reference_size) {
            return Err(PlistError::Malformed("size of offsets or references"));
        }
        let offsets = count
            .checked_mul(offset_size)
            .and_then(|length| body.get(start..)?.get(..length))
            .ok_or(PlistError::Malformed("offset table outside"))?;
        if root >= count {
            return Err(PlistError::Malformed("root object outside"));
        }
        if u64::try_from(count).unwrap_or(u64::MAX) > limits.objects {
            return Err(PlistError::TooManyObjects { limit: limits.objects });
        }
        Ok(Self { bytes: body, offsets, offset_size, reference_size, count, root })
    }

    /// Walks what the root names, each object once, and adds up the expansion.
    fn check(&self, limits: &Limits) -> Result<(), PlistError> {
        let mut visits = vec![Visit::Unseen; self.count];
        let mut stack = vec![self.open(self.root)?];
        let deepest = usize::try_from(limits.depth).unwrap_or(usize::MAX);
        while let Some(frame) = stack.last_mut() {
            let Some((reference, rest)) = frame.references.split_at_checked(self.reference_size)
            else {
                let (index, cost) = (frame.index, frame.cost);
                if let Some(visit) = visits.get_mut(index) {
                    *visit = Visit::Done(cost);
                }
                stack.pop();
                if let Some(parent) = stack.last_mut() {
                    parent.cost.add(cost, limits)?;
                }
                continue;
            };
            frame.references = rest;
            let index = usize::try_from(big_endian(reference)).unwrap_or(usize::MAX);
            let visit = visits.get_mut(index).ok_or(PlistError::Malformed("reference outside"))?;
            match *visit {
                Visit::Done(cost) => frame.cost.add(cost, limits)?,
                Visit::Open => return Err(PlistError::Recursive),
                Visit::Unseen => {
                    *visit = Visit::Open;
                    if stack.len() > deepest {
                        return Err(PlistError::TooDeep { limit: limits.depth });
                    }
                    stack.push(self.open(index)?);
                }
            }
        }
        Ok(())
    }

    /// Reads the head of one object: what it weighs by itself and what it names.
    fn open(&self, index: usize) -> Result<Frame<'a>, PlistError> {
        const OUTSIDE: PlistError = PlistError::Malformed("object outside");
        let offset = index
            .checked_mul(self.offset_size)
            .and_then(|start| self.offsets.get(start..)?.get(..self.offset_size))
            .ok_or(OUTSIDE)?;
        let offset = usize::try_from(big_endian(offset)).map_err(|_| OUTSIDE)?;
        let (&marker, rest) =
            self.bytes.get(offset..).and_then(<[u8]>::split_first).ok_or(OUTSIDE)?;
        let mut frame =
            Frame { index, references: &[], cost: Cost { objects: 1, content: 0, depth: 0 } };
        let kind = marker >> 4;
        if !matches!(kind, 0x4..=0x6 | 0xa..=0xd) {
            return Ok(frame);
        }
        let (length, rest) = object_length(marker, rest).ok_or(OUTSIDE)?;
        let factor = match kind {
            0x4 | 0x5 => 1,
            0x6 => 2,
            0xd => self.reference_size.saturating_mul(2),
            _ => self.reference_size,
        };
        let body =
            length.checked_mul(factor).and_then(|length| rest.get(..length)).ok_or(OUTSIDE)?;
        if kind <= 0x6 {
            frame.cost.content = u64::try_from(body.len()).unwrap_or(u64::MAX);
        } else {
            frame.references = body;
            frame.cost.depth = 1;
        }
        Ok(frame)
    }
}

/// Returns the count of a marker and what follows it.
fn object_length(marker: u8, rest: &[u8]) -> Option<(usize, &[u8])> {
    let short = marker & 0x0f;
    if short != 0x0f {
        return Some((usize::from(short), rest));
    }
    let (&size, rest) = rest.split_first()?;
    let (number, rest) = rest.split_at_checked(1 << (size & 0x03))?;
    Some((usize::try_from(big_endian(number)).ok()?, rest))
}

/// Reads at most eight bytes as a big-endian number.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Counts the elements of an XML property list and their nesting.
fn scan_xml(text: &[u8], limits: &Limits) -> Result<(), PlistError> {
    const OPEN_END: PlistError = PlistError::Malformed("unfinished XML markup");
    let (mut objects, mut depth) = (0_u64, 0_u32);
    let mut rest = text;
    while let Some(start) = rest.iter().position(|byte| *byte == b'<') {
        rest = rest.get(start + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix(b"!--") {
            if comment.starts_with(b">") || comment.starts_with(b"->") {
                return Err(PlistError::Malformed("ambiguous XML comment"));
            }
            rest = after(comment, b"-->").ok_or(OPEN_END)?;
        } else if let Some(section) = rest.strip_prefix(b"![CDATA[") {
            rest = after(section, b"]]>").ok_or(OPEN_END)?;
        } else if rest.starts_with(b"?") {
            rest = after(rest, b"?>").ok_or(OPEN_END)?;
        } else if rest.starts_with(b"!") {
            let end = tag_length(rest).ok_or(OPEN_END)?;
            if rest.iter().take(end).any(|byte| *byte == b'[') {
                return Err(PlistError::Malformed("document type with declarations"));
            }
            rest = rest.get(end..).unwrap_or_default();
        } else {
            let end = tag_length(rest).ok_or(OPEN_END)?;
            let closing = rest.starts_with(b"/");
            let empty = end.checked_sub(1).and_then(|last| rest.get(last)) == Some(&b'/');
            rest = rest.get(end..).unwrap_or_default();
            if closing {
                depth = depth.saturating_sub(1);
                continue;
            }
            objects += 1;
            if objects > limits.objects {
                return Err(PlistError::TooManyObjects { limit: limits.objects });
            }
            if !empty {
                depth += 1;
                // The `plist` element and the leaf itself are not nesting.
                if depth > limits.depth.saturating_add(2) {
                    return Err(PlistError::TooDeep { limit: limits.depth });
                }
            }
        }
    }
    Ok(())
}

/// Returns what follows the first `needle`.
fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let start = text.windows(needle.len()).position(|window| window == needle)?;
    text.get(start + needle.len()..)
}

/// Returns how many bytes lie before the `>` that ends a tag, quoted ones skipped.
fn tag_length(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    text.iter().position(|byte| match (quote, byte) {
        (None, b'>') => true,
        (None, b'"' | b'\'') => {
            quote = Some(*byte);
            false
        }
        (Some(open), byte) if open == *byte => {
            quote = None;
            false
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use plist::Dictionary;
    use proptest::prelude::*;

    use super::*;

    /// A binary property list of the objects given, all offsets and references one byte; the first is the root.
    fn binary(objects: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"bplist00".to_vec();
        let mut offsets = Vec::new();
        for object in objects {
            offsets.push(u8::try_from(bytes.len()).unwrap());
            bytes.extend_from_slice(object);
        }
        let table = u64::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(&offsets);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 1]);
        for number in [u64::try_from(objects.len()).unwrap(), 0, table] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn shared_references_do_not_explode() {
        // Thirty arrays, each naming the next one four times: 4^30 values.
        let mut objects: Vec<Vec<u8>> =
            (1..31_u8).map(|next| vec![0xa4, next, next, next, next]).collect();
        objects.push(vec![0x09]);
        let bomb = binary(&objects);
        assert!(bomb.len() < 300);
        assert!(matches!(parse(&bomb, &Limits::MESSAGE), Err(PlistError::TooManyObjects { .. })));
    }

    #[test]
    fn a_string_named_often_counts_each_time() {
        let mut text = vec![0x5f, 0x10, 100];
        text.extend_from_slice(&[b'x'; 100]);
        let mut list = vec![0xae];
        list.extend_from_slice(&[1; 14]);
        let limits = Limits { content: 1000, ..Limits::MESSAGE };
        assert!(matches!(
            parse(&binary(&[list, text]), &limits),
            Err(PlistError::TooMuchContent { .. })
        ));
    }

    #[test]
    fn depth_and_circles_are_refused() {
        let mut objects: Vec<Vec<u8>> = (1..61_u8).map(|next| vec![0xa1, next]).collect();
        objects.push(vec![0x09]);
        assert!(matches!(
            parse(&binary(&objects), &Limits::MESSAGE),
            Err(PlistError::TooDeep { .. })
        ));
        assert!(matches!(
            parse(&binary(&[vec![0xa1, 1], vec![0xa1, 0]]), &Limits::MESSAGE),
            Err(PlistError::Recursive)
        ));
    }

    #[test]
    fn counts_larger_than_the_list_are_refused() {
        // An array that says it has 2^60 elements, and data of 4 GiB.
        for object in
            [vec![0xaf, 0x13, 0x10, 0, 0, 0, 0, 0, 0, 0], vec![0x4f, 0x12, 0xff, 0xff, 0xff, 0xff]]
        {
            assert!(matches!(
                parse(&binary(&[object]), &Limits::MESSAGE),
                Err(PlistError::Malformed(_))
            ));
        }
        let mut bytes = binary(&[vec![0x09]]);
        let count = bytes.len() - 24;
        bytes.splice(count..count + 8, u64::MAX.to_be_bytes());
        assert!(parse(&bytes, &Limits::MESSAGE).is_err());
    }

    #[test]
    fn deep_xml_is_refused_before_it_is_parsed() {
        let deep = format!(
            "<plist version=\"1.0\">{}{}</plist>",
            "<array>".repeat(100_000),
            "</array>".repeat(100_000)
        );
        assert!(matches!(
            parse(deep.as_bytes(), &Limits::MESSAGE),
            Err(PlistError::TooDeep { .. })
        ));
        let wide = format!("<plist><array>{}</array></plist>", "<true/>".repeat(500_000));
        assert!(matches!(
            parse(wide.as_bytes(), &Limits::MESSAGE),
            Err(PlistError::TooManyObjects { .. })
        ));
        let hidden = "<plist><!--><array><array> --></plist>";
        assert!(parse(hidden.as_bytes(), &Limits::MESSAGE).is_err());
    }

    #[test]
    fn other_formats_and_long_input_are_refused() {
        for bytes in [b"( a, b )".as_slice(), b"", b"bplist15", b"bplist00"] {
            assert!(parse(bytes, &Limits::MESSAGE).is_err());
        }
        let limits = Limits { bytes: 10, ..Limits::MESSAGE };
        assert!(matches!(
            parse(&[b'<'; 11], &limits),
            Err(PlistError::TooLong { bytes: 11, limit: 10 })
        ));
    }

    #[test]
    fn xml_of_people_passes() {
        let text = "\u{feff}<?xml version='1.0'?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"x>y\">\n\
                    <plist version=\"1.0\"><!-- <array> --><dict><key>a</key><string>&lt;b</string></dict></plist>";
        let value = parse(text.as_bytes(), &Limits::MESSAGE).unwrap();
        let a = value.as_dictionary().and_then(|keys| keys.get("a"));
        assert_eq!(a.and_then(Value::as_string), Some("<b"));
    }

    #[test]
    fn a_reference_in_a_value_is_spelled_in_xml() {
        let reference = Value::Array(vec![Value::Uid(plist::Uid::new(7)), Value::from(1)]);
        let value = Value::Dictionary(Dictionary::from_iter([("a", reference)]));
        let xml = to_xml(&parse(&to_binary(&value), &Limits::MESSAGE).unwrap());
        let text = String::from_utf8(xml.clone()).unwrap();
        assert!(text.contains("<key>CF$UID</key>"), "{text}");
        assert!(text.contains("<integer>7</integer>"), "{text}");
        parse(&xml, &Limits::MESSAGE).unwrap();
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::Real),
            "[a-zA-Zäöß€ ]{0,20}".prop_map(Value::String),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Data),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map("[a-z]{1,6}", inner, 0..6)
                    .prop_map(|map| Value::Dictionary(map.into_iter().collect::<Dictionary>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_survives(value in any_value()) {
            prop_assert_eq!(&parse(&to_binary(&value), &Limits::MESSAGE).unwrap(), &value);
            prop_assert_eq!(&parse(&to_xml(&value), &Limits::MESSAGE).unwrap(), &value);
        }

        #[test]
        fn noise_never_panics(
            value in any_value(),
            noise in any::<Vec<u8>>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            drop(parse(&noise, &Limits::MESSAGE));
            for mut bytes in [to_binary(&value), to_xml(&value)] {
                for (place, byte) in &changes {
                    let place = place.index(bytes.len());
                    if let Some(target) = bytes.get_mut(place) {
                        *target = *byte;
                    }
                }
                drop(parse(&bytes, &Limits::MESSAGE));
            }
        }
    }
}
