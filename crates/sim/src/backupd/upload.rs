//! Sends payloads: batches of files, in chunks, as they are read.

use std::io::{self, BufReader, Read};

use lifeboat_mobilesync::crypto::{Encrypt, Key};
use lifeboat_wire::devicelink::{FileErrors, PhoneMessage, Status};
use lifeboat_wire::files;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};

use super::BackupdError;
use super::errors;
use super::fail::{MbError, Stop, Underlying, code};
use super::link::failures;
use super::plan::{INCOMPLETE, Plan, Todo};
use super::run::{BATCH, Run};
use crate::disk::Entry;
use crate::fault::Fault;

/// Chunks smaller than this are cut from a buffer.
const SMALL_CHUNK: usize = 8 << 10;

/// How the sending of one file ended.
enum Sent {
    Whole {
        bytes: u64,
        digest: Option<[u8; 20]>,
    },
    /// Reading failed in the middle; the host was told.
    Broken,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Sends everything that is to be sent.
    pub(super) async fn upload(&mut self, plan: &mut Plan) -> Result<(), Stop> {
        let sends = self.announced(plan);
        let total = plan.bytes.max(1);
        let mut done = 0;
        let mut failed = 0;
        for batch in sends.chunks(BATCH) {
            let size = batch
                .iter()
                .filter_map(|at| plan.items.get(*at))
                .map(|item| item.stored)
                .sum::<u64>();
            done += size;
            // Files are four fifths of the time that is foreseen.
            let progress = 10.0 + 80.0 * ratio(done, total);
            failed += self.upload_batch(plan, batch, progress, size).await?;
        }
        failed += self.send_modified(plan).await?;
        self.phone.traffic.update(|job| job.files_failed = failed);
        if failed > 0 {
            let error = MbError::new(code::WRITE, "Multiple errors uploading files");
            return Err(match self.mishaps.underlying.take() {
                Some(underlying) => error.over(underlying),
                None => error,
            }
            .into());
        }
        Ok(())
    }

    /// Returns what is sent; what has vanished meanwhile is never announced, its row says so.
    fn announced(&self, plan: &mut Plan) -> Vec<usize> {
        let mut sends = plan.sends();
        if self.phone.faults.is_on("forgotten") {
            sends.retain(|at| {
                let path = path_of(plan, *at);
                let concerns = |fault: &Fault| fault.concerns("file", &path);
                let forgotten = self.phone.faults.fire_if("forgotten", concerns).is_some();
                if let Some(item) = plan.items.get_mut(*at).filter(|_| forgotten) {
                    item.todo = Todo::Keep;
                }
                !forgotten
            });
        }
        if !self.phone.faults.is_on("vanish") {
            return sends;
        }
        sends.retain(|at| {
            let path = path_of(plan, *at);
            let vanishes = self
                .phone
                .faults
                .fire_if("vanish", |fault| fault.concerns("file", &path))
                .is_some();
            if let Some(item) = plan.items.get_mut(*at).filter(|_| vanishes) {
                item.todo = Todo::Failed;
                item.flags |= INCOMPLETE;
            }
            !vanishes
        });
        sends
    }

    /// Sends one batch; gives back how many of its files failed.
    pub(super) async fn upload_batch(
        &mut self,
        plan: &mut Plan,
        batch: &[usize],
        progress: f64,
        size: u64,
    ) -> Result<u64, Stop> {
        let progress = Some(self.link.forward(progress));
        self.link.send(&PhoneMessage::UploadFiles { progress, size }).await?;
        let mut broken = Vec::new();
        let mut sent = 0;
        for (position, at) in batch.iter().enumerate() {
            self.before_file(&path_of(plan, *at)).await?;
            if self.mishaps.cancelled() {
                break;
            }
            if !self.upload_item(plan, *at, position == 0).await? {
                broken.push(*at);
            }
            sent += 1;
        }
        let batch = batch.get(..sent).unwrap_or(batch);
        let harmless = self.send_harmless().await?;
        self.link.write(&files::TERMINATOR).await?;
        self.link.flush().await?;
        let answer = self.link.status().await?;
        let mut refused = match answer.status {
            Status::SUCCESS => FileErrors::default(),
            Status::MULTI => failures(&answer),
            _ => {
                let underlying = Underlying::of_answer(&answer, None);
                return Err(MbError::writing("Error uploading files", underlying).into());
            }
        };
        refused.0.retain(|path, _| Some(path) != harmless.as_ref());
        for at in batch {
            let Some(item) = plan.items.get_mut(*at) else { continue };
            if broken.contains(at)
                || refused.0.contains_key(&format!("{}/Snapshot/{}", self.udid, item.id.path()))
            {
                item.todo = Todo::Failed;
            }
        }
        let confirmed = batch
            .iter()
            .filter_map(|at| plan.items.get(*at))
            .filter(|item| item.todo != Todo::Failed);
        // A host names what it refused as it was told, which a bad phone does wrongly.
        let failed = (batch.len() - confirmed.clone().count()).max(refused.0.len());
        let records = confirmed.map(|item| (&item.id, &item.file, item.stored));
        self.cache.confirm(&self.uuid, records)?;
        if refused.0.values().any(|fault| fault.status == Status::NO_SPACE) {
            return Err(MbError::no_space().into());
        }
        if self.mishaps.cancelled() {
            return Err(errors::worded(202, "upload", &self.udid).into());
        }
        Ok(failed as u64)
    }

