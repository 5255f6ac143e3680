//! The doctor on a simulated phone and a described machine: what it finds, does, writes, and how it ends.

use lifeboat_testkit::{Home, Invocation, Run, Sim};
use serde_json::Value;

use crate::{home, phone, trusted_phone};

/// A machine on which nothing is wrong, whatever the one that runs the test is like.
const MACHINE: &str = "processes = []\nsleep = \"held-off\"\npower = \"mains\"\nvirtual-machine = false\n\
    [kernel-log]\n[network]\n";

/// What its disk has free, unless a test says otherwise: how full the one is that runs the test does not matter.
const ROOM: &str = "[[folders]]\nunder = \"/\"\nfree = 4_000_000_000_000\n";

/// Runs the program with a machine of that description.
fn on<'a>(home: &Home, more: &str, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
    let file = home.path().join("machine.toml");
    let (top, tables) = MACHINE.split_once('[').expect("tables");
    let room = if more.contains("under = \"/\"") { "" } else { ROOM };
    fs_err::write(&file, format!("{top}[{tables}{room}{more}")).expect("a machine's description");
    home.lifeboat(["--machine", file.as_str()]).args(arguments)
}

fn doctor(home: &Home, arguments: &[&str]) -> Run {
    on(home, "", ["doctor", "--json"]).args(arguments).run()
}

/// The ids of all findings that weigh more than a note.
fn weighty(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .filter(|finding| finding["severity"] != "note")
        .map(|finding| finding["id"].as_str().expect("an id"))
        .collect()
}

fn primary(run: &Run) -> (Option<i32>, String, String) {
    let report = run.json();
    let word = |key: &str| report["primary"][key].as_str().unwrap_or_default().to_owned();
    (run.status, word("id"), word("certainty"))
}

fn found(status: i32, id: &str) -> (Option<i32>, String, String) {
    (Some(status), id.to_owned(), "confirmed".to_owned())
}

