//! Keeps this machine awake while something must not be interrupted, with the means of the operating system.

use std::process::{Child, Stdio};

use crate::command::{CommandError, SECRET_VARIABLES};

/// While it lives the machine does not go to sleep by itself.
#[derive(Debug)]
pub struct Awake {
    child: Child,
}

/// What holds sleep off as long as its standard input is open.
fn command() -> Option<(&'static str, &'static [&'static str])> {
    if cfg!(target_os = "linux") {
        let arguments = &[
            "--what=sleep:idle",
            "--who=Lifeboat",
            "--why=a backup is running",
            "--mode=block",
            "cat",
        ];
        Some(("systemd-inhibit", arguments))
    } else if cfg!(target_os = "macos") {
        Some(("caffeinate", &["-i", "-s", "cat"]))
    } else {
        None
    }
}

/// Holds sleep off until the result is dropped; nothing where this system has no way.
///
/// # Errors
///
/// Where the program that does it cannot be started. One that is refused ends by itself and holds nothing off.
#[expect(clippy::disallowed_methods, reason = "a program that runs beside, not to its end")]
pub fn stay_awake() -> Result<Option<Awake>, CommandError> {
    let Some((program, arguments)) = command() else { return Ok(None) };
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    match command.spawn() {
        Ok(child) => Ok(Some(Awake { child })),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CommandError::Start { program: program.to_owned(), source }),
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // Its program ends with its input; one that does not is ended.
        drop(self.child.stdin.take());
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stays_awake_may_sleep_again() {
        // Where there is no such program there is nothing to hold; where there is, it must end.
        drop(stay_awake().unwrap());
    }
}
