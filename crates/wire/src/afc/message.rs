use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{AfcError, Packet, operation};

macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// Any other number.
            Other(u64),
        }

        impl $name {
            /// Returns the number on the wire.
            pub fn number(self) -> u64 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(number) => number,
                }
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

numbers! {
    /// Outcome of an operation.
    ErrorCode {
        /// Done.
        Ok = 0,
        /// No reason given.
        Unknown = 1,
        /// The header is unusable.
        HeaderInvalid = 2,
        /// Nothing left to do it with.
        NoResources = 3,
        /// Reading failed.
        Read = 4,
        /// Writing failed.
        Write = 5,
        /// The operation is not known.
        UnknownPacket = 6,
        /// An argument is unusable.
        InvalidArgument = 7,
        /// No such file.
        NotFound = 8,
        /// It is a directory.
        IsDirectory = 9,
        /// Not allowed.
        PermissionDenied = 10,
        /// Not connected.
        NotConnected = 11,
        /// Too late.
        Timeout = 12,
        /// More than can be taken.
        TooMuchData = 13,
        /// Nothing more.
        EndOfData = 14,
        /// Not supported.
        NotSupported = 15,
        /// It exists.
        Exists = 16,
        /// In use.
        Busy = 17,
        /// No space.
        NoSpace = 18,
        /// Someone else holds the lock.
        WouldBlock = 19,
        /// Input or output failed.
        Io = 20,
        /// Interrupted.
        Interrupted = 21,
        /// Under way.
        InProgress = 22,
        /// A fault inside.
        Internal = 23,
        /// A fault of the mux.
        Mux = 30,
        /// No memory.
        NoMemory = 31,
        /// Too little data.
        NotEnoughData = 32,
        /// The directory is not empty.
        DirectoryNotEmpty = 33,
    }
}

numbers! {
    /// How a file is opened.
    OpenMode {
        /// Read.
        Read = 1,
        /// Read and write, created when absent.
        ReadWrite = 2,
        /// Write from the beginning.
        Write = 3,
        /// Read and write from the beginning.
        WriteRead = 4,
        /// Append.
        Append = 5,
        /// Read and append.
        AppendRead = 6,
    }
}

numbers! {
    /// What is done with a lock.
    LockOperation {
        /// Share it.
        Shared = 5,
        /// Hold it alone.
        Exclusive = 6,
        /// Give it back.
        Unlock = 12,
    }
}

/// What a client asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Names in a directory, `.` and `..` among them.
    ReadDirectory(String),
    /// Remove a file or an empty directory.
    RemovePath(String),
    /// Make a directory.
    MakeDirectory(String),
    /// Facts about a file.
    FileInfo(String),
    /// Facts about the device.
    DeviceInfo,
    /// Open a file.
    Open {
        /// How.
        mode: OpenMode,
        /// Which.
        path: String,
    },
    /// Read from a file.
    Read {
        /// Which.
        handle: u64,
        /// At most so many bytes.
        length: u64,
    },
    /// Write to a file.
    Write {
        /// Which.
        handle: u64,
        /// What.
        data: Bytes,
    },
    /// Move the position.
    Seek {
        /// In which file.
        handle: u64,
        /// From where: 0 start, 1 position, 2 end.
        whence: u64,
        /// How far.
        offset: i64,
    },
    /// Ask for the position.
    Tell {
        /// In which file.
        handle: u64,
    },
    /// Close a file.
    Close {
        /// Which.
        handle: u64,
    },
    /// Cut or extend a file.
    SetSize {
        /// Which.
        handle: u64,
        /// To this length.
        size: u64,
    },
    /// Rename.
    Rename {
        /// What.
        from: String,
        /// To what.
        to: String,
    },
    /// Lock or unlock a file.
    Lock {
        /// Which.
        handle: u64,
        /// How.
        operation: LockOperation,
    },
    /// Make a link.
    MakeLink {
        /// 1 hard, 2 symbolic.
        kind: u64,
        /// What it points to.
        target: String,
        /// The link.
        name: String,
    },
    /// Set a file's time.
    SetModified {
        /// Nanoseconds since 1970.
        nanoseconds: u64,
        /// Which.
        path: String,
    },
    /// Remove a tree.
    RemoveTree(String),
    /// An operation that is not known.
    Unknown(u64),
}

impl Request {
    /// Reads a request from a packet.
    pub fn from_packet(packet: &Packet) -> Result<Self, AfcError> {
        let mut body = Body { operation: packet.operation, rest: packet.fixed.clone() };
        Ok(match packet.operation {
            operation::READ_DIRECTORY => Self::ReadDirectory(body.path()?),
            operation::REMOVE_PATH => Self::RemovePath(body.path()?),
            operation::MAKE_DIRECTORY => Self::MakeDirectory(body.path()?),
            operation::FILE_INFO => Self::FileInfo(body.path()?),
            operation::DEVICE_INFO => Self::DeviceInfo,
            operation::OPEN => Self::Open { mode: body.number()?.into(), path: body.path()? },
            operation::READ => Self::Read { handle: body.number()?, length: body.number()? },
            operation::WRITE => Self::Write { handle: body.number()?, data: packet.data.clone() },
            operation::SEEK => Self::Seek {
                handle: body.number()?,
                whence: body.number()?,
                offset: body.number()?.cast_signed(),
            },
            operation::TELL => Self::Tell { handle: body.number()? },
            operation::CLOSE => Self::Close { handle: body.number()? },
            operation::SET_SIZE => Self::SetSize { handle: body.number()?, size: body.number()? },
            operation::RENAME => Self::Rename { from: body.path()?, to: body.path()? },
            operation::LOCK => {
                Self::Lock { handle: body.number()?, operation: body.number()?.into() }
            }
            operation::MAKE_LINK => {
                Self::MakeLink { kind: body.number()?, target: body.path()?, name: body.path()? }
            }
            operation::SET_MODIFIED => {
                Self::SetModified { nanoseconds: body.number()?, path: body.path()? }
            }
            operation::REMOVE_TREE => Self::RemoveTree(body.path()?),
            other => Self::Unknown(other),
        })
    }