    /// Sends one file; false when it could not be read to its end.
    async fn upload_item(&mut self, plan: &mut Plan, at: usize, first: bool) -> Result<bool, Stop> {
        let path = path_of(plan, at);
        let Some(item) = plan.items.get_mut(at) else { return Ok(true) };
        let Some(entry) = plan.frozen.entries.get(item.entry) else { return Ok(true) };
        let target = match self.mischievous_path().filter(|_| first) {
            Some(path) => path,
            None => format!("{}/Snapshot/{}", self.udid, item.id.path()),
        };
        let mut head = Vec::with_capacity(256);
        files::encode_upload(&device_path(entry), &target, &mut head);
        self.link.write(&head).await?;
        let breaks = self
            .phone
            .faults
            .fire_if("read-error", |fault| fault.concerns("file", &path))
            .is_some();
        let breaks = breaks || self.mishaps.locked(&device_path(entry));
        let stops = self.truncates();
        let reader = plan.frozen.open(entry);
        let limit = if breaks || stops { entry.size / 2 } else { u64::MAX };
        let digest = entry.digest_wanted;
        let key = self.next_key(entry)?;
        let mut size = 0;
        let sent = match reader {
            Ok(reader) => {
                let plain = Counted { reader: reader.take(limit), count: &mut size };
                // The row of an empty file has a key, whether its payload is a block of padding or not.
                let key = key.as_ref().filter(|_| item.stored > 0).map(|(key, _)| key);
                self.stream_as(plain, key, digest).await?
            }
            Err(error) => {
                tracing::warn!(%error, path, "a file cannot be opened");
                self.broken_end().await?;
                Sent::Broken
            }
        };
        if stops {
            self.link.flush().await?;
            return Err(BackupdError::Dropped.into());
        }
        let (bytes, digest) = match sent {
            Sent::Whole { .. } if breaks => {
                self.broken_end().await?;
                return Ok(false);
            }
            Sent::Broken => return Ok(false),
            Sent::Whole { bytes, digest } => (bytes, digest),
        };
        let mut end = Vec::with_capacity(8);
        files::encode_end(files::SUCCESS, "", &mut end);
        self.link.write(&end).await?;
        item.file.digest = digest.map(|digest| digest.to_vec());
        item.file.encryption_key = key.map(|(_, wrapped)| wrapped);
        (item.file.size, item.stored) = (size, bytes);
        let again = item.todo == Todo::Send { again: true };
        if self.phone.faults.fire_if("modified", |fault| fault.concerns("file", &path)).is_some() {
            self.mishaps.modified.push(at);
        }
        self.phone.traffic.update(|job| {
            job.files_sent += 1;
            job.bytes_sent += bytes;
            job.files_sent_again += u64::from(again);
            job.bytes_sent_again += if again { bytes } else { 0 };
        });
        self.sent_files.extend([
            item.id.to_string().as_str(),
            " ",
            &bytes.to_string(),
            " ",
            &path,
            "\n",
        ]);
        Ok(true)
    }

    /// Returns the key of a file that is sent now, and what its row says of it; nothing when the backup is not encrypted.
    fn next_key(&mut self, entry: &Entry) -> Result<Option<(Key, Vec<u8>)>, Stop> {
        let Some(sealing) = &self.sealing else { return Ok(None) };
        let key = self.keys.next();
        let wrapped = sealing
            .secrets
            .seal(entry.protection_class.into(), &key)
            .map_err(|error| MbError::local(&error))?;
        Ok(Some((key, wrapped.encode())))
    }

