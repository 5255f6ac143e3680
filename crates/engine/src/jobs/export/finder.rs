//! Apple's own folder, byte for byte what the device sent.
//!
//! Files are written by several threads: what was opened is encrypted again on the way, and a file is one stream of its cipher.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::{Export, write_file};
use crate::apple::{self, Form, Sealing, Stored};
use crate::error::{Cause, JobError};
use crate::working_tree::base;

/// How many files wait for a thread that writes them.
const WAITING: usize = 64;

/// A file to write.
struct Task {
    stored: Stored,
    sealing: Option<Sealing>,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    failure: Mutex<Option<JobError>>,
    stop: AtomicBool,
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Shared {
    fn fail(&self, error: JobError) {
        self.stop.store(true, Ordering::Relaxed);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Writes it.
pub(super) fn write(export: &mut Export<'_>) -> Result<(), JobError> {
    for byte in 0..=255u8 {
        export.folder(&format!("{byte:02x}"))?;
    }
    let shared = Shared::default();
    let (send, tasks) = sync_channel(WAITING);
    let tasks = Mutex::new(tasks);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(4);
    let writing = Writing { export, shared: &shared };
    let listed = std::thread::scope(|scope| {
        for number in 0..threads {
            let thread = std::thread::Builder::new().name(format!("export {number}"));
            if let Err(error) = thread.spawn_scoped(scope, || writing.work(&tasks)) {
                shared.fail(JobError::of(Cause::Internal, "cannot start a thread", &error));
            }
        }
        let listed =
            base::for_each_file(export.repository, export.snapshot, export.about, |stored| {
                if shared.stop.load(Ordering::Relaxed) {
                    return Err(JobError::interrupted());
                }
                let sealing = match (stored.form, export.opened) {
                    (Form::AsSent, _) => None,
                    (form, Some(opened)) => opened.resealer.sealing(stored.id().as_ref(), form)?,
                    (_, None) => {
                        return Err(JobError::new(Cause::Internal, "the keys are not there"));
                    }
                };
                // Threads end early only where one has failed.
                send.send(Task { stored, sealing }).map_err(|_| JobError::interrupted())
            });
        drop(send);
        listed
    });
    if let Some(failure) = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    listed?;
    export.meter.files_more(shared.files.into_inner());
    export.meter.bytes_more(shared.bytes.into_inner());
    Ok(())
}

/// What each thread works with.
struct Writing<'a> {
    export: &'a Export<'a>,
    shared: &'a Shared,
}

impl Writing<'_> {
    fn work(&self, tasks: &Mutex<Receiver<Task>>) {
        loop {
            let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(task) = task else { return };
            if self.shared.stop.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = self.write(task) {
                self.shared.fail(error);
            }
        }
    }

    fn write(&self, Task { stored, sealing }: Task) -> Result<(), JobError> {
        let reader = apple::read(self.export.repository, &stored.content, sealing)?;
        let target = self.export.target.join(&stored.path);
        let more = &mut |more| {
            self.shared.bytes.fetch_add(more, Ordering::Relaxed);
        };
        write_file(self.export.ctx, &stored.path, &target, reader, more)?;
        self.shared.files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
