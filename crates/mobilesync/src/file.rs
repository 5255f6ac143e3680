//! What a backup is made of: file IDs, and the records that describe files.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use sha1::{Digest as _, Sha1};
use thiserror::Error;

use crate::bplist::{self, Bplist, Object, Refs};
use crate::property_list::PlistError;

/// The name of a payload: the SHA-1 of `domain-relativePath`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId([u8; 20]);

/// A text that is not a file ID.
#[derive(Debug, Error)]
#[error("a file ID is 40 hexadecimal digits")]
pub struct FileIdError;

impl FileId {
    /// Returns the ID of the file at `relative_path` in `domain`; a domain's root has an empty path.
    pub fn of(domain: &str, relative_path: &str) -> Self {
        let mut hash = Sha1::new();
        hash.update(domain.as_bytes());
        hash.update(b"-");
        hash.update(relative_path.as_bytes());
        Self(hash.finalize().into())
    }

    /// Returns the ID with these bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns the folder that holds the payload: the first two digits.
    pub fn prefix(&self) -> String {
        let [first, ..] = self.0;
        hex::encode([first])
    }

    /// Returns the payload's path in a backup folder, `hh/<id>`.
    pub fn path(&self) -> String {
        format!("{}/{self}", self.prefix())
    }
}

impl FromStr for FileId {
    type Err = FileIdError;

    /// Accepts upper case too: copies made on other file systems have it.
    fn from_str(text: &str) -> Result<Self, FileIdError> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| FileIdError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 40];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        formatter.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Says whether a relative path stays inside the folder it is joined to.
///
/// A backslash is a letter like any other on the device; who writes to a file system that takes it for a separator has to
/// replace it.
pub fn is_confined(relative_path: &str) -> bool {
    !relative_path.contains('\0')
        && (relative_path.is_empty()
            || relative_path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."))
}

/// Returns the path of the folder that holds `relative_path`; a domain's root has none.
pub fn parent(relative_path: &str) -> Option<&str> {
    if relative_path.is_empty() {
        return None;
    }
    Some(relative_path.rsplit_once('/').map_or("", |(parent, _)| parent))
}

/// What a row of the manifest stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file: the only kind with a payload.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl EntryKind {
    /// Returns the kind that the `flags` column names, if it names one.
    pub const fn from_flags(flags: u32) -> Option<Self> {
        match flags & 7 {
            1 => Some(Self::File),
            2 => Some(Self::Directory),
            4 => Some(Self::Symlink),
            _ => None,
        }
    }

    /// Returns the kind that the type bits of a mode name, if they name one.
    pub const fn from_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 => Some(Self::File),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            _ => None,
        }
    }

    /// Returns the value of the `flags` column.
    pub const fn flags(self) -> u32 {
        match self {
            Self::File => 1,
            Self::Directory => 2,
            Self::Symlink => 4,
        }
    }
}

/// Why a record of a file was refused.
#[derive(Debug, Error)]
pub enum MbFileError {
    /// The record is larger than any real one could be.
    #[error("the record has {0} bytes")]
    TooLarge(usize),
    /// It is no readable property list.
    #[error("the record is no property list")]
    Plist(#[from] PlistError),
    /// It is no archive of one file.
    #[error("the record is not an archive of a file: {0}")]
    Archive(&'static str),
}

/// What a device tells about one file, directory or link (`MBFile`, archived by `NSKeyedArchiver`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MbFile {
    /// The path inside its domain; empty for the domain's root.
    pub relative_path: String,
    /// Type and permissions.
    pub mode: u32,
    /// Logical size; unreliable for databases, which are copied on their way.
    pub size: u64,
    /// The file's number on the device: the same number means a hard link.
    pub inode: u64,
    /// Owner.
    pub uid: i32,
    /// Group.
    pub gid: i32,
    /// Last change of the content, in seconds since 1970.
    pub modified: i64,
    /// Last change of the metadata, in seconds since 1970.
    pub changed: i64,
    /// Creation, in seconds since 1970.
    pub birth: i64,
    /// Data Protection class.
    pub protection_class: u8,
    /// BSD file flags.
    pub flags: u32,
    /// Where a symbolic link leads.
    pub target: Option<String>,
    /// SHA-1 (20 bytes) or SHA-256 (32 bytes) of the payload as stored.
    pub digest: Option<Vec<u8>>,
    /// In an encrypted backup: class and wrapped key, 44 bytes.
    pub encryption_key: Option<Vec<u8>>,
    /// Extended attributes: a property list inside the property list, left as it is.
    pub extended_attributes: Option<Vec<u8>>,
}

/// The largest record that is looked at; real ones stay under 2 KiB, and attributes under 2 KiB more.
const LARGEST: usize = 256 << 10;

impl MbFile {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, MbFileError> {
        if bytes.len() > LARGEST {
            return Err(MbFileError::TooLarge(bytes.len()));
        }
        let archive = Archive::open(bytes)?;
        let root = archive.root()?;
        let number = |key| archive.integer(&root, key);
        Ok(Self {
            relative_path: archive.string(&root, "RelativePath")?.unwrap_or_default(),
            mode: unsigned(number("Mode")?)?,
            size: unsigned(number("Size")?)?,
            inode: unsigned(number("InodeNumber")?)?,
            uid: owner(number("UserID")?)?,
            gid: owner(number("GroupID")?)?,
            modified: unsigned(number("LastModified")?)?,
            changed: unsigned(number("LastStatusChange")?)?,
            birth: unsigned(number("Birth")?)?,
            protection_class: unsigned(number("ProtectionClass")?)?,
            flags: unsigned(number("Flags")?)?,
            target: archive.string(&root, "Target")?,
            digest: archive.data(&root, "Digest")?,
            encryption_key: archive.data(&root, "EncryptionKey")?,
            extended_attributes: archive.data(&root, "ExtendedAttributes")?,
        })
    }

