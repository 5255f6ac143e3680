//! `docs/diagnosis.md`: what people meet most often, as two other programs print it and as Lifeboat says it. Our words are compared in
//! every run of the tests, all of it in `./test --long`. With `INSTA_UPDATE=always` the tests renew what they compare, one at a time.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use lifeboat_host::secret::write_private_file;
use lifeboat_testkit::stranger::stranger;
use lifeboat_testkit::{Home, Run, Sim};

use crate::home;
use crate::play::healthy;

const HEAD: &str = "# What others print, and what Lifeboat says\n\n\
    What people ask about most often when a backup fails, each played on a simulated iPhone. The programs are `idevicebackup2` of\n\
    libimobiledevice and `pymobiledevice3`, unmodified, as `./test` installs them; of long output the lines with the error are shown. They are\n\
    programs to make backups, and good ones: that they name no cause is no fault of theirs.\n\n\
    Made by a test; renew it with `INSTA_UPDATE=always cargo test -p lifeboat-cli --test doctor -- --ignored the_page`, or Lifeboat's\n\
    words alone with `INSTA_UPDATE=always cargo test -p lifeboat-cli --test doctor -- --test-threads 1 diagnosis::`.\n";

/// Seconds after which a program that others wrote is stopped: it waits for ever.
const PATIENCE: &str = "45";
/// Lines of the output of others that are shown.
const LINES: usize = 8;

/// Something that goes wrong.
struct Case {
    title: &'static str,
    /// The phone, as TOML.
    phone: &'static str,
    /// The phone has been trusting each program before.
    paired: bool,
    /// What befalls the phone after that.
    then: &'static [&'static str],
    /// What Lifeboat is asked.
    ask: &'static [&'static str],
    /// What the others are asked; the folder of the backups comes after it.
    others: Others,
    /// The backup password that somebody believes to be the phone's, for Lifeboat.
    believed: Option<&'static str>,
}

/// What `idevicebackup2` and `pymobiledevice3 backup2` are asked.
#[derive(Clone, Copy)]
struct Others {
    idevicebackup2: &'static [&'static str],
    pymobiledevice3: &'static [&'static str],
}

const BACKUP_BY_OTHERS: Others =
    Others { idevicebackup2: &["backup", "--full"], pymobiledevice3: &["backup", "--full"] };
const OFF_BY_OTHERS: Others = Others {
    idevicebackup2: &["encryption", "off", "summer"],
    pymobiledevice3: &["encryption", "off", "summer", "--backup-directory"],
};
/// The password that they are given.
const BELIEVED: &str = "summer";
const OFF: &[&str] = &["password", "off"];
const DOCTOR: &[&str] = &["doctor"];
/// A phone whose password is another.
const ENCRYPTED: &str = "[encryption]\npassword = \"Summer of 2017!\"\nrounds = 1000\n";
/// A phone on which somebody typed `encryption on --password sesame`.
const OPTION: &str = "[encryption]\npassword = \"--password\"\nrounds = 1000\n";
const OPTION_OFF_BY_OTHERS: Others = Others {
    idevicebackup2: &["encryption", "off", "sesame"],
    pymobiledevice3: &["encryption", "off", "sesame", "--backup-directory"],
};

