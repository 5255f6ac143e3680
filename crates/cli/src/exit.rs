//! Exit codes: a contract with scripts, see `docs/cli.md`.

use std::process::ExitCode;

pub(crate) use lifeboat_engine::ExitClass as Exit;

/// Returns the word for an ending in JSON.
pub(crate) fn outcome(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Incomplete => "incomplete",
        Exit::Postponed => "postponed",
        Exit::Interrupted => "interrupted",
        _ => "failed",
    }
}

/// Returns what the process ends with.
pub(crate) fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit.code())
}

/// Returns the more serious of two endings: what several jobs together end with.
pub(crate) fn worse(a: Exit, b: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Done => 0,
        Exit::Postponed => 1,
        Exit::Incomplete => 2,
        Exit::Interrupted => 4,
        _ => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_endings_counts() {
        assert_eq!(worse(Exit::Done, Exit::Postponed), Exit::Postponed);
        assert_eq!(worse(Exit::NoSpace, Exit::Postponed), Exit::NoSpace);
        assert_eq!(worse(Exit::NoSpace, Exit::Failed), Exit::NoSpace);
        assert_eq!(worse(Exit::Done, Exit::Done), Exit::Done);
    }
}