    /// Streams a payload as it is, or encrypted on its way.
    async fn stream_as(
        &mut self,
        mut plain: impl Read + Send,
        key: Option<&Key>,
        digest: bool,
    ) -> Result<Sent, Stop> {
        let Some(key) = key else { return self.stream(&mut plain, digest).await };
        self.stream(&mut Encrypt::new(key, plain), digest).await
    }

    /// Streams a payload: each chunk is read right behind its head.
    async fn stream(&mut self, reader: &mut (dyn Read + Send), digest: bool) -> Result<Sent, Stop> {
        let chunk = self.phone.spec.knobs.chunk;
        let mut buffered;
        let reader: &mut (dyn Read + Send) = if chunk < SMALL_CHUNK {
            buffered = BufReader::with_capacity(64 << 10, reader);
            &mut buffered
        } else {
            reader
        };
        let mut hash = digest.then(Sha1::new);
        let mut bytes = 0;
        loop {
            let room = self.link.room(chunk + 5).await?;
            let (head, data) = room.split_at_mut(5);
            let count = match read_full(reader, data) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    tracing::warn!(%error, "a file cannot be read");
                    self.broken_end().await?;
                    return Ok(Sent::Broken);
                }
            };
            head.copy_from_slice(&files::chunk_head(count));
            if let Some(hash) = &mut hash {
                hash.update(data.get(..count).unwrap_or_default());
            }
            self.link.wrote(5 + count);
            bytes += count as u64;
            if count < chunk {
                break;
            }
        }
        Ok(Sent::Whole { bytes, digest: hash.map(|hash| hash.finalize().into()) })
    }

    /// Ends a file that could not be read to its end.
    pub(super) async fn broken_end(&mut self) -> Result<(), BackupdError> {
        let mut end = Vec::with_capacity(32);
        files::encode_end(Status::IO.end_code(), "Input/output error (5)", &mut end);
        self.link.write(&end).await
    }

    /// Sends one control file that is in memory.
    pub(super) async fn upload_control(
        &mut self,
        device: &str,
        host: &str,
        reader: &mut (dyn Read + Send),
        progress: f64,
        size: u64,
    ) -> Result<(), Stop> {
        let progress = Some(self.link.forward(progress));
        self.link.send(&PhoneMessage::UploadFiles { progress, size }).await?;
        let mut part = Vec::with_capacity(256);
        files::encode_upload(device, host, &mut part);
        self.link.write(&part).await?;
        match self.stream(reader, false).await? {
            Sent::Whole { bytes, .. } => {
                part.clear();
                files::encode_end(files::SUCCESS, "", &mut part);
                self.link.write(&part).await?;
                self.phone.traffic.update(|job| {
                    job.control_files_sent += 1;
                    job.control_bytes_sent += bytes;
                });
            }
            Sent::Broken => {}
        }
        self.link.write(&files::TERMINATOR).await?;
        self.link.flush().await?;
        let answer = self.link.status().await?;
        if answer.status.is_ok() {
            return Ok(());
        }
        let refused = failures(&answer).0.remove(host);
        let underlying = match refused {
            Some(fault) => Underlying::of(fault.status, Some(&fault.text), Some(host)),
            None => Underlying::of_answer(&answer, Some(host)),
        };
        let name = host.rsplit('/').next().unwrap_or(host);
        Err(MbError::writing(&format!("Error writing {name}"), underlying).into())
    }
}

/// Counts what is read.
struct Counted<'c, R> {
    reader: R,
    count: &'c mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        *self.count += count as u64;
        Ok(count)
    }
}

/// Percentages need no precision.
#[expect(clippy::cast_precision_loss, reason = "a progress bar is coarser than any float")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

pub(super) fn path_of(plan: &Plan, at: usize) -> String {
    let entry = plan.items.get(at).and_then(|item| plan.entry(item));
    entry.map(|entry| format!("{}/{}", entry.domain, entry.relative_path)).unwrap_or_default()
}

/// Returns the name under which the phone itself sees a file: in its own snapshot of the file system.
fn device_path(entry: &Entry) -> String {
    let Entry { domain, relative_path, .. } = entry;
    match domain.as_str() {
        "HomeDomain" | "CameraRollDomain" | "MediaDomain" | "TonesDomain" => {
            format!("/.ba/mobile/{relative_path}")
        }
        "RootDomain" => format!("/.ba/root/{relative_path}"),
        _ => format!("/.ba/mobile/Containers/{domain}/{relative_path}"),
    }
}

/// Fills `buffer` as far as there is content.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
