//! Apple's own folder, byte for byte what the device sent.
//!
//! Files are written by several threads: what was opened is encrypted again on the way, and a file is one stream of its cipher.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::Utf8Path;
use lifeboat_repo::Repository;

use super::{Export, write_file};
use crate::apple::{self, Form, Sealing, Stored};
use crate::error::{Cause, JobError};
use crate::job::Context;
use crate::meter::Meter;
use crate::working_tree::base;

/// How many files wait for a thread that writes them.
const WAITING: usize = 64;

/// A file to write.
struct Task {
    stored: Stored,
    sealing: Option<Sealing>,
}

/// What the threads share.
struct Shared<'a> {
    repository: &'a Repository,
    target: &'a Utf8Path,
    ctx: &'a Context,
    meter: Mutex<&'a mut Meter>,
    failure: Mutex<Option<JobError>>,
    stop: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes it.
pub(super) fn write(export: &mut Export<'_>) -> Result<(), JobError> {
    for byte in 0..=255u8 {
        export.folder(&format!("{byte:02x}"))?;
    }
    let Export { repository, snapshot, about, opened, target, ctx, meter, .. } = export;
    let shared = Shared {
        repository,
        target,
        ctx,
        meter: Mutex::new(meter),
        failure: Mutex::new(None),
        stop: AtomicBool::new(false),
    };
    let (send, tasks) = sync_channel(WAITING);
    let tasks = Arc::new(Mutex::new(tasks));
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(4);
    let listed = std::thread::scope(|scope| {
        for number in 0..threads {
            let thread = std::thread::Builder::new().name(format!("export {number}"));
            let (tasks, shared) = (Arc::clone(&tasks), &shared);
            if let Err(error) = thread.spawn_scoped(scope, move || shared.work(&tasks)) {
                shared.fail(JobError::of(Cause::Internal, "cannot start a thread", &error));
            }
        }
        // Only the threads have it: what is sent fails when all of them have gone.
        drop(tasks);
        let listed = base::for_each_file(repository, snapshot, *about, |stored| {
            if shared.stop.load(Ordering::Relaxed) {
                return Err(JobError::interrupted());
            }
            let sealing = match (stored.form, *opened) {
                (Form::AsSent, _) => None,
                (form, Some(opened)) => opened.resealer.sealing(stored.id().as_ref(), form)?,
                (_, None) => {
                    return Err(JobError::new(Cause::Internal, "the keys are not there"));
                }
            };
            send.send(Task { stored, sealing }).map_err(|_| JobError::interrupted())
        });
        drop(send);
        listed
    });
    match locked(&shared.failure).take() {
        Some(failure) => Err(failure),
        None => listed,
    }
}

impl Shared<'_> {
    fn fail(&self, error: JobError) {
        self.stop.store(true, Ordering::Relaxed);
        locked(&self.failure).get_or_insert(error);
    }

    fn work(&self, tasks: &Mutex<Receiver<Task>>) {
        loop {
            let task = locked(tasks).recv();
            let Ok(task) = task else { return };
            if self.stop.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = self.write(task) {
                self.fail(error);
            }
        }
    }

    fn write(&self, Task { stored, sealing }: Task) -> Result<(), JobError> {
        let reader = apple::read(self.repository, &stored.content, sealing)?;
        let target = self.target.join(&stored.path);
        let more = &mut |more| locked(&self.meter).bytes_more(more);
        write_file(self.ctx, &stored.path, &target, reader, more)?;
        locked(&self.meter).files_more(1);
        Ok(())
    }
}
