//! P29: this computer: does it stay awake, what does it run on, who else talks to devices.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat_host::{Host, KernelLine, LookError, Power, Process, Sleep, System};

use super::{aside, nothing, text};
use crate::fact::{Facts, Value, Why};
use crate::probe::context;
use crate::probe::{ProbeContext, RunWindow};

pub(crate) const TELLS: &[&str] = &[
    "host.sleep",
    "host.power",
    "host.other-program",
    "host.other-program-name",
    "host.virtual-machine",
    "host.system",
    "host.vpn",
];

/// Programs that talk to devices and get in the way of a backup. Finder always runs; `AppleMobileBackup` only while it makes a backup.
const OTHERS: [&str; 15] = [
    "iTunes",
    "AppleDevices",
    "AppleMobileBackup",
    "iMazing",
    "iMazing Mini",
    "3uTools",
    "idevicebackup",
    "idevicebackup2",
    "idevicerestore",
    "pymobiledevice3",
    "AltServer",
    "AnyTrans",
    "iExplorer",
    "dr.fone",
    "CopyTrans",
];

/// What was looked at, all of it together.
struct Looked {
    sleep: Result<Sleep, LookError>,
    power: Result<Power, LookError>,
    processes: Result<Vec<Process>, LookError>,
    virtual_machine: Result<bool, LookError>,
    tunnel: Result<bool, LookError>,
    log: Result<Vec<KernelLine>, LookError>,
}

/// P29.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let host = Arc::clone(&context.host);
    let mut facts = match aside(move || gather(&*host)).await {
        Ok(machine) => told(&machine, context.host.now(), context.window),
        Err(why) => nothing(TELLS, &why),
    };
    let ios = match context.values().await {
        Ok(values) => text(values, "ProductVersion"),
        Err(why) => Err(why),
    };
    facts.tell("host.system", super::told(ios.and_then(|ios| age(&context.host.system(), &ios))));
    facts
}

fn gather(host: &dyn Host) -> Looked {
    Looked {
        sleep: host.sleep(),
        power: host.power(),
        processes: host.processes(),
        virtual_machine: host.virtual_machine(),
        tunnel: host.network().routes().map(|routes| routes.tunnel),
        log: host.kernel_log(),
    }
}

fn told(machine: &Looked, now: Timestamp, window: Option<RunWindow>) -> Facts {
    let mut facts = Facts::new();
    let slept = match (&machine.log, window) {
        (Ok(lines), Some(window)) => slept(lines, now, window),
        _ => false,
    };
    facts.tell(
        "host.sleep",
        match &machine.sleep {
            _ if slept => Value::from("slept"),
            Ok(Sleep::HeldOff) => Value::from("held-off"),
            Ok(Sleep::MaySleep) => Value::from("may-sleep"),
            Err(error) => context::look(error).into(),
        },
    );
    facts.tell(
        "host.power",
        match &machine.power {
            Ok(Power::Mains) => Value::from("mains"),
            Ok(Power::Battery) => Value::from("battery"),
            Err(error) => context::look(error).into(),
        },
    );
    match &machine.processes {
        Ok(processes) => {
            let names = others(processes);
            facts.tell("host.other-program", !names.is_empty());
            facts.tell("host.other-program-name", Value::Text(names.join(", ")));
        }
        Err(error) => {
            facts
                .unknown(&["host.other-program", "host.other-program-name"], &context::look(error));
        }
    }
    for (key, looked) in
        [("host.virtual-machine", &machine.virtual_machine), ("host.vpn", &machine.tunnel)]
    {
        let value = looked.as_ref().map(|flag| *flag).map_err(context::look);
        facts.tell(key, super::told(value));
    }
    facts
}

fn others(processes: &[Process]) -> Vec<&str> {
    let is_other =
        |process: &&Process| OTHERS.iter().any(|name| name.eq_ignore_ascii_case(&process.name));
    let mut names: Vec<&str> =
        processes.iter().filter(is_other).map(|process| process.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether the machine went to sleep while the last run was going on, by its kernel's log.
fn slept(lines: &[KernelLine], now: Timestamp, window: RunWindow) -> bool {
    /// A run that breaks because the machine sleeps ends when it wakes.
    const AFTER: Duration = Duration::from_mins(1);
    lines.iter().filter(|line| line.text.starts_with("PM: suspend entry")).any(|line| {
        let at = now.checked_sub(line.ago).unwrap_or(Timestamp::MIN);
        let end = window.ended.checked_add(AFTER).unwrap_or(Timestamp::MAX);
        at >= window.began && at <= end
    })
}

/// The oldest macOS that Apple's own software needs for a generation of iOS, as far as is known (`docs/protocol.md` 10.8).
const NEEDS: [(u32, u32); 4] = [(17, 12), (18, 13), (26, 14), (27, 15)];

/// Says whether the operating system is new enough for the device. This program brings its own client: on Linux nothing of
/// Apple's is needed.
fn age(system: &System, ios: &str) -> Result<&'static str, Why> {
    let major = |version: &str| version.split('.').next()?.parse::<u32>().ok();
    let unknown = || Why::NotThere("the versions cannot be compared".to_owned());
    match system.name.as_str() {
        "linux" => Ok("current"),
        "macos" => {
            let own = system.version.as_deref().and_then(major).ok_or_else(unknown)?;
            let ios = major(ios).ok_or_else(unknown)?;
            let needed =
                NEEDS.iter().rfind(|(from, _)| ios >= *from).map_or(0, |(_, macos)| *macos);
            Ok(if own < needed { "outdated" } else { "current" })
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Looked {
        Looked {
            sleep: Ok(Sleep::MaySleep),
            power: Ok(Power::Battery),
            processes: Ok(vec![
                Process { id: 1, name: "itunes".into() },
                Process { id: 2, name: "bash".into() },
            ]),
            virtual_machine: Err(LookError::Unsupported { what: "it" }),
            tunnel: Ok(true),
            log: Ok(Vec::new()),
        }
    }

    #[test]
    fn the_computer_is_told() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let facts = told(&machine(), now, None);
        for (key, word) in [
            ("host.sleep", "may-sleep"),
            ("host.power", "battery"),
            ("host.other-program", "yes"),
            ("host.vpn", "yes"),
        ] {
            assert!(facts.is(key, word), "{key}");
        }
        assert_eq!(facts.value("host.other-program-name"), Some(&Value::Text("itunes".into())));
        assert!(!facts.value("host.virtual-machine").unwrap().is_known());
    }

    #[test]
    fn a_sleep_counts_in_the_time_of_the_run() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let window = RunWindow { began: at(999_000), ended: at(999_500) };
        let line = |ago| KernelLine {
            ago: Duration::from_secs(ago),
            text: "PM: suspend entry (deep)".into(),
        };
        assert!(slept(&[line(700)], now, window));
        assert!(!slept(&[line(100)], now, window) && !slept(&[line(5_000)], now, window));
    }

    #[test]
    fn an_old_system_is_told_from_a_new_one() {
        let mac = |version: &str| System { name: "macos".into(), version: Some(version.into()) };
        assert_eq!(age(&mac("12.7"), "26.1"), Ok("outdated"));
        assert_eq!(age(&mac("15.1"), "26.1"), Ok("current"));
        assert_eq!(age(&mac("10.13"), "16.0"), Ok("current"));
        let linux = System { name: "linux".into(), version: None };
        assert_eq!(age(&linux, "26.1"), Ok("current"));
        assert!(age(&mac("noise"), "26.1").is_err());
    }
}
