//! A terminal of 80 columns, for a program that talks to a person. `script` of util-linux makes it.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::run::Run;

/// The end of the input, as a person types it at the beginning of a line.
pub const END: &str = "\u{4}";
/// Ctrl-C.
pub const INTERRUPT: &str = "\u{3}";

/// A program at a terminal; it is killed when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: Option<ChildStdin>,
    shown: Receiver<Vec<u8>>,
    screen: Vec<u8>,
    /// How far [`Terminal::until`] has read.
    read: usize,
    deadline: Instant,
}

impl Terminal {
    /// Starts the program under test of a home at a terminal; `TERM` is what it may expect of it, nothing: no colour.
    pub fn start(home: &Home, term: Option<&str>, arguments: &[&str]) -> Self {
        let quoted = arguments.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
        let line = format!(
            "stty cols 80 rows 24; exec '{}' {}",
            home.program(),
            quoted.collect::<Vec<_>>().join(" ")
        );
        #[expect(clippy::disallowed_methods, reason = "tests run programs here and in `run`")]
        let mut command = std::process::Command::new("script");
        command.env_clear().envs(home.variables()).current_dir(home.path());
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        if let Some(term) = term {
            command.env("TERM", term);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("`script` of util-linux makes the terminal of this test: {error}"),
        };
        let keyboard = child.stdin.take();
        let mut stdout = child.stdout.take().expect("piped");
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let deadline = Instant::now() + Duration::from_mins(2);
        Self { child, keyboard, shown, screen: Vec::new(), read: 0, deadline }
    }

    /// Waits until the screen shows `part` behind what was waited for last.
    pub fn until(&mut self, part: &str) {
        loop {
            let unread = self.screen.get(self.read..).unwrap_or_default();
            let found = unread.windows(part.len()).position(|window| window == part.as_bytes());
            if let Some(at) = found {
                self.read += at + part.len();
                return;
            }
            assert!(self.more(), "the terminal never showed {part:?}\n{}", self.screen());
        }
    }

    /// Types; a line ends with `\n`.
    pub fn type_in(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("it is plugged in");
        keyboard.write_all(text.as_bytes()).expect("somebody reads it");
        keyboard.flush().expect("somebody reads it");
    }

    /// What was shown so far, without the carriage returns of a terminal.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen).replace('\r', "")
    }

    /// Waits for the end of the program; all that it wrote counts as its standard output.
    pub fn wait(mut self) -> Run {
        while self.more() {}
        let status = self.child.wait().expect("it can be waited for");
        Run { status: status.code(), stdout: self.screen().into_bytes(), stderr: Vec::new() }
    }

    /// Takes what was shown meanwhile; false at the end.
    fn more(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let Ok(shown) = self.shown.recv_timeout(left) else {
            assert!(!left.is_zero(), "the program did not end in time\n{}", self.screen());
            return false;
        };
        self.screen.extend(shown);
        true
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The end of its terminal ends the program, too.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