#[test]
fn a_healthy_phone_is_healthy() {
    let (home, sim) = trusted_phone();
    let run = doctor(&home, &[]);
    let report = run.json();
    assert_eq!((run.status, weighty(&report)), (Some(0), vec![]), "{run}");
    assert_eq!((&report["blocked"], &report["format"]), (&false.into(), &1.into()));
    assert_eq!(report["device"]["udid"], sim.udid());
    let probes = report["probes"].as_array().unwrap();
    assert!(probes.len() > 15, "{report}");
    for probe in probes {
        assert!(probe["took_ms"].as_u64() < Some(20_000), "{probe}");
    }
    let text = on(&home, "", ["doctor", "--offline"]).ok().out();
    assert!(text.contains("Nothing keeps Robin's iPhone from being backed up"), "{text}");
    assert!(text.contains("checked, and fine") && text.contains("usbmuxd"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_phone_that_trusts_nobody_is_named_with_the_next_step_and_mended() {
    let mut home = home();
    let sim = Sim::start(&mut home, &["--ask"]);
    assert_eq!(primary(&doctor(&home, &[])), found(4, "pairing/not-trusted"));
    let text = on(&home, "", ["doctor"]).run();
    assert_eq!(text.status, Some(4), "{text}");
    for part in ["The iPhone does not trust this computer yet", "seen:", "next step", "tap Trust"] {
        assert!(text.out().contains(part), "{part}\n{text}");
    }
    let mending = on(&home, "", ["doctor", "--fix", "--yes"]).start();
    while let Some(line) = mending.next_error_line() {
        if line.contains("tap Trust") {
            sim.ctl(&home, &["trust"]);
            sim.ctl(&home, &["passcode", "enter"]);
        }
    }
    let mended = mending.wait();
    assert_eq!(mended.status, Some(0), "{mended}");
    for part in ["(pair-again)", "done:", "gone: The iPhone does not trust"] {
        assert!(mended.err().contains(part), "{part}\n{mended}");
    }
    assert!(mended.out().contains("Nothing keeps"), "{mended}");
}

#[test]
fn a_look_alone_puts_no_question_to_the_phone() {
    let mut home = home();
    let _sim = Sim::start(&mut home, &["--ask"]);
    for arguments in [&[][..], &["--for", "icloud"], &["--offline"]] {
        let seen = primary(&doctor(&home, arguments));
        assert_eq!((seen.1.as_str(), seen.2.as_str()), ("pairing/not-trusted", "confirmed"));
    }
    let tapped = home.lifeboat(["sim", "ctl", "--state", "sim", "trust"]).run();
    assert!(tapped.err().contains("does not show the trust dialog"), "{tapped}");
}

#[test]
fn a_phone_in_recovery_or_dfu_mode_is_named() {
    for (product, mode) in [(0x1281, "recovery"), (0x1227, "dfu")] {
        let mut home = home();
        let sim = Sim::start(&mut home, &[]);
        sim.ctl(&home, &["unplug"]);
        let usb = format!("[[usb.devices]]\nvendor = 0x05ac\nproduct = {product}\n");
        let run = on(&home, &usb, ["doctor", "--json", "--offline"]).run();
        assert_eq!(primary(&run), found(4, "device/restart-helps"), "{mode}: {run}");
        assert_eq!(run.json()["facts"]["device.mode"], mode);
        let words = on(&home, &usb, ["doctor", "--offline"]).run();
        assert!(words.out().contains("recovery mode"), "{words}");
    }
}

#[test]
fn an_estimate_of_the_room_is_possible_at_most_and_stops_no_backup() {
    let mut home = home();
    let _sim = Sim::start_phones(
        &mut home,
        &["[state.storage]\ncapacity = 128_000_000_000\navailable = 60_000_000_000\n"],
        &[],
    );
    home.lifeboat(["pair"]).ok();
    let folders = "[[folders]]\nunder = \"/\"\nfree = 4_000_000_000\n";
    let run = on(&home, folders, ["doctor", "--json", "--offline"]).run();
    let report = run.json();
    assert_eq!(report["facts"]["destination.room"], "too-small", "{run}");
    let (status, id, certainty) = primary(&run);
    assert_eq!(
        (status, id.as_str(), certainty.as_str()),
        (Some(0), "destination/full", "possible"),
        "{run}"
    );
    let run = on(&home, folders, ["backup", "--json"]).run();
    assert_eq!(run.status, Some(0), "the phone says how much it needs, and that fits\n{run}");
    // It is told before the first backup, as what it is; after it nobody is told the same every day.
    let foreseen = |run: &Run| {
        let events = run.events().into_iter();
        let found = events.filter(|event| event["event"] == "finding");
        found.map(|event| format!("{} {}", event["cause"], event["certainty"])).collect::<Vec<_>>()
    };
    assert_eq!(foreseen(&run), ["\"destination/full\" \"possible\""], "{run}");
    let run = on(&home, folders, ["backup", "--json"]).ok();
    assert!(foreseen(&run).is_empty(), "{run}");
}

#[test]
fn it_watches_until_the_person_has_tapped_trust() {
    let mut home = home();
    let sim = Sim::start(&mut home, &["--ask"]);
    let watching = on(&home, "", ["doctor", "--watch"]).start();
    while let Some(line) = watching.next_error_line() {
        if line.contains("watching: The iPhone does not trust") {
            sim.ctl(&home, &["trust"]);
            sim.ctl(&home, &["passcode", "enter"]);
        }
    }
    let run = watching.wait();
    assert_eq!(run.status, Some(0), "{run}");
    assert!(run.err().contains("gone: The iPhone does not trust"), "{run}");
}

#[test]
fn a_phone_that_was_restarted_is_not_unlocked_yet() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "before-first-unlock"]);
    assert_eq!(primary(&doctor(&home, &[])), found(4, "device/not-unlocked-yet"));
    // The backup does not begin: exit 5, with the same cause.
    let run = home.lifeboat(["backup", "--json"]).run();
    let summary = run.summary();
    assert_eq!((run.status, &summary["outcome"]), (Some(5), &"postponed".into()), "{run}");
    assert_eq!(summary["finding"], "device/not-unlocked-yet", "{run}");
}

