//! Prints one JSON line: how many lines of a log the doctor reads in a second on one core, how long the first explanation takes
//! (everything is read for it), the slowest of those after it, and, where the program is named, how long `lifeboat explain` takes as a
//! program of its own, from its start to its end, and `lifeboat doctor` on a healthy simulated phone over a local socket: of each the
//! median, and the slowest.
//!
//! `doctor-speed [LINES [LIFEBOAT]]`; build both with `--release`.

use std::process::ExitCode;
use std::time::Instant;

use lifeboat_doctor::explain::explain;
use lifeboat_doctor::patterns::Patterns;
use lifeboat_testkit::{Home, Invocation, Sim};

/// What a phone writes all day, and no pattern knows.
const NOISE: [&str; 4] = [
    "Nov 22 08:01:02 iPhone kernel(AppleMobileFileIntegrity)[0] <Notice>: AMFI: 1 entitlements for pid 4711",
    "Nov 22 08:01:02 iPhone locationd(CoreLocation)[68] <Notice>: {\"msg\":\"client update\", \"id\":3, \"level\":2}",
    "Nov 22 08:01:03 iPhone backupd(MobileBackup)[98] <Info>: =scheduler= Asking for the next window, none in sight",
    "Nov 22 08:01:03 iPhone SpringBoard(FrontBoard)[58] <Debug>: [app<com.example>:123] Workspace connection 12 was kept, nothing to do",
];

/// What somebody types.
const TYPED: [&str; 6] = [
    "208",
    "0xE800001A",
    "MBErrorDomain/105",
    "Last backup culd not be compleeted",
    "why does my iPhone not back up to iCloud over night although it is on the charger and on Wi-Fi",
    "backupd[98]: =scheduler= Backup is disabled by the current MC policy",
];

/// A computer on which nothing is wrong, in a network that answers at once: what is measured is the doctor, not the way to Apple.
const MACHINE: &str = "processes = [\"usbmuxd\"]\nsleep = \"held-off\"\npower = \"mains\"\nvirtual-machine = false\n\
    [kernel-log]\n[network]\n";
/// How often a healthy phone is examined, and each thing explained.
const TIMES: usize = 7;

/// Returns the milliseconds that `lifeboat doctor` takes on a healthy phone: the median, and the slowest.
fn healthy_phone(program: &str) -> (f64, f64) {
    let mut home = Home::new(program);
    let _sim = Sim::start(&mut home, &["--profile", "tiny"]);
    home.lifeboat(["pair"]).ok();
    let machine = home.path().join("machine.toml");
    fs_err::write(&machine, MACHINE).expect("a file in a home of its own");
    let doctor = || home.lifeboat(["--machine", machine.as_str(), "doctor"]);
    measured((0..TIMES).map(|_| timed(doctor())).collect())
}

/// Returns the milliseconds that `lifeboat explain` takes, started anew each time, over all that somebody types.
fn explaining(program: &str) -> (f64, f64) {
    let home = Home::new(program);
    let words = (0..TIMES).flat_map(|_| TYPED);
    measured(words.map(|typed| timed(home.lifeboat(["explain", "--", typed]))).collect())
}

/// Runs a program to its good end; returns how many milliseconds it took.
fn timed(run: Invocation) -> f64 {
    let start = Instant::now();
    run.ok();
    start.elapsed().as_secs_f64() * 1000.0
}

/// Returns the median and the slowest.
fn measured(mut took: Vec<f64>) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    (took[took.len() / 2], took[took.len() - 1])
}

#[expect(clippy::print_stdout, reason = "the result of a program")]
fn main() -> ExitCode {
    let wanted: usize =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let first = Instant::now();
    let found = explain("Last backup could not be completed").len();
    let first = first.elapsed();
    let mut slowest = std::time::Duration::ZERO;
    for typed in TYPED {
        let start = Instant::now();
        if explain(typed).is_empty() {
            return ExitCode::FAILURE;
        }
        slowest = slowest.max(start.elapsed());
    }
    // One line in ten is one that a pattern knows: far more than on a real phone.
    let patterns = Patterns::builtin();
    let known = patterns.all().iter().map(|pattern| pattern.example.as_str());
    let lines = known
        .cycle()
        .enumerate()
        .map(|(at, known)| if at % 10 == 0 { known } else { NOISE[at % NOISE.len()] });
    let lines: Vec<&str> = lines.take(wanted).collect();
    let start = Instant::now();
    let facts = patterns.facts(lines.iter().copied());
    let seconds = start.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(wanted).unwrap_or(u32::MAX)) / seconds;
    let doctor = match std::env::args().nth(2) {
        Some(program) => {
            let (median, slowest) = healthy_phone(&program);
            let (explain, slowest_explain) = explaining(&program);
            format!(
                r#", "doctor_ms": {median:.0}, "slowest_doctor_ms": {slowest:.0}, "explain_ms": {explain:.0}, "slowest_explain_ms": {slowest_explain:.0}"#
            )
        }
        None => String::new(),
    };
    println!(
        r#"{{"lines_per_second": {rate:.0}, "lines": {wanted}, "facts": {}, "first_explanation_ms": {:.2}, "found": {found}, "slowest_explanation_ms": {:.2}{doctor}}}"#,
        facts.len(),
        first.as_secs_f64() * 1000.0,
        slowest.as_secs_f64() * 1000.0
    );
    ExitCode::SUCCESS
}
