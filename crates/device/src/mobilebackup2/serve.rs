use lifeboat_wire::devicelink::{
    EntryKind, FileErrors, Listing, ListingEntry, PhoneMessage, Status, StatusResponse,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    BackupError, DirectoryEntry, DirectoryEntryKind, FileError, HostFailure, HostFiles, HostPath,
    ProtocolError, TransferEvent, TransferStage, session::Session, worker::problem,
};

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Carries one message out and returns the answer, nothing for a message that gets none.
    pub(super) async fn serve(
        &mut self,
        message: PhoneMessage,
    ) -> Result<Option<StatusResponse>, BackupError> {
        let (answer, progress) = match message {
            PhoneMessage::DownloadFiles { paths, progress, .. } => {
                self.reads();
                (self.download(paths).await?, progress)
            }
            PhoneMessage::UploadFiles { progress, size } => {
                self.observer.tell(TransferEvent::Batch { bytes: size });
                (self.upload().await?, progress)
            }
            PhoneMessage::GetFreeDiskSpace => (self.free_space().await?, None),
            PhoneMessage::PurgeDiskSpace { amount, .. } => (self.purge(amount).await?, None),
            PhoneMessage::ContentsOfDirectory { path, progress } => {
                self.reads();
                (self.list(&path).await?, progress)
            }
            PhoneMessage::CreateDirectory { path, progress } => {
                let path = self.path(&path)?;
                let operation =
                    self.operation(path.clone(), move |files| files.create_directory(&path));
                (operation.await?, progress)
            }
            PhoneMessage::MoveItems { items, progress, .. } => {
                self.enter(TransferStage::Moving);
                (self.rename(items).await?, progress)
            }
            PhoneMessage::RemoveItems { paths, progress, .. } => {
                self.enter(TransferStage::Removing);
                (self.remove(paths).await?, progress)
            }
            PhoneMessage::RemoveDirectory { path } => {
                self.enter(TransferStage::Removing);
                (self.remove(vec![path]).await?, None)
            }
            PhoneMessage::CopyItem { from, to, progress, .. } => {
                let (from, to) = (self.path(&from)?, self.path(&to)?);
                let operation = self.operation(from.clone(), move |files| files.copy(&from, &to));
                (operation.await?, progress)
            }
            PhoneMessage::Ping => return Ok(None),
            PhoneMessage::Unknown { name, .. } => {
                self.decline(&name);
                let answer = StatusResponse::error(Status::UNIMPLEMENTED, "Unimplemented");
                (answer, None)
            }
            // The last two do not come here: whoever reads messages takes them.
            other @ (PhoneMessage::VersionExchange { .. }
            | PhoneMessage::DeviceReady
            | PhoneMessage::ProcessMessage(_)
            | PhoneMessage::Disconnect { .. }) => {
                return Err(ProtocolError::Unexpected(other.name().to_owned()).into());
            }
        };
        if let Some(percent) = progress {
            let percent = percent.clamp(0.0, 100.0);
            self.observer.tell(TransferEvent::Progress { percent });
        }
        Ok(Some(answer))
    }

    /// The phone looks at what we have: before it sends, to compare; after it moved, to verify.
    fn reads(&mut self) {
        let stage = match self.stage {
            TransferStage::Moving | TransferStage::Removing | TransferStage::Verifying => {
                TransferStage::Verifying
            }
            _ => TransferStage::Preparing,
        };
        self.enter(stage);
    }

    fn path(&self, path: &str) -> Result<HostPath, BackupError> {
        HostPath::parse_in(path, &self.roots)
            .map_err(|reason| ProtocolError::path(path, reason).into())
    }

    /// Makes one call on the files and answers how it went.
    async fn operation(
        &mut self,
        path: HostPath,
        call: impl FnOnce(&mut dyn HostFiles) -> Result<(), FileError> + Send + 'static,
    ) -> Result<StatusResponse, BackupError> {
        Ok(match self.call(call).await? {
            Ok(()) => StatusResponse::ok(),
            Err(error) => self.failed(&error, path.as_str()),
        })
    }

    async fn free_space(&mut self) -> Result<StatusResponse, BackupError> {
        Ok(match self.call(|files| files.free_bytes()).await? {
            Ok(bytes) => StatusResponse::bytes(bytes),
            Err(error) => self.failed(&error, ""),
        })
    }

    async fn purge(&mut self, wanted: u64) -> Result<StatusResponse, BackupError> {
        let purged = self.call(move |files| files.purge(wanted)).await?;
        let freed = *purged.as_ref().unwrap_or(&0);
        self.observer.tell(TransferEvent::Purged { wanted, freed });
        Ok(match purged {
            Ok(freed) => StatusResponse::bytes(freed),
            // The number is always -1 here; the phone goes on by itself and may end with "no space".
            Err(error) => StatusResponse::error(Status::GENERIC, error.phone_text()),
        })
    }

    async fn list(&mut self, path: &str) -> Result<StatusResponse, BackupError> {
        let checked = self.path(path)?;
        let listed = self.call(move |files| files.list(&checked)).await?;
        Ok(match listed {
            Ok(entries) => StatusResponse::listing(&listing(entries)),
            Err(error) => self.failed(&error, path),
        })
    }

    async fn rename(
        &mut self,
        items: Vec<(String, String)>,
    ) -> Result<StatusResponse, BackupError> {
        let mut checked = Vec::with_capacity(items.len());
        for (from, to) in items {
            checked.push((self.path(&from)?, self.path(&to)?));
        }
        let rename = |files: &mut dyn HostFiles, (from, to): &(HostPath, HostPath)| {
            files.rename(from, to).map_err(|error| (from.clone(), error))
        };
        self.each(checked, rename).await
    }

    async fn remove(&mut self, paths: Vec<String>) -> Result<StatusResponse, BackupError> {
        let mut checked = Vec::with_capacity(paths.len());
        for path in paths {
            checked.push(self.path(&path)?);
        }
        let remove = |files: &mut dyn HostFiles, path: &HostPath| match files.remove(path) {
            // What is gone already is what was wanted.
            Ok(()) | Err(FileError::NotFound) => Ok(()),
            Err(error) => Err((path.clone(), error)),
        };
        self.each(checked, remove).await
    }

    /// Makes one call for each item and answers what failed, by path.
    async fn each<T: Send + 'static>(
        &mut self,
        items: Vec<T>,
        call: impl Fn(&mut dyn HostFiles, &T) -> Result<(), (HostPath, FileError)> + Send + 'static,
    ) -> Result<StatusResponse, BackupError> {
        let calls = move |files: &mut dyn HostFiles| {
            let mut failed = Vec::new();
            for item in &items {
                failed.extend(call(files, item).err());
            }
            failed
        };
        let mut errors = FileErrors::default();
        for (path, error) in self.call(calls).await? {
            let answer = self.failed(&error, path.as_str());
            errors.insert(path.as_str(), answer.status, error.phone_text());
        }
        Ok(StatusResponse::multi(&errors))
    }

    /// Notes a failure of our own files and returns the answer. What is absent, exists or is not supported is an answer, not
    /// a failure.
    fn failed(&mut self, error: &FileError, path: &str) -> StatusResponse {
        if !matches!(error, FileError::NotFound | FileError::Exists | FileError::Unsupported) {
            let problem = problem(error, path, "");
            self.observer.tell(TransferEvent::FileError(&problem));
            self.reply.problems.push(problem);
            self.note_failure(HostFailure::new(error, path));
        }
        StatusResponse::error(error.status(), error.phone_text())
    }
}

fn listing(entries: Vec<DirectoryEntry>) -> Listing {
    let entry = |entry: DirectoryEntry| {
        let kind = match entry.kind {
            DirectoryEntryKind::File => EntryKind::Regular,
            DirectoryEntryKind::Directory => EntryKind::Directory,
            DirectoryEntryKind::Other => EntryKind::Unknown,
        };
        let value = ListingEntry { kind, size: entry.size, modified: entry.modified };
        (entry.name, value)
    };
    Listing(entries.into_iter().map(entry).collect())
}
