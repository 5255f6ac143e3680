//! Does this machine stay awake, what does it run on, is it a machine at all. Linux is tested, others are not supported.

use crate::command::{Command, Output};
use crate::look::LookError;

/// Whether the machine may go to sleep by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// A program holds it off, or it cannot sleep.
    HeldOff,
    /// Nothing holds it off.
    MaySleep,
}

/// What the machine runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Mains.
    Mains,
    /// Its battery.
    Battery,
}

/// The command that lists who holds sleep off.
pub fn inhibitors_command() -> Command {
    Command::new("systemd-inhibit")
        .argument("--list")
        .argument("--no-legend")
        .argument("--no-pager")
        .limit(std::time::Duration::from_secs(2))
}

/// Reads what `systemd-inhibit --list` prints: held off where a line blocks sleep or idling.
pub fn parse_inhibitors(text: &str) -> Sleep {
    let blocks = |line: &str| {
        let mut words = line.split_whitespace().rev();
        words.next() == Some("block")
            // The reason stands between, and may be of many words; the list of what is a word with colons.
            && words.any(|word| word.split(':').any(|what| what == "sleep" || what == "idle"))
    };
    if text.lines().any(blocks) { Sleep::HeldOff } else { Sleep::MaySleep }
}

/// Reads `/sys/power/state`: false where the machine knows no sleep.
pub fn parse_sleep_states(text: &str) -> bool {
    text.split_whitespace().any(|word| matches!(word, "mem" | "standby" | "freeze" | "disk"))
}

/// Says what the answer of the command that lists inhibitors means.
pub fn sleep_from(states: Option<&str>, inhibitors: Option<&Output>) -> Result<Sleep, LookError> {
    if states.is_none_or(|text| !parse_sleep_states(text)) {
        // A container or a small board: there is nothing to hold off.
        return Ok(Sleep::HeldOff);
    }
    match inhibitors {
        Some(output) if output.status == Some(0) => {
            Ok(parse_inhibitors(&String::from_utf8_lossy(&output.stdout)))
        }
        _ => Err(LookError::NotThere { what: "service that tells who holds sleep off".to_owned() }),
    }
}

/// Says whether the machine may go to sleep.
#[cfg(target_os = "linux")]
pub fn sleep() -> Result<Sleep, LookError> {
    let states = fs_err::read_to_string("/sys/power/state").ok();
    sleep_from(states.as_deref(), crate::command::run(&inhibitors_command()).ok().as_ref())
}

/// Says that this program cannot tell here.
#[cfg(not(target_os = "linux"))]
pub fn sleep() -> Result<Sleep, LookError> {
    Err(LookError::Unsupported { what: "whether it may go to sleep" })
}

/// Says what the machine runs on.
#[cfg(target_os = "linux")]
pub fn power() -> Result<Power, LookError> {
    power_below(camino::Utf8Path::new("/sys/class/power_supply"))
}

/// Says that this program cannot tell here.
#[cfg(not(target_os = "linux"))]
pub fn power() -> Result<Power, LookError> {
    Err(LookError::Unsupported { what: "what it runs on" })
}

#[cfg(target_os = "linux")]
fn power_below(class: &camino::Utf8Path) -> Result<Power, LookError> {
    let entries =
        class.read_dir_utf8().map_err(|error| LookError::from_io("power supply", error))?;
    let mut discharging = false;
    for entry in entries.filter_map(Result::ok) {
        let read = |name: &str| {
            fs_err::read_to_string(entry.path().join(name)).unwrap_or_default().trim().to_owned()
        };
        // The battery of a mouse or of a phone that is plugged in says "Device".
        if read("scope") == "Device" {
            continue;
        }
        match read("type").as_str() {
            "Battery" => discharging |= read("status") == "Discharging",
            _ if read("online") == "1" => return Ok(Power::Mains),
            _ => {}
        }
    }
    Ok(if discharging { Power::Battery } else { Power::Mains })
}

/// Says whether this is a virtual machine.
#[cfg(target_os = "linux")]
pub fn virtual_machine() -> Result<bool, LookError> {
    let text = fs_err::read_to_string("/proc/cpuinfo")
        .map_err(|error| LookError::from_io("processor", error))?;
    let vendor = ["sys_vendor", "product_name"]
        .map(|name| fs_err::read_to_string(format!("/sys/class/dmi/id/{name}")).unwrap_or_default())
        .join(" ");
    Ok(is_virtual(&text, &vendor))
}

/// Says that this program cannot tell here.
#[cfg(not(target_os = "linux"))]
pub fn virtual_machine() -> Result<bool, LookError> {
    Err(LookError::Unsupported { what: "whether it is a virtual machine" })
}

/// Reads `/proc/cpuinfo` and the maker's names of the machine.
pub fn is_virtual(cpuinfo: &str, maker: &str) -> bool {
    let flagged = cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.split_whitespace().any(|flag| flag == "hypervisor"));
    let makers = ["QEMU", "KVM", "VMware", "VirtualBox", "Xen", "Virtual Machine", "Parallels"];
    flagged || makers.iter().any(|name| maker.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_blocks_sleep_holds_it_off() {
        let text = "ModemManager 0 root 812 ModemManager sleep ModemManager needs to reset devices delay\n";
        assert_eq!(parse_inhibitors(text), Sleep::MaySleep, "a delay holds nothing off");
        let text =
            format!("{text}lifeboat 1000 me 9 lifeboat sleep:idle A backup is running block\n");
        assert_eq!(parse_inhibitors(&text), Sleep::HeldOff);
        let lid = "gnome 1000 me 9 gsd-power handle-lid-switch External monitor block\n";
        assert_eq!(parse_inhibitors(lid), Sleep::MaySleep);
        assert_eq!(parse_inhibitors(""), Sleep::MaySleep);
    }

    #[test]
    fn a_machine_that_knows_no_sleep_stays_awake() {
        assert_eq!(sleep_from(None, None).unwrap(), Sleep::HeldOff);
        assert_eq!(sleep_from(Some("\n"), None).unwrap(), Sleep::HeldOff);
        assert!(sleep_from(Some("freeze mem disk\n"), None).is_err());
        let silent = Output { status: Some(0), ..Output::default() };
        assert_eq!(sleep_from(Some("mem"), Some(&silent)).unwrap(), Sleep::MaySleep);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_battery_that_empties_is_what_it_runs_on() {
        let dir = tempfile::tempdir().unwrap();
        let class = camino::Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        assert_eq!(power_below(&class).unwrap(), Power::Mains, "a desktop has no power supplies");
        let put = |path: &str, text: &str| {
            let path = class.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        put("BAT0/type", "Battery\n");
        put("BAT0/status", "Discharging\n");
        put("mouse/type", "Battery\n");
        put("mouse/scope", "Device\n");
        assert_eq!(power_below(&class).unwrap(), Power::Battery);
        put("AC/type", "Mains\n");
        put("AC/online", "1\n");
        assert_eq!(power_below(&class).unwrap(), Power::Mains);
    }

    #[test]
    fn virtual_machines_are_known() {
        assert!(is_virtual("flags\t\t: fpu hypervisor lahf_lm\n", ""));
        assert!(is_virtual("", "QEMU Standard PC"));
        assert!(!is_virtual("flags\t\t: fpu vmx\n", "LENOVO 20XW"));
    }
}