const BACKUP: &[&str] = &["backup"];
const ICLOUD: &[&str] = &["doctor", "--for", "icloud"];
/// What people meet, the most often met first, and where it is played: every row says one or the other.
const MET: &[(&str, &[&str], Option<&str>)] = &[
    (
        "the password of the backup is unknown or wrong (207)",
        &[WRONG_PASSWORD, NO_PASSWORD, UNKNOWN_PASSWORD, OPTION_PASSWORD],
        Some("a wrong password when restoring, for Lifeboat does not restore to an iPhone yet"),
    ),
    (
        "trust and pairing (-17, -18, -19, -21)",
        &[TRUST_LOCKED, TRUST_DENIED, TRUST_PENDING, FORGOTTEN],
        Some("-20, a request without a name of the computer, no program at work sends"),
    ),
    ("the connection dies (-3, -4, broken pipe)", &[DROPPED], None),
    (
        "a backup over Wi-Fi is not found or lost",
        &[],
        Some("Lifeboat makes backups over a cable only, so far"),
    ),
    ("the passcode, the locked screen (208, 104)", &[LOCKED, PASSCODE, LOCKED_DURING_RUN], None),
    ("an earlier backup that is broken or not whole (205, 103)", &[BROKEN, UNREAD], None),
    (
        "a program that is too old for the iPhone (-1, -6)",
        &[HANDSHAKE, NEWER_PROTOCOL],
        Some("-6 only other versions of `idevicebackup2` print; the one here says -1 to both"),
    ),
    ("files cannot be uploaded (104)", &[UPLOAD], None),
    (
        "Find My forbids it (211)",
        &[],
        Some("a restore only, and Lifeboat does not restore to an iPhone yet"),
    ),
    ("the disk of the computer is full (105)", &[ROOM], None),
    ("management, set-up, a leftover snapshot (22, 212, 3)", &[MANAGED, SETUP, LEFTOVER], None),
    (
        "iCloud: no room, a helper that crashed, missing keys (303, 4097, 209)",
        &[QUOTA, HELPER, KEYS],
        None,
    ),
];

/// The other programs put the question of trust when they are asked for a backup; Lifeboat has a command for it.
const PAIR: &[&str] = &["pair", "--wait", "3s"];

/// A backup of such a phone; its title comes from the list.
const fn case(phone: &'static str) -> Case {
    Case {
        title: "",
        phone,
        paired: true,
        then: &[],
        ask: BACKUP,
        others: BACKUP_BY_OTHERS,
        believed: None,
    }
}

const fn icloud(phone: &'static str) -> Case {
    Case { ask: ICLOUD, ..case(phone) }
}

/// Runs one program on a fresh phone of the case.
fn with_phone(case: &Case, pair: fn(&Home), run: impl FnOnce(&Home) -> Run) -> (Run, Vec<String>) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[case.phone], &[]);
    if case.paired {
        pair(&home);
    }
    if !case.then.is_empty() {
        sim.ctl(&home, case.then);
    }
    let run = run(&home);
    let secrets = vec![sim.udid().to_owned(), home.path().to_string()];
    (run, secrets)
}

fn redacted(text: &str, secrets: &[String]) -> String {
    let [udid, home] = secrets else { return text.to_owned() };
    text.replace(udid, "UDID").replace(home.as_str(), "~")
}

/// What Lifeboat says: up to what else was looked at.
fn ours(case: &Case) -> String {
    let pair = |home: &Home| drop(home.lifeboat(["pair"]).ok());
    let (run, secrets) = with_phone(case, pair, |home| {
        let machine = healthy(home);
        if case.ask == ICLOUD || case.ask == DOCTOR {
            // Some of what is known about iCloud Backup and about passwords lies in a backup.
            home.lifeboat(["--machine", machine.as_str(), "backup"]).ok();
        }
        let mut asked = home.lifeboat(["--machine", machine.as_str()]).args(case.ask);
        if let Some(believed) = case.believed {
            let file = home.path().join("believed.txt");
            write_private_file(&file, believed.as_bytes()).expect("a file");
            asked = asked.env("BACKUP_PASSWORD_FILE", file);
        }
        asked.run()
    });
    let on_stdout = case.ask == ICLOUD || case.ask == DOCTOR;
    let text = if on_stdout { run.out() } else { run.err() };
    let rest = ["also seen", "checked, and fine", "could not be checked"];
    // The prompt for the passcode comes by another way than the error: whether it is shown before that is chance.
    let prompt =
        |line: &&str| line.starts_with("Waiting for the passcode") && run.status != Some(15);
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| !rest.contains(line))
        .filter(|line| !prompt(line))
        .map(str::trim_end)
        .collect();
    let status = run.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    format!("{}\n(exit {status})", redacted(&lines.join("\n"), &secrets).trim())
}