#[test]
fn without_usbmuxd_that_is_the_cause() {
    let home = home();
    let run = doctor(&home, &[]);
    assert_eq!(primary(&run), found(4, "host/usbmuxd-missing"), "{run}");
    assert_eq!(run.json()["facts"]["mux.state"], "missing");
    let failed = home.lifeboat(["backup", "--json"]).run().summary();
    assert_eq!(
        (&failed["cause"], &failed["finding"]),
        (&"mux-unreachable".into(), &"host/usbmuxd-missing".into())
    );
}

/// A service manager of the test's own: it starts the simulated phone where usbmuxd should be.
#[test]
fn usbmuxd_is_started_where_consent_is_given() {
    let mut home = home();
    let (socket, bin) = (home.path().join("usbmuxd"), home.path().join("bin"));
    fs_err::create_dir_all(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = \"start usbmuxd\" ] || exit 1\n\
         {} sim --listen UNIX:{socket} >/dev/null 2>&1 &\necho $! > {}\n",
        home.program(),
        home.path().join("pid")
    );
    let systemctl = bin.join("systemctl");
    fs_err::write(&systemctl, script).unwrap();
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    home.connect(&format!("UNIX:{socket}"));
    #[expect(clippy::disallowed_methods, reason = "the folder of the test comes first")]
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    home.set("PATH", path);
    // Without a terminal and without `--yes` nothing is started.
    let refused = doctor(&home, &["--fix"]);
    assert_eq!((refused.status, &refused.json()["fixed"]), (Some(4), &Value::Array(vec![])));
    let run = doctor(&home, &["--fix", "--yes"]);
    let pid = fs_err::read_to_string(home.path().join("pid")).expect("it was started");
    home.command("/bin/kill").args([pid.trim()]).run();
    let report = run.json();
    let did = &report["fixed"][0];
    assert_eq!(
        (&did["finding"], &did["action"], &did["done"], &did["gone"]),
        (&"host/usbmuxd-missing".into(), &"start-usbmuxd".into(), &true.into(), &true.into()),
        "{run}"
    );
}

#[test]
fn a_full_destination_stops_the_backup_before_it_begins() {
    let (home, sim) = trusted_phone();
    let full = format!("[[folders]]\nunder = \"{}\"\nfree = 1000\n", home.path().join("data"));
    let looked = on(&home, &full, ["doctor", "--json"]).run();
    assert_eq!(primary(&looked), found(4, "destination/full"), "{looked}");
    let run = on(&home, &full, ["backup", "--json"]).run();
    let summary = run.summary();
    assert_eq!((run.status, &summary["outcome"]), (Some(16), &"failed".into()), "{run}");
    assert_eq!(
        (&summary["finding"], &summary["certainty"]),
        (&"destination/full".into(), &"confirmed".into()),
        "{run}"
    );
    assert!(!summary["evidence"].as_array().unwrap().is_empty(), "{run}");
    let finding = run.events().into_iter().find(|event| event["event"] == "finding").unwrap();
    assert_eq!(finding["cause"], "destination/full");
    assert!(run.err().contains("data"), "nobody is told which disk\n{run}");
    // Nothing was asked of the phone.
    assert_eq!(sim.traffic(&home)["files_sent"].as_u64().unwrap_or(0), 0);
    // The last run is over as soon as there is room again.
    assert_eq!(doctor(&home, &[]).status, Some(0));
}

#[test]
fn a_warning_does_not_stop_a_backup() {
    let (home, _sim) = trusted_phone();
    let tired = "[[usb.devices]]\nspeed = 12\n";
    let run = on(&home, tired, ["backup", "--json"]).run();
    assert_eq!((run.status, &run.summary()["outcome"]), (Some(0), &"done".into()), "{run}");
    assert_eq!(run.summary()["finding"], Value::Null);
    let told = run.events().into_iter().find(|event| event["cause"] == "bus/bad-cable").unwrap();
    assert_eq!((&told["severity"], &told["certainty"]), (&"warning".into(), &"possible".into()));
    // On a screen a guess is said to be one, and nothing is called a warning.
    let said = on(&home, tired, ["backup"]).ok().err();
    assert!(said.contains("note: possibly: ") && !said.contains("warning"), "{said}");
}

