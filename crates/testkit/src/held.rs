//! A program that is held at each line that it prints, so that it can be killed between any two of them, always at the same place.
//!
//! Its standard output is a pipe with room for one write: the program goes on when the line before the one that it prints was
//! taken. The pipe is full from the beginning, so that it is held at its first line.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee as copy};

use crate::run::{Run, tee};

/// The longest line that is written as one.
const PAGE: usize = 4096;

/// A program that is held at each line; it is killed when this is dropped.
#[derive(Debug)]
pub struct Held {
    child: Child,
    pipe: File,
    line: String,
    deadline: Instant,
    /// What it has printed and was taken.
    told: Vec<u8>,
    /// What lies in the pipe from the beginning was taken.
    is_begun: bool,
    errors: Option<JoinHandle<Vec<u8>>>,
}

impl Held {
    pub(crate) fn start(
        mut command: Command,
        line: String,
        limit: Duration,
        with_errors: bool,
    ) -> Self {
        let (pipe, full) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC)
            .expect("a pipe that keeps writes apart");
        fcntl_setpipe_size(&full, PAGE).expect("room for one write");
        rustix::io::write(&full, b"\n").expect("it takes one");
        command.stdin(Stdio::null());
        if with_errors {
            let same = full.try_clone().expect("another end of the pipe");
            command.stderr(Stdio::from(same));
        } else {
            command.stderr(Stdio::piped());
        }
        command.stdout(Stdio::from(full));
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start `{line}`: {error}"),
        };
        // Our ends of what the program writes into: its end is seen when they are closed.
        drop(command);
        let errors = child.stderr.take().map(|stderr| tee(stderr).0);
        Self {
            child,
            pipe: File::from(pipe),
            line,
            deadline: Instant::now() + limit,
            told: Vec::new(),
            is_begun: false,
            errors,
        }
    }

    /// Waits until it is held at its next line; false where it has come to its end.
    pub fn is_held(&mut self) -> bool {
        loop {
            if self.child.try_wait().expect("it can be waited for").is_some() {
                return false;
            }
            // Somebody who sleeps in a write, although a line lies there, waits for it to be taken.
            if self.is_full() && self.is_blocked() {
                return true;
            }
            assert!(
                Instant::now() < self.deadline,
                "`{}` did not print its next line in time: {}",
                self.line,
                String::from_utf8_lossy(&self.told)
            );
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn is_full(&self) -> bool {
        rustix::io::ioctl_fionread(self.pipe.as_fd()).expect("a pipe says what lies in it") > 0
    }

    fn is_blocked(&self) -> bool {
        let threads = fs_err::read_dir(format!("/proc/{}/task", self.child.id()));
        threads.into_iter().flatten().flatten().any(|thread| {
            fs_err::read_to_string(thread.path().join("wchan"))
                .is_ok_and(|place| place.ends_with("pipe_write"))
        })
    }

    /// Takes a line, so that the program goes on to the one after the next.
    pub fn pass(&mut self) {
        self.take();
    }

    /// Takes what lies in the pipe; false at its end. What does not fit into a read is lost in such a pipe.
    fn take(&mut self) -> bool {
        let line = taken(&mut self.pipe);
        if std::mem::replace(&mut self.is_begun, true) {
            self.told.extend_from_slice(&line);
        }
        !line.is_empty()
    }

    /// Returns the lines that it has printed, without the one that it is held at.
    pub fn told(&self) -> Vec<String> {
        let mut told = self.told.clone();
        if self.is_begun && self.is_full() {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
            copy(&self.pipe, &writer, PAGE, SpliceFlags::empty()).expect("what lies in a pipe");
            told.extend(taken(&mut File::from(reader)));
        }
        lines(&told)
    }

    /// Returns the number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as `kill -9` does; returns what it had printed, without the line that it was held at.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it can be killed");
        self.collect();
        lines(&self.told)
    }

    /// Lets it go on to its end.
    pub fn wait(mut self) -> Run {
        while self.is_held() {
            self.pass();
        }
        let status = self.collect();
        let stderr = self.errors.take().and_then(|errors| errors.join().ok());
        Run { status, stdout: std::mem::take(&mut self.told), stderr: stderr.unwrap_or_default() }
    }

    fn collect(&mut self) -> Option<i32> {
        let status = self.child.wait().expect("it can be waited for");
        while self.take() {}
        status.code()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Reads once, with more room than a write has.
fn taken(pipe: &mut File) -> Vec<u8> {
    let mut line = vec![0; 2 * PAGE];
    let read = pipe.read(&mut line).expect("a pipe that reads");
    line.truncate(read);
    line
}

fn lines(told: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(told).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::Home;

    #[test]
    fn a_program_is_held_at_each_line_and_killed_before_what_follows_it() {
        let home = Home::new("/bin/sh");
        let long = "x".repeat(3000);
        let script =
            format!("echo one; : >after-one; echo two; : >after-two; echo {long}; : >after-three");
        let script = script.as_str();
        let there = |name: &str| home.path().join(name).exists();
        for (passed, told) in [(0, vec![]), (1, vec!["one"]), (2, vec!["one", "two"])] {
            for name in ["after-one", "after-two", "after-three"] {
                drop(fs_err::remove_file(home.path().join(name)));
            }
            let mut held = home.lifeboat(["-c", script]).hold();
            for _ in 0..passed {
                assert!(held.is_held());
                held.pass();
            }
            assert!(held.is_held());
            assert_eq!(held.told(), told);
            assert_eq!(held.kill(), told);
            assert_eq!((there("after-one"), there("after-two")), (passed > 0, passed > 1));
            assert!(!there("after-three"));
        }
        let run = home.lifeboat(["-c", script]).hold().wait();
        assert_eq!(
            (run.status, run.out().as_str()),
            (Some(0), format!("one\ntwo\n{long}\n").as_str())
        );
        assert!(there("after-three"));
    }
}