/// A line without what `pymobiledevice3` puts before its words: time, host and process, or the folder of its parts.
fn bare(line: &str) -> &str {
    match line.split_once("] ") {
        Some((before, words)) if before.contains(" pymobiledevice3.") => words,
        // Where its parts lie is the machine's own.
        _ => line.split_once("/site-packages/").map_or(line, |(_, of_package)| of_package),
    }
}

/// The lines of others that tell of the error, or the last ones.
fn telling(run: &Run, secrets: &[String]) -> String {
    let all = format!("{}\n{}", run.out(), run.err()).replace('\r', "\n");
    let all = redacted(&all, secrets);
    let lines: Vec<&str> =
        all.lines().map(|line| bare(line.trim())).filter(|line| !line.is_empty()).collect();
    let is_error = |line: &&&str| {
        let line = line.to_ascii_lowercase();
        ["error", "fail", "abort", "refuse", "passcode", "waiting", "cannot", "could not"]
            .iter()
            .any(|word| line.contains(word))
            // Lines of a stack trace say where a program stood, not what happened.
            && !line.starts_with(['│', '╭', '╰', '❱'])
            && !line.starts_with("file \"")
    };
    let fails = lines.iter().any(|line| line.starts_with("ERROR"));
    // That the sheet goes away comes by another way than the error: which is told first is chance.
    let is_chance = |line: &&&str| fails && line.contains("passcode prompt dismissed");
    let mut chosen: Vec<&str> =
        lines.iter().filter(|line| is_error(line) && !is_chance(line)).copied().collect();
    if chosen.is_empty() {
        chosen.extend(lines.last());
    }
    chosen.dedup();
    let shown: Vec<&str> = chosen.iter().rev().take(LINES).rev().copied().collect();
    let end = match run.status {
        // What `timeout` says.
        Some(124) => format!("stopped after {PATIENCE} seconds"),
        Some(status) => format!("exit {status}"),
        None => "ended by a signal".to_owned(),
    };
    format!("{}\n({end})", shown.join("\n"))
}

fn root(home: &Home) -> Utf8PathBuf {
    let root = home.path().join("theirs");
    fs_err::create_dir(&root).expect("a folder");
    root
}

fn idevicebackup2(case: &Case) -> String {
    let pair = |home: &Home| {
        for _ in 0..5 {
            if home.command("idevicepair").arg("pair").run().status == Some(0) {
                return;
            }
        }
    };
    let (run, secrets) = with_phone(case, pair, |home| {
        let root = root(home);
        home.command("timeout")
            .args([PATIENCE, "idevicebackup2"])
            .args(case.others.idevicebackup2)
            .arg(root)
            .run()
    });
    telling(&run, &secrets)
}

fn pymobiledevice3(case: &Case) -> String {
    let pair = |home: &Home| {
        let paired = home
            .command(stranger("pymobiledevice3"))
            .env("NO_COLOR", "1")
            .args(["lockdown", "info"])
            .ok();
        drop(paired);
    };
    let (run, secrets) = with_phone(case, pair, |home| {
        let root = root(home);
        home.command("timeout")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "200")
            .args([PATIENCE, stranger("pymobiledevice3").as_str()])
            .arg("backup2")
            .args(case.others.pymobiledevice3)
            .arg(root)
            .run()
    });
    telling(&run, &secrets)
}

fn our_part(case: &Case) -> String {
    let line = case.ask.join(" ");
    format!("`lifeboat {line}`:\n\n```text\n{}\n```\n", ours(case))
}

/// What another program is asked, without its options.
fn asked(program: &str, arguments: &[&str]) -> String {
    let words = arguments.iter().filter(|word| !word.starts_with('-'));
    words.fold(program.to_owned(), |line, word| format!("{line} {word}"))
}