    /// Writes the record: the same file gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        Encoder::encode(self)
    }

    /// Returns what the mode says this is.
    pub const fn kind(&self) -> Option<EntryKind> {
        EntryKind::from_mode(self.mode)
    }
}

fn unsigned<T: TryFrom<i128>>(value: i128) -> Result<T, MbFileError> {
    T::try_from(value).map_err(|_| MbFileError::Archive("a number is out of range"))
}

/// Owners are signed 32-bit numbers (-2 is nobody), but may be written as unsigned ones.
fn owner(value: i128) -> Result<i32, MbFileError> {
    match u32::try_from(value) {
        Ok(value) => Ok(value.cast_signed()),
        Err(_) => unsigned(value),
    }
}

/// An `NSKeyedArchiver` archive, looked up key by key.
struct Archive<'a> {
    list: Bplist<'a>,
    objects: Refs<'a>,
    top: Object<'a>,
}

/// The keys of a dictionary, with where their values stand: each name is read once, and not for every look.
struct Fields<'a>(Vec<(Cow<'a, str>, u64)>);

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, MbFileError> {
        let list = Bplist::parse(bytes)?;
        let top = list.top()?;
        let Some(Object::Array(objects)) = list.value(&top, "$objects")? else {
            return Err(MbFileError::Archive("$objects is missing"));
        };
        Ok(Self { list, objects, top })
    }

    fn root(&self) -> Result<Fields<'a>, MbFileError> {
        let missing = MbFileError::Archive("the root object is missing");
        let Some(top) = self.list.value(&self.top, "$top")? else { return Err(missing) };
        match self.list.value(&top, "root")? {
            Some(Object::Uid(root)) => match self.follow(root)? {
                root @ Object::Dictionary(..) => Ok(Fields(self.list.fields(&root)?)),
                _ => Err(missing),
            },
            _ => Err(missing),
        }
    }

    fn follow(&self, uid: u64) -> Result<Object<'a>, MbFileError> {
        let index =
            self.objects.get(uid).ok_or(MbFileError::Archive("a reference leads nowhere"))?;
        Ok(self.list.object(index)?)
    }

    /// Returns a value, looked up behind its reference; `$null` counts as absent.
    fn value(&self, of: &Fields<'a>, key: &'static str) -> Result<Option<Object<'a>>, MbFileError> {
        let Some((_, at)) = of.0.iter().find(|(name, _)| name == key) else { return Ok(None) };
        self.behind(Some(self.list.object(*at)?))
    }

    fn behind(&self, value: Option<Object<'a>>) -> Result<Option<Object<'a>>, MbFileError> {
        match value {
            Some(Object::Uid(0)) => Ok(None),
            Some(Object::Uid(uid)) => self.follow(uid).map(Some),
            other => Ok(other),
        }
    }

    fn integer(&self, of: &Fields<'a>, key: &'static str) -> Result<i128, MbFileError> {
        match self.value(of, key)? {
            None => Ok(0),
            Some(Object::Integer(value)) => Ok(value),
            Some(Object::Boolean(value)) => Ok(value.into()),
            Some(_) => Err(MbFileError::Archive("a number is of a wrong type")),
        }
    }

    fn string(&self, of: &Fields<'a>, key: &'static str) -> Result<Option<String>, MbFileError> {
        match self.value(of, key)? {
            None | Some(Object::Null) => Ok(None),
            Some(Object::String(text)) => Ok(Some(text.into_owned())),
            Some(_) => Err(MbFileError::Archive("a string is of a wrong type")),
        }
    }

    /// Data stands in the dictionary itself, behind a reference, or in an archived `NSData`.
    fn data(&self, of: &Fields<'a>, key: &'static str) -> Result<Option<Vec<u8>>, MbFileError> {
        let wrong = || MbFileError::Archive("data is of a wrong type");
        match self.value(of, key)? {
            None | Some(Object::Null) => Ok(None),
            Some(Object::Data(bytes)) => Ok(Some(bytes.to_vec())),
            Some(boxed @ Object::Dictionary(..)) => {
                match self.behind(self.list.value(&boxed, "NS.data")?)? {
                    Some(Object::Data(bytes)) => Ok(Some(bytes.to_vec())),
                    _ => Err(wrong()),
                }
            }
            Some(_) => Err(wrong()),
        }
    }
}

