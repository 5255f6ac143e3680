//! A large `Manifest.db`: it is opened, stored, handed back and checked without ever being in memory.

use std::time::Duration;

use lifeboat_testkit::stranger::stranger;

use super::*;

/// What a job may have in memory at most.
const LIMIT: u64 = 250_000_000;

/// Starts a program, and writes into a file how much memory it had at most, as the system counts it.
const MEASURED: &str = "\
import resource, subprocess, sys
ended = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], 'w') as peak:
    # The unit is KiB.
    peak.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(ended)
";

/// Runs the program under test; it may not have more in memory than is allowed.
fn within_memory(home: &Home, arguments: &[&str]) -> lifeboat_testkit::Run {
    let peak = home.path().join("peak");
    let run = home
        .command(stranger("pymobiledevice3").with_file_name("python3"))
        .args(["-c", MEASURED, peak.as_str(), home.program().as_str()])
        .args(arguments)
        .limit(Duration::from_mins(20))
        .ok();
    let peak: u64 = fs_err::read_to_string(&peak).unwrap().parse().unwrap();
    assert!(peak > 1_000_000, "it was measured");
    assert!(peak < LIMIT, "{peak} bytes for {arguments:?}");
    run
}

fn is_handed_back(folders: u32, least: u64) {
    let mut home = home();
    let phone = phone(&format!("[knobs]\nmore-folders = {folders}"));
    let sim = Sim::start_phones_for(&mut home, &[&phone], &[], Duration::from_hours(1));
    home.lifeboat(["pair"]).ok();
    knows(&mut home, PASSWORD);
    for (day, kind) in ["full", "incremental"].into_iter().enumerate() {
        if day > 0 {
            sim.ctl(&home, &["live", "--days", "1"]);
        }
        let summary = within_memory(&home, &["backup", "--json"]).summary();
        assert_eq!((&summary["stored"], &summary["kind"]), (&"opened".into(), &kind.into()));
        let sent = sent(&home, &sim);
        let out = format!("out-{day}");
        within_memory(&home, &["export", &id(&summary), &out, "--as", "finder"]);
        let mut inside = home.path().join(&out).read_dir_utf8().unwrap();
        let folder = inside.next().unwrap().unwrap().path().to_owned();
        let (size, _) = file(&folder.join("Manifest.db"));
        assert!(size >= least, "{size}");
        assert_received(&folder, &sent, PASSWORD);
        if day > 0 {
            within_memory(&home, &["ls", "--folder", folder.as_str(), "HomeDomain"]);
        }
        fs_err::remove_dir_all(home.path().join(&out)).unwrap();
    }
    within_memory(&home, &["export", "latest", "plain", "--as", "files"]);
    within_memory(&home, &["check", "--read-data"]);
}

#[test]
fn a_manifest_of_eight_megabytes_is_opened_and_handed_back() {
    is_handed_back(2_000, 8_000_000);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn a_manifest_of_a_gigabyte_is_opened_and_handed_back_within_the_memory_that_is_allowed() {
    is_handed_back(245_000, 1_000_000_000);
}