#[test]
fn one_break_is_a_guess_and_two_at_the_same_file_are_not() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "crash", "file=sms.db"]);
    let first = on(&home, "", ["backup"]).run();
    assert!(first.status == Some(17) && !first.err().contains("  found:"), "{first}");
    assert!(first.err().contains("possibly: One file or app"), "{first}");
    let second = on(&home, "", ["backup"]).run();
    let told = second.err();
    assert!(told.contains("  found: One file or app"), "{second}");
    assert!(told.contains("hint: Find out which app") && !told.contains("cable and"), "{second}");
}

#[test]
fn a_failed_backup_is_remembered_until_one_succeeds() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "error", "code=22", "text=disabled by MDM"]);
    let failed = home.lifeboat(["backup", "--json"]).run();
    let summary = failed.summary();
    assert_eq!(summary["finding"], "management/backup-forbidden", "{failed}");
    sim.ctl(&home, &["fault", "--clear"]);
    assert_eq!(primary(&doctor(&home, &[])), found(4, "management/backup-forbidden"));
    home.lifeboat(["backup"]).ok();
    let run = doctor(&home, &[]);
    assert_eq!((run.status, weighty(&run.json())), (Some(0), vec![]), "{run}");
}

#[test]
fn a_report_to_pass_on_names_nobody() {
    let mut home = home();
    let sim = Sim::start_phones(
        &mut home,
        &["profile = \"tiny\"\nname = \"Canary Quillfeather\"\n"],
        &[],
    );
    home.lifeboat(["pair"]).ok();
    on(&home, "", ["doctor", "--report", "report.md"]).ok();
    let file = home.path().join("report.md");
    let report = fs_err::read_to_string(&file).unwrap();
    for canary in [sim.udid(), "Canary", "Quillfeather", "sailor", home.path().as_str()] {
        assert!(!report.contains(canary), "{canary}\n{report}");
    }
    assert!(report.contains("| `pairing.state` | trusted |"), "{report}");
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs_err::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    on(&home, "", ["doctor", "--report", "report.md", "--with-identifiers"]).ok();
    let report = fs_err::read_to_string(&file).unwrap();
    assert!(report.contains(sim.udid()) && report.contains("Canary Quillfeather"), "{report}");
}

#[test]
fn answers_and_blind_probes_change_what_is_known() {
    let (home, _sim) = phone();
    let blind = doctor(&home, &["--blind", "P05"]);
    let report = blind.json();
    assert_ne!(primary(&blind), found(4, "pairing/not-trusted"), "{blind}");
    assert_eq!(report["facts"]["pairing.state"]["unknown"]["why"], "blinded");
    let answered = doctor(&home, &["--answer", "damage=yes"]).json();
    assert_eq!(answered["facts"]["answer.damage"], true);
    for wrong in ["damage=perhaps", "nonsense=yes", "damage"] {
        let run = doctor(&home, &["--answer", wrong]);
        assert_eq!(run.status, Some(2), "{run}");
    }
    let unasked = on(&home, "", ["doctor", "--ask"]).run();
    assert!(unasked.err().contains("no terminal to ask on"), "{unasked}");
}

#[test]
fn several_phones_need_a_choice_and_a_bad_machine_is_refused() {
    let mut home = home();
    let _sim = Sim::start_phones(
        &mut home,
        &["name = \"One\"\nseed = 1\n", "name = \"Two\"\nseed = 2\n"],
        &[],
    );
    assert_eq!(doctor(&home, &[]).status, Some(2));
    let refused = on(&home, "[nonsense]\n", ["doctor"]).run();
    assert_eq!(refused.status, Some(2), "{refused}");
}