/// Writes an archive in the order in which `NSKeyedArchiver` meets its objects.
struct Encoder {
    out: bplist::Writer,
    /// Where the list of objects stands, and the objects so far.
    objects: Vec<bplist::Index>,
}

impl Encoder {
    fn encode(file: &MbFile) -> Vec<u8> {
        let mut out = bplist::Writer::new();
        let (_, top) = out.reserve(bplist::DICTIONARY, 4);
        let keys = ["$version", "$archiver", "$top", "$objects"].map(|key| out.string(key));
        let version = out.integer(100_000);
        let archiver = out.string("NSKeyedArchiver");
        let (roots, at) = out.reserve(bplist::DICTIONARY, 1);
        let members = [out.string("root"), out.uid(1)];
        out.fill(at, &members);
        let count = 4
            + usize::from(file.digest.is_some())
            + usize::from(file.target.is_some())
            + usize::from(file.extended_attributes.is_some())
            + 2 * usize::from(file.encryption_key.is_some());
        let (list, list_at) = out.reserve(bplist::ARRAY, count);
        out.fill(top, &[keys.as_slice(), &[version, archiver, roots, list]].concat());
        let mut encoder = Self { out, objects: Vec::with_capacity(count) };
        encoder.file(file);
        let Self { mut out, objects } = encoder;
        out.fill(list_at, &objects);
        out.finish()
    }

    fn push(&mut self, object: bplist::Index) {
        self.objects.push(object);
    }

    fn file(&mut self, file: &MbFile) {
        let null = self.out.string("$null");
        self.push(null);
        let numbers = [
            ("LastModified", file.modified),
            ("Flags", i64::from(file.flags)),
            ("GroupID", i64::from(file.gid)),
            ("LastStatusChange", file.changed),
            ("Birth", file.birth),
            ("Size", i64::try_from(file.size).unwrap_or(i64::MAX)),
            ("InodeNumber", i64::try_from(file.inode).unwrap_or(i64::MAX)),
            ("Mode", i64::from(file.mode)),
            ("UserID", i64::from(file.uid)),
            ("ProtectionClass", i64::from(file.protection_class)),
        ];
        let references = Self::references(file);
        let (root, at) = self.out.reserve(bplist::DICTIONARY, numbers.len() + references.len());
        self.push(root);
        let mut keys = Vec::with_capacity(16);
        let mut values = Vec::with_capacity(16);
        for (key, value) in numbers {
            keys.push(self.out.string(key));
            values.push(self.out.integer(value));
        }
        for (key, uid) in references {
            keys.push(self.out.string(key));
            values.push(self.out.uid(uid));
        }
        self.out.fill(at, &[keys, values].concat());
        self.referenced(file);
    }

    /// Which object numbers the referenced values will get.
    fn references(file: &MbFile) -> Vec<(&'static str, u8)> {
        let mut next = 2;
        let mut take = |count: u8| {
            next += count;
            next - count
        };
        let mut references = vec![("RelativePath", take(1))];
        if file.digest.is_some() {
            references.push(("Digest", take(1)));
        }
        if file.target.is_some() {
            references.push(("Target", take(1)));
        }
        if file.encryption_key.is_some() {
            references.push(("EncryptionKey", take(2)));
        }
        if file.extended_attributes.is_some() {
            references.push(("ExtendedAttributes", take(1)));
        }
        references.push(("$class", take(1)));
        references
    }

    fn referenced(&mut self, file: &MbFile) {
        let path = self.out.string(&file.relative_path);
        self.push(path);
        if let Some(digest) = &file.digest {
            let digest = self.out.data(digest);
            self.push(digest);
        }
        if let Some(target) = &file.target {
            let target = self.out.string(target);
            self.push(target);
        }
        if let Some(key) = &file.encryption_key {
            let class = u8::try_from(self.objects.len() + 1).unwrap_or(0);
            let (boxed, at) = self.out.reserve(bplist::DICTIONARY, 2);
            let members = [
                self.out.string("NS.data"),
                self.out.string("$class"),
                self.out.data(key),
                self.out.uid(class),
            ];
            self.out.fill(at, &members);
            self.push(boxed);
            self.class("NSMutableData", &["NSMutableData", "NSData", "NSObject"]);
        }
        if let Some(attributes) = &file.extended_attributes {
            let attributes = self.out.data(attributes);
            self.push(attributes);
        }
        self.class("MBFile", &["MBFile", "NSObject"]);
    }

    fn class(&mut self, name: &str, chain: &[&str]) {
        let (class, at) = self.out.reserve(bplist::DICTIONARY, 2);
        let keys = [self.out.string("$classname"), self.out.string("$classes")];
        let own = self.out.string(name);
        let (classes, classes_at) = self.out.reserve(bplist::ARRAY, chain.len());
        let members: Vec<_> = chain
            .iter()
            .map(|link| if *link == name { own } else { self.out.string(link) })
            .collect();
        self.out.fill(classes_at, &members);
        self.out.fill(at, &[keys[0], keys[1], own, classes]);
        self.push(class);
    }
}

#[cfg(test)]
mod tests;
