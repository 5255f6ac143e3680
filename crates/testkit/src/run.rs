//! Programs with a time limit and an empty environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camino::Utf8Path;

/// A program about to be run.
#[derive(Debug)]
pub struct Invocation {
    command: std::process::Command,
    line: String,
    limit: Duration,
    stdin: Option<Vec<u8>>,
}

impl Invocation {
    pub(crate) fn new(
        program: &str,
        variables: &BTreeMap<String, String>,
        folder: &Utf8Path,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests run programs here and nowhere else")]
        let mut command = std::process::Command::new(program);
        command.env_clear().envs(variables).current_dir(folder);
        Self { command, line: program.to_owned(), limit: Duration::from_mins(2), stdin: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.command.arg(argument.as_ref());
        self.line.push(' ');
        self.line.push_str(argument.as_ref());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<str>>(self, arguments: impl IntoIterator<Item = S>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the folder it runs in.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Utf8Path>) -> Self {
        self.command.current_dir(folder.as_ref());
        self
    }

    /// Sets the time limit; without it two minutes.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets what it reads from standard input; without it nothing.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Run {
        self.start().wait()
    }

    /// Runs it and panics unless it ends with 0.
    pub fn ok(self) -> Run {
        let line = self.line.clone();
        let run = self.run();
        assert!(run.status == Some(0), "`{line}` did not succeed\n{run}");
        run
    }

    /// Starts it, and holds it at each line of its standard output.
    #[cfg(target_os = "linux")]
    pub fn hold(self) -> crate::Held {
        crate::Held::start(self.command, self.line, self.limit, false)
    }

    /// Starts it, and holds it at each line of its standard output and of its standard error, which are one then.
    #[cfg(target_os = "linux")]
    pub fn hold_everywhere(self) -> crate::Held {
        crate::Held::start(self.command, self.line, self.limit, true)
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        self.command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start `{}`: {error}", self.line),
        };
        if let (Some(bytes), Some(mut stdin)) = (self.stdin, child.stdin.take()) {
            std::thread::spawn(move || {
                // The program may end without having read everything.
                let _written = stdin.write_all(&bytes);
            });
        }
        let (stdout, lines) = tee(child.stdout.take().expect("piped"));
        let (stderr, error_lines) = tee(child.stderr.take().expect("piped"));
        Running {
            child: Some(child),
            line: self.line,
            deadline: Instant::now() + self.limit,
            stdout: Some(stdout),
            stderr: Some(stderr),
            lines,
            error_lines,
        }
    }
}

/// Collects what a program prints, and passes its lines on while they come.
pub(crate) fn tee(stream: impl Read + Send + 'static) -> (JoinHandle<Vec<u8>>, Receiver<String>) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut stream = BufReader::new(stream);
        loop {
            let before = all.len();
            match stream.read_until(b'\n', &mut all) {
                Ok(0) | Err(_) => return all,
                Ok(_) => {
                    let line =
                        String::from_utf8_lossy(&all[before..]).trim_end_matches('\n').to_owned();
                    // Mostly nobody follows the lines.
                    let _followed = sender.send(line);
                }
            }
        }
    });
    (thread, receiver)
}

/// A program that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    line: String,
    deadline: Instant,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    lines: Receiver<String>,
    error_lines: Receiver<String>,
}

impl Running {
    /// Returns the next line of its standard output; `None` at the end.
    pub fn next_line(&self) -> Option<String> {
        self.lines.recv_timeout(self.left()).ok()
    }

    /// Returns the next line of its standard error; `None` at the end.
    pub fn next_error_line(&self) -> Option<String> {
        self.error_lines.recv_timeout(self.left()).ok()
    }

    /// Reads lines of its standard output until one has `part` in it.
    pub fn until(&self, part: &str) -> String {
        loop {
            match self.next_line() {
                Some(line) if line.contains(part) => return line,
                Some(_) => {}
                None => panic!("`{}` never printed {part:?}", self.line),
            }
        }
    }

    /// Returns the number of its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Asks it to stop as Ctrl-C does.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// Asks it to stop as a service manager does.
    #[cfg(unix)]
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("it runs");
        let id = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a process");
        rustix::process::kill_process(id, signal).expect("it can be signalled");
    }

    /// Waits for its end; a program that runs over its limit is killed and the test fails.
    pub fn wait(mut self) -> Run {
        let mut child = self.child.take().expect("it runs");
        let status = loop {
            match child.try_wait().expect("it can be waited for") {
                Some(status) => break status,
                None if Instant::now() >= self.deadline => {
                    let _killed = child.kill();
                    let _reaped = child.wait();
                    let run = self.collect(None);
                    panic!("`{}` did not end in time\n{run}", self.line);
                }
                None => std::thread::park_timeout(Duration::from_millis(5)),
            }
        };
        self.collect(status.code())
    }

    fn collect(&mut self, status: Option<i32>) -> Run {
        let join = |thread: Option<JoinHandle<Vec<u8>>>| {
            thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        Run { status, stdout: join(self.stdout.take()), stderr: join(self.stderr.take()) }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its exit status; none when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Run {
    /// Returns standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Returns standard output as one JSON value.
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON: {error}\n{self}"),
        }
    }

    /// Returns standard output as JSON, a value a line.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.out()
            .lines()
            .map(|line| match serde_json::from_str(line) {
                Ok(value) => value,
                Err(error) => panic!("not JSON: {error}: {line}\n{self}"),
            })
            .collect()
    }

    /// Returns the last event, which is the summary.
    pub fn summary(&self) -> serde_json::Value {
        let last = self.events().pop();
        match last {
            Some(summary) if summary["event"] == "summary" => summary,
            other => panic!("the last event is no summary: {other:?}\n{self}"),
        }
    }

    /// Returns status and output as one text for a snapshot, each pair of `redactions` (what, by what) applied.
    pub fn snapshot(&self, redactions: &[(&str, &str)]) -> String {
        let mut text = self.to_string();
        for (what, by) in redactions {
            text = text.replace(what, by);
        }
        text
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "exit: {status}")?,
            None => write!(f, "exit: by a signal")?,
        }
        write!(f, "\n--- stdout\n{}--- stderr\n{}", self.out(), self.err())
    }
}
