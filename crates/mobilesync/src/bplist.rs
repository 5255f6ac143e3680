//! Binary property lists, read object by object without expanding them, and written in a chosen order.
//!
//! An object may be referred to many times, so a small file can describe a huge tree. Reading by
//! index costs only what is looked at; [`Bplist::expand`] builds a tree within a budget.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::property_list::{Limits, PlistError};

/// From 1970-01-01 to 2001-01-01, where property list dates begin.
const EPOCH: Duration = Duration::from_hours(11_323 * 24);
/// Years 1 to 9999 in seconds around 2001: what a date may be.
const DATE_RANGE: std::ops::Range<f64> = -63_000_000_000.0..252_000_000_000.0;

const TRAILER: usize = 32;

/// A binary property list whose trailer has been checked.
#[derive(Clone, Copy)]
pub(crate) struct Bplist<'a> {
    /// Everything before the offset table.
    body: &'a [u8],
    offsets: &'a [u8],
    offset_size: usize,
    ref_size: usize,
    count: u64,
    top: u64,
}

/// References to other objects.
#[derive(Clone, Copy)]
pub(crate) struct Refs<'a> {
    bytes: &'a [u8],
    size: usize,
}

/// One object.
pub(crate) enum Object<'a> {
    Null,
    Boolean(bool),
    Integer(i128),
    Real(f64),
    Date(f64),
    Data(&'a [u8]),
    String(Cow<'a, str>),
    Uid(u64),
    Array(Refs<'a>),
    Dictionary(Refs<'a>, Refs<'a>),
}

const fn malformed(what: &'static str) -> PlistError {
    PlistError::Malformed(what)
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

fn index(value: u64) -> Result<usize, PlistError> {
    usize::try_from(value).map_err(|_| malformed("a number is too large"))
}

impl<'a> Refs<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = u64> + 'a {
        self.bytes.chunks_exact(self.size).map(big_endian)
    }

    pub(crate) fn get(self, at: u64) -> Option<u64> {
        let start = usize::try_from(at).ok()?.checked_mul(self.size)?;
        self.bytes.get(start..start.checked_add(self.size)?).map(big_endian)
    }

    fn len(self) -> usize {
        self.bytes.len() / self.size
    }
}

impl<'a> Bplist<'a> {
    pub(crate) fn is_binary(data: &[u8]) -> bool {
        data.starts_with(b"bplist0")
    }

    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, PlistError> {
        if !Self::is_binary(data) {
            return Err(malformed("the magic is missing"));
        }
        let end = data.len().checked_sub(TRAILER).ok_or_else(|| malformed("it is too short"))?;
        let (front, trailer) = data.split_at(end);
        let byte = |at: usize| trailer.get(at).map_or(0, |byte| usize::from(*byte));
        let long = |at: usize| trailer.get(at..at + 8).map_or(0, big_endian);
        let (offset_size, ref_size) = (byte(6), byte(7));
        let (count, top, table) = (long(8), long(16), long(24));
        if !(1..=8).contains(&offset_size) || !(1..=8).contains(&ref_size) {
            return Err(malformed("the trailer names impossible sizes"));
        }
        let table = index(table)?;
        let length = index(count)?
            .checked_mul(offset_size)
            .ok_or_else(|| malformed("the table is too large"))?;
        let body = front.get(..table).ok_or_else(|| malformed("the table lies outside"))?;
        let offsets = front
            .get(table..)
            .and_then(|rest| rest.get(..length))
            .ok_or_else(|| malformed("the table lies outside"))?;
        if top >= count {
            return Err(malformed("the top object is missing"));
        }
        Ok(Self { body, offsets, offset_size, ref_size, count, top })
    }

    pub(crate) fn top(&self) -> Result<Object<'a>, PlistError> {
        self.object(self.top)
    }

    /// Returns the object with this index.
    pub(crate) fn object(&self, at: u64) -> Result<Object<'a>, PlistError> {
        if at >= self.count {
            return Err(malformed("a reference leads nowhere"));
        }
        let offset = Refs { bytes: self.offsets, size: self.offset_size }
            .get(at)
            .ok_or_else(|| malformed("a reference leads nowhere"))?;
        let rest =
            self.body.get(index(offset)?..).ok_or_else(|| malformed("an offset lies outside"))?;
        let (marker, rest) =
            rest.split_first().ok_or_else(|| malformed("an offset lies outside"))?;
        let (kind, low) = (marker >> 4, marker & 0x0f);
        let take =
            |length: usize| rest.get(..length).ok_or_else(|| malformed("an object is cut off"));
        match (kind, low) {
            (0, 0) => Ok(Object::Null),
            (0, 8) => Ok(Object::Boolean(false)),
            (0, 9) => Ok(Object::Boolean(true)),
            (1, 0..=4) => Ok(Object::Integer(integer(take(1 << low)?))),
            (2, 2) => Ok(Object::Real(f32::from_be_bytes(fixed(take(4)?)?).into())),
            (2, 3) => Ok(Object::Real(f64::from_be_bytes(fixed(take(8)?)?))),
            (3, 3) => Ok(Object::Date(f64::from_be_bytes(fixed(take(8)?)?))),
            (4, _) => Ok(Object::Data(sized(low, rest, 1)?.0)),
            (5, _) => {
                let text = std::str::from_utf8(sized(low, rest, 1)?.0);
                Ok(Object::String(Cow::Borrowed(
                    text.map_err(|_| malformed("a string is not text"))?,
                )))
            }
            (6, _) => {
                let units: Vec<u16> = sized(low, rest, 2)?
                    .0
                    .chunks_exact(2)
                    .filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
                    .collect();
                let text = String::from_utf16(&units);
                Ok(Object::String(Cow::Owned(text.map_err(|_| malformed("a string is not text"))?)))
            }
            (8, 0..=7) => Ok(Object::Uid(big_endian(take(usize::from(low) + 1)?))),
            (0xa, _) => {
                let (bytes, _) = sized(low, rest, self.ref_size)?;
                Ok(Object::Array(Refs { bytes, size: self.ref_size }))
            }
            (0xd, _) => {
                let (keys, rest) = sized(low, rest, self.ref_size)?;
                let values =
                    rest.get(..keys.len()).ok_or_else(|| malformed("an object is cut off"))?;
                let refs = |bytes| Refs { bytes, size: self.ref_size };
                Ok(Object::Dictionary(refs(keys), refs(values)))
            }
            _ => Err(malformed("an object is of an unknown kind")),
        }
    }

    /// Returns the value of a key of a dictionary.
    pub(crate) fn value(
        &self,
        dictionary: &Object<'a>,
        key: &str,
    ) -> Result<Option<Object<'a>>, PlistError> {
        let Object::Dictionary(keys, values) = dictionary else {
            return Err(malformed("a dictionary is missing"));
        };
        for (name, value) in keys.iter().zip(values.iter()) {
            if let Object::String(name) = self.object(name)?
                && name == key
            {
                return self.object(value).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the keys of a dictionary that are strings, with the indexes of their values: for whoever looks up many.
    pub(crate) fn fields(
        &self,
        dictionary: &Object<'a>,
    ) -> Result<Vec<(Cow<'a, str>, u64)>, PlistError> {
        let Object::Dictionary(keys, values) = dictionary else {
            return Err(malformed("a dictionary is missing"));
        };
        let mut fields = Vec::with_capacity(keys.len());
        for (name, value) in keys.iter().zip(values.iter()) {
            if let Object::String(name) = self.object(name)? {
                fields.push((name, value));
            }
        }
        Ok(fields)
    }

    /// Builds the whole tree, unless it costs more than the limits allow.
    pub(crate) fn expand(&self, limits: &Limits) -> Result<plist::Value, PlistError> {
        let mut budget = Budget { objects: limits.objects, bytes: limits.bytes };
        self.build(self.top, limits.depth, &mut budget)
    }

    fn build(
        &self,
        at: u64,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<plist::Value, PlistError> {
        budget.object()?;
        Ok(match self.object(at)? {
            Object::Null => return Err(malformed("a null stands where a value should")),
            Object::Boolean(value) => plist::Value::Boolean(value),
            Object::Integer(value) => plist::Value::Integer(match i64::try_from(value) {
                Ok(value) => value.into(),
                Err(_) => {
                    u64::try_from(value).map_err(|_| malformed("a number is too large"))?.into()
                }
            }),
            Object::Real(value) => plist::Value::Real(value),
            Object::Date(value) => plist::Value::Date(date(value)?.into()),
            Object::Data(bytes) => {
                budget.bytes(bytes.len())?;
                plist::Value::Data(bytes.to_vec())
            }
            Object::String(text) => {
                budget.bytes(text.len())?;
                plist::Value::String(text.into_owned())
            }
            Object::Uid(value) => plist::Value::Uid(plist::Uid::new(value)),
            Object::Array(items) => {
                let depth = depth.checked_sub(1).ok_or(PlistError::TooDeep)?;
                budget.fits(items.len())?;
                let items = items.iter().map(|item| self.build(item, depth, budget));
                plist::Value::Array(items.collect::<Result<_, _>>()?)
            }
            Object::Dictionary(keys, values) => {
                let depth = depth.checked_sub(1).ok_or(PlistError::TooDeep)?;
                budget.fits(keys.len())?;
                let mut dictionary = plist::Dictionary::new();
                for (key, value) in keys.iter().zip(values.iter()) {
                    budget.object()?;
                    let Object::String(key) = self.object(key)? else {
                        return Err(malformed("a key is not a string"));
                    };
                    budget.bytes(key.len())?;
                    let value = self.build(value, depth, budget)?;
                    dictionary.insert(key.into_owned(), value);
                }
                plist::Value::Dictionary(dictionary)
            }
        })
    }
}

struct Budget {
    objects: usize,
    bytes: usize,
}

impl Budget {
    fn object(&mut self) -> Result<(), PlistError> {
        self.objects = self.objects.checked_sub(1).ok_or(PlistError::TooMany)?;
        Ok(())
    }

    fn fits(&self, objects: usize) -> Result<(), PlistError> {
        if objects > self.objects { Err(PlistError::TooMany) } else { Ok(()) }
    }

    fn bytes(&mut self, bytes: usize) -> Result<(), PlistError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(PlistError::TooLarge)?;
        Ok(())
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], PlistError> {
    bytes.try_into().map_err(|_| malformed("an object is cut off"))
}

/// One, two and four bytes are unsigned, eight are signed, sixteen hold what does not fit there.
fn integer(bytes: &[u8]) -> i128 {
    let value = bytes.iter().fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
    match bytes.len() {
        8 => i128::from(big_endian(bytes).cast_signed()),
        _ => value.cast_signed(),
    }
}

/// Splits off the content of an object whose length is in the marker or in an integer behind it.
fn sized(low: u8, rest: &[u8], unit: usize) -> Result<(&[u8], &[u8]), PlistError> {
    let cut = || malformed("an object is cut off");
    let (count, rest) = if low < 0x0f {
        (u64::from(low), rest)
    } else {
        let (marker, rest) = rest.split_first().ok_or_else(cut)?;
        let width = match marker {
            0x10..=0x13 => 1_usize << (marker & 0x0f),
            _ => return Err(malformed("a length is not a number")),
        };
        (big_endian(rest.get(..width).ok_or_else(cut)?), rest.get(width..).ok_or_else(cut)?)
    };
    let length = index(count)?.checked_mul(unit).ok_or_else(cut)?;
    if length > rest.len() {
        return Err(cut());
    }
    Ok(rest.split_at(length))
}

fn date(seconds: f64) -> Result<SystemTime, PlistError> {
    let wrong = malformed("a date is out of range");
    if !DATE_RANGE.contains(&seconds) {
        return Err(wrong);
    }
    let distance = Duration::try_from_secs_f64(seconds.abs())
        .map_err(|_| malformed("a date is out of range"))?;
    let epoch = SystemTime::UNIX_EPOCH + EPOCH;
    let time =
        if seconds < 0.0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    time.ok_or(wrong)
}

/// Writes small binary property lists, object by object (fewer than 256 of them).
#[derive(Default)]
pub(crate) struct Writer {
    body: Vec<u8>,
    offsets: Vec<u16>,
}

/// The index of an object in a [`Writer`].
pub(crate) type Index = u8;

impl Writer {
    pub(crate) fn new() -> Self {
        Self { body: b"bplist00".to_vec(), offsets: Vec::with_capacity(40) }
    }

    fn start(&mut self) -> Index {
        let index =
            Index::try_from(self.offsets.len()).expect("an archive of one file has few objects");
        self.offsets.push(u16::try_from(self.body.len()).unwrap_or(u16::MAX));
        index
    }

    fn marker(&mut self, kind: u8, length: usize) {
        if length < 15 {
            self.body.push((kind << 4) | u8::try_from(length).unwrap_or(0));
            return;
        }
        self.body.push((kind << 4) | 0x0f);
        if let Ok(length) = u8::try_from(length) {
            self.body.extend([0x10, length]);
        } else {
            self.body.push(0x11);
            self.body.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }

    pub(crate) fn integer(&mut self, value: i64) -> Index {
        let index = self.start();
        if let Ok(value) = u8::try_from(value) {
            self.body.extend([0x10, value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.body.push(0x11);
            self.body.extend(value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.body.push(0x12);
            self.body.extend(value.to_be_bytes());
        } else {
            self.body.push(0x13);
            self.body.extend(value.to_be_bytes());
        }
        index
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> Index {
        let index = self.start();
        self.marker(4, bytes.len());
        self.body.extend(bytes);
        index
    }

    pub(crate) fn string(&mut self, text: &str) -> Index {
        let index = self.start();
        if text.is_ascii() {
            self.marker(5, text.len());
            self.body.extend(text.as_bytes());
        } else {
            self.marker(6, text.encode_utf16().count());
            self.body.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        }
        index
    }

    pub(crate) fn uid(&mut self, value: u8) -> Index {
        let index = self.start();
        self.body.extend([0x80, value]);
        index
    }

    /// Leaves room for a collection whose members come later.
    pub(crate) fn reserve(&mut self, kind: u8, length: usize) -> (Index, usize) {
        let index = self.start();
        self.marker(kind, length);
        let at = self.body.len();
        let members = if kind == 0x0d { length * 2 } else { length };
        self.body.resize(at + members, 0);
        (index, at)
    }

    pub(crate) fn fill(&mut self, at: usize, members: &[Index]) {
        if let Some(place) = self.body.get_mut(at..at + members.len()) {
            place.copy_from_slice(members);
        }
    }

    /// Appends table and trailer; the first object is the top one.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let table = self.body.len();
        let count = self.offsets.len() as u64;
        let size: u8 = if table > 0xff { 2 } else { 1 };
        for offset in &self.offsets {
            let [high, low] = offset.to_be_bytes();
            if size == 2 {
                self.body.push(high);
            }
            self.body.push(low);
        }
        self.body.extend([0, 0, 0, 0, 0, 0, size, 1]);
        self.body.extend(count.to_be_bytes());
        self.body.extend(0_u64.to_be_bytes());
        self.body.extend((table as u64).to_be_bytes());
        self.body
    }
}

pub(crate) const ARRAY: u8 = 0x0a;
pub(crate) const DICTIONARY: u8 = 0x0d;
