//! Programs: run to their end or their time limit, without our secrets in their environment.

use std::io::Read;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Variables that may hold a password: no child gets them.
pub const SECRET_VARIABLES: [&str; 4] =
    ["BACKUP_PASSWORD", "BACKUP_PASSWORD_NEW", "LIFEBOAT_REPO_PASSWORD", "RESTIC_PASSWORD"];

/// What of a program's output is kept; the rest is read and dropped.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program: a path, or a name that is looked up.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables set for it, beside ours (secrets apart).
    pub variables: Vec<(String, String)>,
    /// When it is stopped.
    pub limit: Duration,
}

impl Command {
    /// Makes a command without arguments and with a limit of a minute.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            limit: Duration::from_mins(1),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Sets the time limit.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Its exit status; none when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// Why a program did not end by itself.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such program, or it cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It ran longer than its limit and was stopped.
    #[error("{program} did not end within {} s", limit.as_secs())]
    TimeLimit {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// Its end could not be awaited.
    #[error("cannot wait for {program}")]
    Wait {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Runs a program on this machine.
#[expect(clippy::disallowed_methods, reason = "this is where Host::run starts programs")]
pub fn run(command: &Command) -> Result<Output, CommandError> {
    let mut child = std::process::Command::new(&command.program);
    child
        .args(&command.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in SECRET_VARIABLES {
        child.env_remove(name);
    }
    child.envs(command.variables.iter().map(|(name, value)| (name, value)));
    own_group(&mut child);
    let mut child = child
        .spawn()
        .map_err(|source| CommandError::Start { program: command.program.clone(), source })?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let deadline = Instant::now() + command.limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() >= deadline => {
                stop(&mut child);
                return Err(CommandError::TimeLimit {
                    program: command.program.clone(),
                    limit: command.limit,
                });
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(source) => {
                stop(&mut child);
                return Err(CommandError::Wait { program: command.program.clone(), source });
            }
        }
    };
    Ok(Output { status: status.code(), stdout: collect(stdout), stderr: collect(stderr) })
}

fn reader<R: Read + Send + 'static>(stream: Option<R>) -> Option<JoinHandle<Vec<u8>>> {
    let mut stream = stream?;
    Some(std::thread::spawn(move || {
        let mut kept = Vec::new();
        // An error ends the reading as the end does: what came is what there is.
        let read = (&mut stream).take(OUTPUT_LIMIT).read_to_end(&mut kept);
        if read.is_ok() {
            let _rest = std::io::copy(&mut stream, &mut std::io::sink());
        }
        kept
    }))
}

fn collect(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

/// A group of its own, so that the limit also ends what the program started.
#[cfg(unix)]
fn own_group(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_command: &mut std::process::Command) {}

fn stop(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _killed = child.kill();
    let _reaped = child.wait();
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new("/bin/sh").argument("-c").argument(script)
    }

    #[test]
    fn output_and_status_come_back() {
        let output = run(&shell("echo out; echo err >&2; exit 7")).unwrap();
        assert_eq!(
            output,
            Output { status: Some(7), stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() }
        );
    }

    #[test]
    fn the_limit_ends_a_program_and_its_children() {
        let started = Instant::now();
        let ended = run(&shell("sleep 60 & sleep 60").limit(Duration::from_millis(50)));
        assert!(matches!(ended, Err(CommandError::TimeLimit { .. })));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&Command::new("/nowhere/program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /nowhere/program");
    }

    #[test]
    fn variables_are_given_and_a_long_output_is_cut() {
        let output = run(&shell("head -c 3000000 /dev/zero; echo \"$GREETING\" >&2")
            .variable("GREETING", "ahoy"))
        .unwrap();
        assert_eq!(output.stdout.len() as u64, OUTPUT_LIMIT);
        assert_eq!(output.stderr, b"ahoy\n");
    }
}
