//! Which programs run.
//!
//! Only names are taken, never arguments: those of others may hold secrets. Linux is tested, macOS and Windows are not.

use crate::look::LookError;

/// A running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// Its name, without folder; of a script the name of the script.
    pub name: String,
}

/// Interpreters: the script says more than they do.
const INTERPRETERS: [&str; 6] = ["python", "python3", "perl", "ruby", "node", "sh"];

/// Returns the name that a command line gives (words separated by NUL), none for an empty one.
pub fn name_of(command_line: &[u8]) -> Option<String> {
    let mut words = command_line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let program = base(words.next()?);
    let plain = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let script = words.find(|word| !word.starts_with(b"-"));
    if INTERPRETERS.contains(&plain) || INTERPRETERS.contains(&program.as_str()) {
        return Some(script.map_or(program, base));
    }
    Some(program)
}

fn base(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    let name = text.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Lists the running programs.
#[cfg(target_os = "linux")]
pub fn list() -> Result<Vec<Process>, LookError> {
    let entries = camino::Utf8Path::new("/proc")
        .read_dir_utf8()
        .map_err(|error| LookError::from_io("list of programs", error))?;
    let mut found = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let Ok(id) = entry.file_name().parse::<u32>() else { continue };
        // A program that ends while it is looked at is none.
        let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        let name = name_of(&line).or_else(|| {
            let name = fs_err::read_to_string(entry.path().join("comm")).ok()?;
            Some(name.trim_end().to_owned())
        });
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            found.push(Process { id, name });
        }
    }
    Ok(found)
}

/// Lists the running programs.
#[cfg(not(target_os = "linux"))]
pub fn list() -> Result<Vec<Process>, LookError> {
    use crate::command::{Command, run};
    let command = if cfg!(windows) {
        Command::new("tasklist").argument("/fo").argument("csv").argument("/nh")
    } else {
        Command::new("ps").argument("-axo").argument("pid=,comm=")
    };
    let output = run(&command.limit(std::time::Duration::from_secs(3)))
        .map_err(|_| LookError::NotThere { what: "list of programs".to_owned() })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(if cfg!(windows) { from_tasklist(&text) } else { from_ps(&text) })
}

/// Reads what `ps -axo pid=,comm=` prints.
#[cfg(any(test, not(any(target_os = "linux", windows))))]
fn from_ps(text: &str) -> Vec<Process> {
    let read = |line: &str| {
        let (id, name) = line.trim().split_once(' ')?;
        Some(Process { id: id.parse().ok()?, name: base(name.trim().as_bytes()) })
    };
    text.lines().filter_map(read).collect()
}

/// Reads what `tasklist /fo csv /nh` prints.
#[cfg(any(test, windows))]
fn from_tasklist(text: &str) -> Vec<Process> {
    let read = |line: &str| {
        let mut fields = line.split("\",\"").map(|field| field.trim_matches('"'));
        let name = fields.next()?.trim_end_matches(".exe").to_owned();
        Some(Process { name, id: fields.next()?.parse().ok()? })
    };
    text.lines().filter_map(read).collect()
}

#[cfg(all(not(test), windows))]
fn from_ps(_text: &str) -> Vec<Process> {
    Vec::new()
}

#[cfg(all(not(test), not(any(target_os = "linux", windows))))]
fn from_tasklist(_text: &str) -> Vec<Process> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_by_its_own_name() {
        for (line, name) in [
            ("/usr/bin/idevicebackup2\0backup\0/secret\0", Some("idevicebackup2")),
            (
                "/usr/bin/python3.12\0-I\0/usr/bin/pymobiledevice3\0backup2\0",
                Some("pymobiledevice3"),
            ),
            ("python3\0", Some("python3")),
            ("C:\\Program Files\\iTunes\\iTunes\0", Some("iTunes")),
            ("\0\0", None),
        ] {
            assert_eq!(name_of(line.as_bytes()).as_deref(), name, "{line:?}");
        }
    }

    #[test]
    fn lists_of_other_systems_are_read() {
        let ps = "  321 /System/Library/PrivateFrameworks/AMPDevicesAgent\n 7 Finder\nnoise\n";
        let names: Vec<_> = from_ps(ps).into_iter().map(|p| (p.id, p.name)).collect();
        assert_eq!(names, [(321, "AMPDevicesAgent".to_owned()), (7, "Finder".to_owned())]);
        let tasks = "\"iTunes.exe\",\"4711\",\"Console\",\"1\",\"9 K\"\r\nnoise\r\n";
        assert_eq!(from_tasklist(tasks), [Process { id: 4711, name: "iTunes".to_owned() }]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_test_runs() {
        let own = std::process::id();
        assert!(list().unwrap().iter().any(|process| process.id == own));
    }
}