    /// Makes the packet of this request.
    pub fn to_packet(&self, number: u64) -> Packet {
        let (operation, numbers, paths): (u64, &[u64], &[&str]) = match self {
            Self::ReadDirectory(path) => (operation::READ_DIRECTORY, &[], &[path]),
            Self::RemovePath(path) => (operation::REMOVE_PATH, &[], &[path]),
            Self::MakeDirectory(path) => (operation::MAKE_DIRECTORY, &[], &[path]),
            Self::FileInfo(path) => (operation::FILE_INFO, &[], &[path]),
            Self::DeviceInfo => (operation::DEVICE_INFO, &[], &[]),
            Self::Open { mode, path } => (operation::OPEN, &[mode.number()], &[path]),
            Self::Read { handle, length } => (operation::READ, &[*handle, *length], &[]),
            Self::Write { handle, .. } => (operation::WRITE, &[*handle], &[]),
            Self::Seek { handle, whence, offset } => {
                (operation::SEEK, &[*handle, *whence, offset.cast_unsigned()], &[])
            }
            Self::Tell { handle } => (operation::TELL, &[*handle], &[]),
            Self::Close { handle } => (operation::CLOSE, &[*handle], &[]),
            Self::SetSize { handle, size } => (operation::SET_SIZE, &[*handle, *size], &[]),
            Self::Rename { from, to } => (operation::RENAME, &[], &[from, to]),
            Self::Lock { handle, operation } => {
                (operation::LOCK, &[*handle, operation.number()], &[])
            }
            Self::MakeLink { kind, target, name } => {
                (operation::MAKE_LINK, &[*kind], &[target, name])
            }
            Self::SetModified { nanoseconds, path } => {
                (operation::SET_MODIFIED, &[*nanoseconds], &[path])
            }
            Self::RemoveTree(path) => (operation::REMOVE_TREE, &[], &[path]),
            Self::Unknown(operation) => (*operation, &[], &[]),
        };
        let mut fixed = BytesMut::new();
        for field in numbers {
            fixed.put_u64_le(*field);
        }
        for path in paths {
            fixed.put_slice(path.as_bytes());
            fixed.put_u8(0);
        }
        let data = match self {
            Self::Write { data, .. } => data.clone(),
            _ => Bytes::new(),
        };
        Packet { number, operation, fixed: fixed.freeze(), data }
    }
}

/// What a server answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Outcome.
    Status(ErrorCode),
    /// Content.
    Data(Bytes),
    /// The handle of an opened file.
    Opened(u64),
    /// A position.
    Position(u64),
}

impl Answer {
    /// Makes a data answer of zero-ended strings: names of a directory, or keys and values.
    pub fn strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> Self {
        let mut data = BytesMut::new();
        for string in strings {
            data.put_slice(string.as_bytes());
            data.put_u8(0);
        }
        Self::Data(data.freeze())
    }

    /// Makes the packet of this answer.
    pub fn to_packet(&self, number: u64) -> Packet {
        let (operation, field) = match self {
            Self::Data(data) => {
                return Packet {
                    number,
                    operation: operation::DATA,
                    fixed: Bytes::new(),
                    data: data.clone(),
                };
            }
            Self::Status(code) => (operation::STATUS, code.number()),
            Self::Opened(handle) => (operation::OPEN_RESULT, *handle),
            Self::Position(position) => (operation::TELL_RESULT, *position),
        };
        Packet {
            number,
            operation,
            fixed: Bytes::copy_from_slice(&field.to_le_bytes()),
            data: Bytes::new(),
        }
    }

    /// Reads an answer from a packet.
    pub fn from_packet(packet: &Packet) -> Result<Self, AfcError> {
        let body = packet.body();
        let field = || {
            let mut body = Body { operation: packet.operation, rest: body.clone() };
            body.number()
        };
        Ok(match packet.operation {
            operation::STATUS => Self::Status(field()?.into()),
            operation::OPEN_RESULT => Self::Opened(field()?),
            operation::TELL_RESULT => Self::Position(field()?),
            operation::DATA => Self::Data(body),
            other => return Err(AfcError::Short(other)),
        })
    }
}

struct Body {
    operation: u64,
    rest: Bytes,
}

impl Body {
    fn number(&mut self) -> Result<u64, AfcError> {
        self.rest.try_get_u64_le().map_err(|_| AfcError::Short(self.operation))
    }

    /// Reads a zero-ended path; the last one may lack its zero.
    fn path(&mut self) -> Result<String, AfcError> {
        if self.rest.is_empty() {
            return Err(AfcError::Short(self.operation));
        }
        let end = self.rest.iter().position(|byte| *byte == 0).unwrap_or(self.rest.len());
        let path = self.rest.split_to(end);
        self.rest.advance(self.rest.len().min(1));
        String::from_utf8(path.into()).map_err(|_| AfcError::Path(self.operation))
    }
}
