//! What the simulated phone tells about its state and into its log, in the hands of programs that are not ours.

use lifeboat_testkit::stranger::stranger;
use lifeboat_testkit::{Home, Invocation, Sim};

use crate::home;

/// A phone with something to tell.
const PHONE: &str = r#"
profile = "tiny"
seed = 23

[knobs]
restart-seconds = 0

[state.storage]
available = 300_000_000

[state.battery]
level = 17
temperature = 44

[state.icloud]
backup = false

[[state.management.profiles]]
name = "Harbour VPN"
identifier = "org.example.vpn"
payloads = ["com.apple.vpn.managed"]

[log]
lines = [
    "=scheduler= [Off condition] state changed, enabled:1, locked:1, onPower:0, for <private:robin>",
    "kernel/error: AppleUSBDeviceMux: detected duplicate packet",
]
"#;

fn start(home: &mut Home) -> Sim {
    Sim::start_phones(home, &[PHONE], &[])
}

/// Returns the value of one key as `ideviceinfo` prints it.
fn told(home: &Home, domain: &str, key: &str) -> String {
    let run = home.command("ideviceinfo").args(["-q", domain, "-k", key]).ok();
    run.out().trim().to_owned()
}

#[test]
fn libimobiledevice_reads_the_state_and_the_log() {
    let mut home = home();
    let sim = start(&mut home);
    home.lifeboat(["pair"]).ok();
    assert_eq!(told(&home, "com.apple.disk_usage", "AmountDataAvailable"), "300000000");
    assert_eq!(told(&home, "com.apple.mobile.battery", "BatteryCurrentCapacity"), "17");
    assert_eq!(told(&home, "com.apple.mobile.backup", "CloudBackupEnabled"), "false");
    assert_eq!(told(&home, "com.apple.purplebuddy", "SetupDone"), "true");
    assert_eq!(told(&home, "com.apple.fmip", "IsAssociated"), "true");

    let battery = home.command("idevicediagnostics").args(["ioregentry", "AppleSmartBattery"]).ok();
    assert!(battery.out().contains("<key>Temperature</key>"), "{battery}");
    assert!(battery.out().contains("<integer>4400</integer>"), "{battery}");

    let log = home.command("idevicesyslog").arg("--no-colors").start();
    let heard = log.until("onPower:0");
    assert!(heard.contains("backupd[71] <Notice>: =scheduler= [Off condition]"), "{heard}");
    assert!(log.until("duplicate packet").contains("kernel[0] <Error>"));
    sim.ctl(&home, &["log", "cloudd/fault: a line of <private:somebody>"]);
    assert!(log.until("a line of").contains("<private>"));
    log.terminate();

    let restarted = home.command("idevicediagnostics").arg("restart").ok();
    assert!(restarted.out().contains("Restarting device"), "{restarted}");
}

/// The tool, without colours, without asking anybody, and without keeping lines back.
fn tool(home: &Home, arguments: &[&str]) -> Invocation {
    home.command(stranger("pymobiledevice3"))
        .env("NO_COLOR", "1")
        .env("PYTHONUNBUFFERED", "1")
        .args(arguments)
}

#[test]
fn pymobiledevice3_reads_the_state_and_the_log() {
    let mut home = home();
    let sim = start(&mut home);
    home.lifeboat(["pair"]).ok();

    let profiles = tool(&home, &["profile", "list"]).ok();
    for part in ["org.example.vpn", "com.apple.vpn.managed", "Acknowledged"] {
        assert!(profiles.out().contains(part), "no {part} in {profiles}");
    }
    let battery = tool(&home, &["diagnostics", "battery", "single"]).ok();
    assert!(battery.out().contains("\"Temperature\": 4400"), "{battery}");

    let log = tool(&home, &["syslog", "live"]).start();
    let heard = log.until("onPower:0");
    assert!(heard.contains("backupd") && heard.contains("<private>"), "{heard}");
    assert!(log.until("duplicate packet").contains("kernel"));
    sim.ctl(&home, &["log", "BackupAgent2/info: only for the curious"]);
    assert!(log.until("only for the curious").contains("BackupAgent2"));
    log.terminate();
}