fn section(case: &Case) -> String {
    let mut text = format!("\n## {}\n\n", case.title);
    if case.ask == ICLOUD {
        text.push_str("The other programs do not look at iCloud Backup.\n\n");
    } else {
        for (name, printed) in [
            (asked("idevicebackup2", case.others.idevicebackup2), idevicebackup2(case)),
            (asked("pymobiledevice3 backup2", case.others.pymobiledevice3), pymobiledevice3(case)),
        ] {
            let _ = write!(text, "`{name}`:\n\n```text\n{printed}\n```\n\n");
        }
    }
    text + &our_part(case)
}

/// Whether the page is to be made anew.
fn renews() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test itself, as insta has it")]
    let value = std::env::var_os("INSTA_UPDATE");
    value.is_some_and(|value| value == "always")
}

fn path() -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnosis.md")
}

/// Where each of the things that people meet is played, or why not.
fn table() -> String {
    let mut text = "\n| what people meet, most often first | played here |\n|---|---|\n".to_owned();
    for (met, titles, why_not) in MET {
        let mut cell = titles.join(" · ");
        match why_not {
            Some(why) if titles.is_empty() => cell = format!("not played: {why}"),
            Some(why) => cell = format!("{cell}; not played: {why}"),
            None => {}
        }
        let _ = writeln!(text, "| {met} | {cell} |");
    }
    text
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn the_page() {
    let page = CASES.iter().fold(HEAD.to_owned() + &table(), |page, case| page + &section(case));
    if renews() {
        fs_err::write(path(), &page).expect("the page can be written");
    }
    let there = fs_err::read_to_string(path()).unwrap_or_default();
    assert!(there == page, "docs/diagnosis.md is not what the programs print: renew it\n{page}");
}

#[test]
fn the_page_has_every_case() {
    let there = fs_err::read_to_string(path()).expect("the page");
    let titles: Vec<&str> = there.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let cases: Vec<&str> = CASES.iter().map(|case| case.title).collect();
    assert_eq!(titles, cases);
    let (head, sections) = there.split_once("\n## ").expect("sections");
    let fresh = HEAD.to_owned() + &table();
    if renews() {
        return fs_err::write(path(), format!("{fresh}\n## {sections}"))
            .expect("it can be written");
    }
    assert_eq!(head, fresh);
}

/// Each thing that people meet is played or says why not, and nothing is played that nobody meets.
#[test]
fn whatever_people_meet_is_played_or_says_why_not() {
    assert_eq!(MET.len(), 12);
    for (met, titles, why_not) in MET {
        assert!(!titles.is_empty() || why_not.is_some(), "{met}: neither");
    }
    let mut played: Vec<&str> = MET.iter().flat_map(|(_, titles, _)| *titles).copied().collect();
    let mut cases: Vec<&str> = CASES.iter().map(|case| case.title).collect();
    played.sort_unstable();
    cases.sort_unstable();
    assert_eq!(played, cases);
}

/// Our words of a case are in its section of the page.
fn is_said(case: &Case) {
    let there = fs_err::read_to_string(path()).expect("the page");
    let begin = format!("\n## {}\n", case.title);
    let section = there.split_once(&begin).map(|(_, rest)| rest).unwrap_or_default();
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let part = our_part(case);
    if renews() {
        let of_others = section.split("\n`lifeboat ").next().unwrap_or_default();
        let fresh = format!("{of_others}\n{}", part.trim_end());
        let fresh = there.replacen(section.trim_end(), &fresh, 1);
        return fs_err::write(path(), fresh).expect("the page can be written");
    }
    assert!(section.contains(part.trim_end()), "the page says\n{section}\nLifeboat says\n{part}");
}

/// The cases, and a test for each.
macro_rules! cases {
    ($($name:ident: $title:ident = $words:literal, $case:expr;)+) => {
        $(const $title: &str = $words;)+
        const CASES: &[Case] = &[$(Case { title: $title, ..$case }),+];
        $(
            #[test]
            fn $name() {
                is_said(&Case { title: $title, ..$case });
            }
        )+
    };
}

cases! {
    wrong_password: WRONG_PASSWORD = "The password of the backup is wrong (207)",
        Case { ask: OFF, others: OFF_BY_OTHERS, believed: Some(BELIEVED), ..case(ENCRYPTED) };
    no_password: NO_PASSWORD = "Management demands a backup password, and none is set (207)",
        case("[state.management]\nsupervised = true\nencrypted-backup = true\n");
    unknown_password: UNKNOWN_PASSWORD = "The iPhone has a backup password that nobody knows",
        Case { ask: DOCTOR, ..case(ENCRYPTED) };
    option_password: OPTION_PASSWORD = "An option of a program became the backup password",
        Case { ask: DOCTOR, others: OPTION_OFF_BY_OTHERS, ..case(OPTION) };
    trust_locked: TRUST_LOCKED = "The iPhone is locked and does not know the computer (-17)",
        Case { paired: false, ask: PAIR, ..case("[[fault]]\nname = \"locked\"\n") };
    trust_pending: TRUST_PENDING = "Nobody answers the trust dialog",
        Case { paired: false, ask: PAIR, ..case("[[fault]]\nname = \"trust-ignored\"\n") };
    trust_denied: TRUST_DENIED = "Don't Trust was tapped",
        Case { paired: false, ask: PAIR, ..case("[[fault]]\nname = \"trust-denied\"\n") };
    forgotten: FORGOTTEN = "The iPhone has forgotten the computer",
        Case { then: &["fault", "invalid-host"], ..case("") };
    locked: LOCKED = "The iPhone is locked", Case { then: &["fault", "locked"], ..case("") };
    dropped: DROPPED = "The connection dies in the middle",
        case("[[fault]]\nname = \"drop\"\nafter = 525\n");
    handshake: HANDSHAKE = "The encrypted connection is not made",
        case("[[fault]]\nname = \"tls-abort\"\nservice = \"com.apple.mobilebackup2\"\n");
    newer_protocol: NEWER_PROTOCOL = "The iPhone speaks a newer protocol than the program",
        case("[knobs]\ndevicelink = 500\n");
    passcode: PASSCODE = "Nobody types the passcode (208)",
        case("[knobs]\npasscode-timeout = 1\n[[fault]]\nname = \"passcode-ignored\"\n");
    locked_during_run: LOCKED_DURING_RUN = "The iPhone locks itself in the middle (104)",
        case("[[fault]]\nname = \"locked-during-run\"\nafter = 139\n");
    broken_backup: BROKEN = "The earlier backup is broken (205)",
        case("[[fault]]\nname = \"error\"\ncode = 205\n");
    unread_backup: UNREAD = "The earlier backup cannot be read (103)",
        case("[[fault]]\nname = \"error\"\ncode = 103\n");
    upload: UPLOAD = "Files cannot be uploaded (104)",
        case("[[fault]]\nname = \"error\"\ncode = 104\n");
    room: ROOM = "The disk of the computer is full (105)",
        case("[[fault]]\nname = \"error\"\ncode = 105\n");
    management: MANAGED = "Management forbids it (22)",
        case("[state.management]\nsupervised = true\nforbids = \"mdm\"\n");
    setup: SETUP = "Setup Assistant is not finished (212)", case("[state]\nsetup-finished = false\n");
    leftover: LEFTOVER = "A snapshot is left over (3)", case("[state]\nleftover = \"snapshot\"\n");
    quota: QUOTA = "iCloud: the storage is full (303)",
        icloud("[state.icloud]\nage-hours = 200\nerror = 303\nerror-text = \"Quota exceeded\"\nfailures = 6\n");
    helper: HELPER = "iCloud: a helper program crashed (4097)",
        icloud(
            "[state.icloud]\nage-hours = 200\nerror = 19\nerror-text = \"Couldn't communicate with a helper application. \
             (NSCocoaErrorDomain/4097)\"\nfailures = 2\n",
        );
    keys: KEYS = "iCloud: encryption keys are missing (209)",
        icloud("[state.icloud]\nage-hours = 200\nerror = 209\nerror-text = \"Missing encryption keys\"\nfailures = 6\nmissing-key-failures = 3\n");
}
