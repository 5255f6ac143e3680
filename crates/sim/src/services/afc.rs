//! AFC: the media folder, and the lock that keeps two computers from syncing at once
//! (docs/protocol.md, AFC).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use lifeboat_wire::afc::{
    Answer, Decoder, ErrorCode, LockOperation, OpenMode, PACKET_LIMIT, Request,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ServiceError;
use crate::disk::{AfcError, AfcStat, Kind};
use crate::phone::{Phone, lock};

/// The most bytes one answer to a read carries.
const READ_LIMIT: u64 = 4 << 20;

/// Block size the phone tells.
const BLOCK: u64 = 4096;

/// Answers until the host closes; what it held open or locked is free again then.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    stream: &mut S,
) -> Result<(), ServiceError> {
    let mut client = Client::new(phone);
    let mut decoder = Decoder::new(PACKET_LIMIT);
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    loop {
        while let Some(packet) = decoder.next()? {
            let answer = match Request::from_packet(&packet) {
                Ok(request) => client.answer(request),
                Err(_) => Answer::Status(ErrorCode::InvalidArgument),
            };
            stream.write_all(&answer.to_packet(packet.number).encode()).await?;
            stream.flush().await?;
        }
        buffer.clear();
        match stream.read_buf(&mut buffer).await {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(_) => decoder.push(&buffer),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The locks on files, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    next_client: AtomicU64,
    held: Mutex<BTreeMap<String, Vec<Held>>>,
}

/// One lock on one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    client: u64,
    handle: u64,
    exclusive: bool,
}

impl Locks {
    /// Locks a file as `flock` does, without waiting.
    fn acquire(&self, path: &str, wanted: Held) -> Result<(), ErrorCode> {
        let mut held = lock(&self.held);
        let holders = held.entry(path.to_owned()).or_default();
        let others = |held: &&Held| (held.client, held.handle) != (wanted.client, wanted.handle);
        if holders.iter().filter(others).any(|other| other.exclusive || wanted.exclusive) {
            return Err(ErrorCode::WouldBlock);
        }
        holders.retain(|held| others(&held));
        holders.push(wanted);
        Ok(())
    }

    fn release(&self, concerns: impl Fn(&Held) -> bool) {
        let mut held = lock(&self.held);
        for holders in held.values_mut() {
            holders.retain(|held| !concerns(held));
        }
        held.retain(|_, holders| !holders.is_empty());
    }
}

/// A file that is open.
struct Open {
    path: String,
    position: u64,
    mode: OpenMode,
}

/// One connection.
struct Client<'a> {
    phone: &'a Phone,
    id: u64,
    next_handle: u64,
    open: BTreeMap<u64, Open>,
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.phone.afc.release(|held| held.client == self.id);
    }
}

type Outcome = Result<Answer, ErrorCode>;

/// The answer to what simply worked.
const DONE: Outcome = Ok(Answer::Status(ErrorCode::Ok));

impl<'a> Client<'a> {
    fn new(phone: &'a Phone) -> Self {
        let id = phone.afc.next_client.fetch_add(1, Ordering::Relaxed);
        Self { phone, id, next_handle: 1, open: BTreeMap::new() }
    }

    fn answer(&mut self, request: Request) -> Answer {
        let outcome = self.obey(request);
        outcome.unwrap_or_else(Answer::Status)
    }

    fn obey(&mut self, request: Request) -> Outcome {
        let now = self.phone.host_now();
        match request {
            Request::ReadDirectory(path) => self.list(&path),
            Request::FileInfo(path) => self.info(&path),
            Request::DeviceInfo => Ok(self.device_info()),
            Request::Open { mode, path } => self.open(mode, path),
            Request::Read { handle, length } => self.read(handle, length),
            Request::Write { handle, data } => self.write(handle, &data),
            Request::Seek { handle, whence, offset } => self.seek(handle, whence, offset),
            Request::Tell { handle } => Ok(Answer::Position(self.handle(handle)?.position)),
            Request::Close { handle } => self.close(handle),
            Request::Lock { handle, operation } => self.lock(handle, operation),
            Request::SetSize { handle, size } => {
                let path = self.handle(handle)?.path.clone();
                done(self.phone.disk().afc_set_size(&path, size))
            }
            Request::RemovePath(path) => done(self.phone.disk().afc_remove(&path, false)),
            Request::RemoveTree(path) => done(self.phone.disk().afc_remove(&path, true)),
            Request::MakeDirectory(path) => done(self.phone.disk().afc_make_directory(&path, now)),
            Request::Rename { from, to } => done(self.phone.disk().afc_rename(&from, &to)),
            Request::MakeLink { target, name, .. } => {
                done(self.phone.disk().afc_link(&target, &name, now))
            }
            Request::SetModified { nanoseconds, path } => {
                let time = i64::try_from(nanoseconds).map_err(|_| ErrorCode::InvalidArgument)?;
                done(self.phone.disk().afc_set_modified(&path, time))
            }
            Request::Unknown(_) => Err(ErrorCode::NotSupported),
        }
    }

    fn list(&self, path: &str) -> Outcome {
        let names = self.phone.disk().afc_list(path).map_err(|error| code(&error))?;
        let special = [".", ".."].into_iter();
        Ok(Answer::strings(special.chain(names.iter().map(String::as_str))))
    }

