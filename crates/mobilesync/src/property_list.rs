//! Property lists from outside: XML or binary, refused before they can cost much.

use std::io::Cursor;

use thiserror::Error;

use crate::bplist::Bplist;

/// What a property list may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the file, and bytes of all strings and data when expanded.
    pub bytes: usize,
    /// Objects of the expanded tree.
    pub objects: usize,
    /// Collections inside each other.
    pub depth: usize,
}

impl Limits {
    /// For `Status.plist` and its like.
    pub const SMALL: Self = Self { bytes: 64 << 10, objects: 1000, depth: 8 };
    /// For `Manifest.plist` and `Info.plist`: app icons and thousands of containers.
    pub const LARGE: Self = Self { bytes: 128 << 20, objects: 2_000_000, depth: 32 };
}

/// Why a property list was refused.
#[derive(Debug, Error)]
pub enum PlistError {
    /// Nothing is there: what some hosts leave before the device sends the real one.
    #[error("the property list is empty")]
    Empty,
    /// Too many bytes.
    #[error("the property list is too large")]
    TooLarge,
    /// Too many objects.
    #[error("the property list has too many objects")]
    TooMany,
    /// Collections nested too deep.
    #[error("the property list is nested too deep")]
    TooDeep,
    /// A binary list that cannot be read.
    #[error("the property list is damaged: {0}")]
    Malformed(&'static str),
    /// An XML list that cannot be read.
    #[error("the property list cannot be read")]
    Xml(#[source] Box<plist::Error>),
    /// A key is missing or holds another type than it must.
    #[error("the key {0} is missing or of a wrong type")]
    Key(&'static str),
    /// A key holds a value that is not known.
    #[error("the key {key} holds an unknown value {value:?}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it holds.
        value: String,
    },
}

/// Reads a property list, XML or binary.
pub fn parse(data: &[u8], limits: &Limits) -> Result<plist::Value, PlistError> {
    if data.is_empty() {
        return Err(PlistError::Empty);
    }
    if data.len() > limits.bytes {
        return Err(PlistError::TooLarge);
    }
    if Bplist::is_binary(data) {
        return Bplist::parse(data)?.expand(limits);
    }
    guard_xml(data, limits)?;
    plist::Value::from_reader_xml(Cursor::new(data))
        .map_err(|error| PlistError::Xml(Box::new(error)))
}

/// Reads a property list whose top object is a dictionary.
pub fn parse_dictionary(data: &[u8], limits: &Limits) -> Result<plist::Dictionary, PlistError> {
    parse(data, limits)?.into_dictionary().ok_or(PlistError::Malformed("it is not a dictionary"))
}

/// Writes a binary property list.
pub fn to_binary(value: &plist::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.to_writer_binary(&mut bytes).expect("a tree in memory can be written to memory");
    bytes
}

/// Writes an XML property list.
pub fn to_xml(value: &plist::Value) -> Vec<u8> {
    if has_reference(value) {
        return to_xml(&spelled(value));
    }
    let mut bytes = Vec::new();
    value.to_writer_xml(&mut bytes).expect("a tree in memory can be written to memory");
    bytes
}

/// Whether XML has no form for a part of it.
fn has_reference(value: &plist::Value) -> bool {
    match value {
        plist::Value::Uid(_) => true,
        plist::Value::Array(all) => all.iter().any(has_reference),
        plist::Value::Dictionary(all) => all.values().any(has_reference),
        _ => false,
    }
}

/// Writes the references of archives as Apple's tools do in XML: as a dictionary with the key `CF$UID`.
fn spelled(value: &plist::Value) -> plist::Value {
    match value {
        plist::Value::Uid(uid) => {
            let number = plist::Value::from(uid.get());
            plist::Value::Dictionary(plist::Dictionary::from_iter([("CF$UID".to_owned(), number)]))
        }
        plist::Value::Array(all) => plist::Value::Array(all.iter().map(spelled).collect()),
        plist::Value::Dictionary(all) => plist::Value::Dictionary(
            all.iter().map(|(key, value)| (key.clone(), spelled(value))).collect(),
        ),
        other => other.clone(),
    }
}

/// Counts elements and depth without building anything. Comments, declarations and CDATA are
/// stepped over, so that what they contain cannot hide depth.
fn guard_xml(data: &[u8], limits: &Limits) -> Result<(), PlistError> {
    let (mut rest, mut depth, mut elements) = (data, 0_usize, 0_usize);
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let end: &[u8] = if rest.starts_with(b"!--") {
            b"-->"
        } else if rest.starts_with(b"![CDATA[") {
            b"]]>"
        } else {
            b">"
        };
        let Some(length) = rest.windows(end.len()).position(|window| window == end) else {
            return Ok(()); // Cut off: the parser says so.
        };
        let (tag, behind) = rest.split_at(length);
        rest = behind.get(end.len()..).unwrap_or_default();
        match tag.first() {
            Some(b'!' | b'?') => {}
            Some(b'/') => depth = depth.saturating_sub(1),
            _ => {
                elements += 1;
                if tag.last() != Some(&b'/') {
                    depth += 1;
                }
            }
        }
        // The element <plist> and the leaf are levels too.
        if depth > limits.depth + 2 {
            return Err(PlistError::TooDeep);
        }
        if elements > limits.objects {
            return Err(PlistError::TooMany);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = plist::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(plist::Value::Boolean),
            any::<i64>().prop_map(|value| plist::Value::Integer(value.into())),
            any::<u64>().prop_map(|value| plist::Value::Integer(value.into())),
            (-1e9..1e9_f64).prop_map(plist::Value::Real),
            ".{0,40}".prop_map(plist::Value::String),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(plist::Value::Data),
            (0_u64..1000).prop_map(|value| plist::Value::Uid(plist::Uid::new(value))),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(plist::Value::Array),
                prop::collection::hash_map("[a-z]{1,8}", inner, 0..6)
                    .prop_map(|map| plist::Value::Dictionary(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn a_reference_in_a_value_is_spelled_in_xml() {
        let reference =
            plist::Value::Array(vec![plist::Value::Uid(plist::Uid::new(7)), plist::Value::from(1)]);
        let value = plist::Value::Dictionary(plist::Dictionary::from_iter([("a", reference)]));
        let xml = to_xml(&parse(&to_binary(&value), &Limits::SMALL).unwrap());
        let text = String::from_utf8(xml.clone()).unwrap();
        assert!(text.contains("<key>CF$UID</key>"), "{text}");
        assert!(text.contains("<integer>7</integer>"), "{text}");
        parse(&xml, &Limits::SMALL).unwrap();
    }

    proptest! {
        #[test]
        fn what_the_plist_crate_writes_is_read_back(value in value()) {
            let bytes = to_binary(&value);
            prop_assert_eq!(parse(&bytes, &Limits::LARGE).unwrap(), value);
        }

        #[test]
        fn noise_never_panics(mut noise in prop::collection::vec(any::<u8>(), 0..400), binary: bool) {
            if binary {
                noise.splice(0..0, *b"bplist00");
            }
            drop(parse(&noise, &Limits::SMALL));
        }

        #[test]
        fn damage_never_panics(value in value(), at: prop::sample::Index, to: u8) {
            let mut bytes = to_binary(&value);
            *at.get_mut(&mut bytes) = to;
            drop(parse(&bytes, &Limits::LARGE));
        }
    }

    /// Twenty arrays, each holding the next one fifteen times: 15^20 objects in 500 bytes.
    #[test]
    fn a_bomb_is_refused() {
        let mut body = b"bplist00".to_vec();
        let mut offsets = Vec::new();
        for level in 0..20_u8 {
            offsets.push(u16::try_from(body.len()).unwrap());
            body.extend([0xaf, 0x10, 15]);
            body.extend([level + 1; 15]);
        }
        offsets.push(u16::try_from(body.len()).unwrap());
        body.push(0x09);
        let table = body.len() as u64;
        body.extend(offsets.iter().flat_map(|offset| offset.to_be_bytes()));
        body.extend([0, 0, 0, 0, 0, 0, 2, 1]);
        body.extend(21_u64.to_be_bytes());
        body.extend(0_u64.to_be_bytes());
        body.extend(table.to_be_bytes());
        assert!(matches!(parse(&body, &Limits::LARGE), Err(PlistError::TooMany)));
        assert!(matches!(parse(&body, &Limits::SMALL), Err(PlistError::TooDeep)));
    }

    #[test]
    fn a_list_that_holds_itself_is_refused() {
        let mut body = b"bplist00\xa1\x00".to_vec();
        body.extend([8, 0, 0, 0, 0, 0, 0, 1, 1]);
        body.extend(1_u64.to_be_bytes());
        body.extend(0_u64.to_be_bytes());
        body.extend(10_u64.to_be_bytes());
        assert!(matches!(parse(&body, &Limits::LARGE), Err(PlistError::TooDeep)));
    }

    #[test]
    fn deep_xml_is_refused_even_if_comments_seem_to_close_it() {
        let deep = format!("<plist>{}", "<array><!--</array>-->".repeat(100_000));
        assert!(matches!(parse(deep.as_bytes(), &Limits::LARGE), Err(PlistError::TooDeep)));
    }
}