    fn info(&self, path: &str) -> Outcome {
        let AfcStat { kind, size, modified, birth, links, target } =
            self.phone.disk().afc_stat(path).map_err(|error| code(&error))?;
        let format = match kind {
            Kind::File => "S_IFREG",
            Kind::Directory => "S_IFDIR",
            Kind::Symlink => "S_IFLNK",
        };
        let mut pairs = vec![
            ("st_size", size.to_string()),
            ("st_blocks", size.div_ceil(512).to_string()),
            ("st_nlink", links.to_string()),
            ("st_ifmt", format.to_owned()),
            ("st_mtime", modified.to_string()),
            ("st_birthtime", birth.to_string()),
        ];
        if let Some(target) = target {
            pairs.push(("LinkTarget", target));
        }
        Ok(Answer::strings(pairs.iter().flat_map(|(key, value)| [*key, value.as_str()])))
    }

    fn device_info(&self) -> Answer {
        let space = self.phone.space();
        Answer::strings([
            "Model",
            self.phone.identity.model.product_type,
            "FSTotalBytes",
            &space.total.to_string(),
            "FSFreeBytes",
            &space.free.to_string(),
            "FSBlockSize",
            &BLOCK.to_string(),
        ])
    }

    fn open(&mut self, mode: OpenMode, path: String) -> Outcome {
        let now = self.phone.host_now();
        let mut disk = self.phone.disk();
        let existing = disk.afc_stat(&path).ok();
        if existing.as_ref().is_some_and(|stat| stat.kind == Kind::Directory) {
            return Err(ErrorCode::IsDirectory);
        }
        match mode {
            OpenMode::Read if existing.is_none() => return Err(ErrorCode::NotFound),
            OpenMode::Read => {}
            OpenMode::ReadWrite if existing.is_some() => {}
            OpenMode::ReadWrite | OpenMode::Append | OpenMode::AppendRead => {
                disk.afc_create(&path, false, now).map_err(|error| code(&error))?;
            }
            OpenMode::Write | OpenMode::WriteRead => {
                disk.afc_create(&path, true, now).map_err(|error| code(&error))?;
            }
            OpenMode::Other(_) => return Err(ErrorCode::InvalidArgument),
        }
        drop(disk);
        let handle = self.next_handle;
        self.next_handle += 1;
        self.open.insert(handle, Open { path, position: 0, mode });
        Ok(Answer::Opened(handle))
    }

    fn handle(&mut self, handle: u64) -> Result<&mut Open, ErrorCode> {
        self.open.get_mut(&handle).ok_or(ErrorCode::InvalidArgument)
    }

    fn read(&mut self, handle: u64, length: u64) -> Outcome {
        let phone = self.phone;
        let open = self.handle(handle)?;
        let length = usize::try_from(length.min(READ_LIMIT)).map_err(|_| ErrorCode::NoMemory)?;
        let mut data = vec![0; length];
        let mut filled = 0;
        let disk = phone.disk();
        while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let read =
                disk.afc_read(&open.path, open.position, rest).map_err(|error| code(&error))?;
            if read == 0 {
                break;
            }
            filled += read;
            open.position += read as u64;
        }
        data.truncate(filled);
        Ok(Answer::Data(Bytes::from(data)))
    }

    fn write(&mut self, handle: u64, data: &[u8]) -> Outcome {
        let phone = self.phone;
        let open = self.handle(handle)?;
        if open.mode == OpenMode::Read {
            return Err(ErrorCode::PermissionDenied);
        }
        let mut disk = phone.disk();
        if matches!(open.mode, OpenMode::Append | OpenMode::AppendRead) {
            open.position = disk.afc_stat(&open.path).map_err(|error| code(&error))?.size;
        }
        disk.afc_write(&open.path, open.position, data, phone.host_now())
            .map_err(|error| code(&error))?;
        open.position += data.len() as u64;
        DONE
    }

    fn seek(&mut self, handle: u64, whence: u64, offset: i64) -> Outcome {
        let phone = self.phone;
        let open = self.handle(handle)?;
        let from = match whence {
            0 => 0,
            1 => open.position,
            2 => phone.disk().afc_stat(&open.path).map_err(|error| code(&error))?.size,
            _ => return Err(ErrorCode::InvalidArgument),
        };
        open.position = from.checked_add_signed(offset).ok_or(ErrorCode::InvalidArgument)?;
        DONE
    }

    fn close(&mut self, handle: u64) -> Outcome {
        self.open.remove(&handle).ok_or(ErrorCode::InvalidArgument)?;
        let id = self.id;
        self.phone.afc.release(|held| (held.client, held.handle) == (id, handle));
        DONE
    }

    /// The operations are `flock`'s; bit 4 says not to wait, and the phone never waits.
    fn lock(&mut self, handle: u64, operation: LockOperation) -> Outcome {
        const NO_WAIT: u64 = 4;
        let path = self.handle(handle)?.path.trim_matches('/').to_owned();
        let held = |exclusive| Held { client: self.id, handle, exclusive };
        match operation.number() & !NO_WAIT {
            1 => self.phone.afc.acquire(&path, held(false))?,
            2 => self.phone.afc.acquire(&path, held(true))?,
            8 => self.phone.afc.release(|other| (other.client, other.handle) == (self.id, handle)),
            _ => return Err(ErrorCode::InvalidArgument),
        }
        DONE
    }
}

fn done(outcome: Result<(), AfcError>) -> Outcome {
    outcome.map_err(|error| code(&error))?;
    DONE
}

fn code(error: &AfcError) -> ErrorCode {
    match error {
        AfcError::NotFound => ErrorCode::NotFound,
        AfcError::Exists => ErrorCode::Exists,
        AfcError::IsDirectory => ErrorCode::IsDirectory,
        AfcError::NotADirectory => ErrorCode::InvalidArgument,
        AfcError::NotEmpty => ErrorCode::DirectoryNotEmpty,
        AfcError::Denied => ErrorCode::PermissionDenied,
        AfcError::NoSpace => ErrorCode::NoSpace,
        AfcError::Disk(_) => ErrorCode::Io,
    }
}
