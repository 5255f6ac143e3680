//! Plays a scenario of the simulator through the real program: phone, faults, log, machine, what happens first, then the doctor.

use camino::Utf8Path;
use lifeboat_sim::scenario::{First, Mux, Purpose, Scenario, load};
use lifeboat_testkit::{Home, Run, Sim};
use serde_json::Value;
use toml::Table;

use crate::home;

/// A machine on which nothing is wrong, whatever the one that runs the test is like. A scenario's machine lies over it.
const MACHINE: &str = "processes = [\"usbmuxd\"]\nsleep = \"held-off\"\npower = \"mains\"\nvirtual-machine = false\n\
    [kernel-log]\n[network]\n";
/// What its disk has free, in bytes: enough for every phone.
const FREE: i64 = 4_000_000_000_000;

/// What is beside the scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing.
    Bare,
    /// Two things that do no harm.
    Odd,
    /// One probe sees nothing.
    Blind(String),
}

/// What the doctor said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Everything.
    pub(crate) report: Value,
    /// What happened before, for whoever reads a failure.
    pub(crate) before: String,
}

impl Said {
    /// The id of the primary cause; `-` where there is none.
    pub(crate) fn primary(&self) -> &str {
        self.report["primary"]["id"].as_str().unwrap_or("-")
    }

    /// Whether the primary cause is confirmed.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.report["primary"]["certainty"] == "confirmed"
    }

    /// The causes that are confirmed and weigh more than a note.
    pub(crate) fn confirmed(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array().expect("findings");
        let weighty = findings
            .iter()
            .filter(|finding| finding["certainty"] == "confirmed" && finding["severity"] != "note");
        weighty.filter_map(|finding| finding["id"].as_str()).collect()
    }

    /// A probe that told what decided.
    pub(crate) fn deciding_probe(&self) -> Option<String> {
        let evidence = self.report["primary"]["evidence"].as_array()?;
        let probes = self.report["probes"].as_array()?;
        let told = |key: &Value| {
            let tells =
                |probe: &&Value| probe["tells"].as_array().is_some_and(|all| all.contains(key));
            probes.iter().find(tells).and_then(|probe| probe["id"].as_str())
        };
        evidence.iter().find_map(|seen| told(&seen["key"])).map(str::to_owned)
    }
}

/// Plays a scenario and asks the doctor.
pub(crate) fn play(id: &str, variant: &Variant) -> Said {
    let scenario = load(id).expect("the scenario can be understood");
    let (mut phone, mut machine) = tables(id);
    if *variant == Variant::Odd {
        oddities(id, &mut phone, &mut machine);
    }
    let mut home = home();
    let phone = toml::to_string(&phone).expect("a phone");
    let mut sim = Some(Sim::start_phones(&mut home, &[&phone], &[]));
    let healthy = healthy(&home);
    let machine = write(&home, "machine.toml", &whole(machine), &udid(sim.as_ref()));
    let mut before = Vec::new();
    if scenario.paired {
        home.lifeboat(["pair"]).ok();
    }
    before.extend(happens_first(scenario, &home, &healthy));
    if let Some(sim) = &sim {
        for action in then(id) {
            sim.ctl(&home, &action.split(' ').collect::<Vec<_>>());
        }
    }
    let socket = home.path().join("mux");
    if scenario.mux != Mux::Served {
        let played = matches!(scenario.mux, Mux::Missing | Mux::Stopped);
        assert!(played, "{id}: nobody plays {:?} yet", scenario.mux);
        sim = None;
        if scenario.mux == Mux::Stopped {
            drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
        }
        home.connect(&format!("UNIX:{socket}"));
    }
    let run = ask(scenario, &home, &machine, variant);
    drop(sim);
    let before = before.iter().map(Run::to_string).collect();
    Said { report: run.json(), before }
}

fn udid(sim: Option<&Sim>) -> String {
    sim.map(|sim| sim.udid().replace('-', "")).unwrap_or_default()
}

fn ask(scenario: &Scenario, home: &Home, machine: &str, variant: &Variant) -> Run {
    let purpose = match scenario.purpose {
        Purpose::Computer => "computer",
        Purpose::Icloud => "icloud",
    };
    let mut doctor = home.lifeboat(["--machine", machine, "doctor", "--json", "--for", purpose]);
    if scenario.asks {
        doctor = doctor.args(["--fix"]);
    }
    if let Variant::Blind(probe) = variant {
        doctor = doctor.args(["--blind", probe]);
    }
    doctor.run()
}

/// Does what happens before anybody looks, on a machine on which nothing is wrong.
fn happens_first(scenario: &Scenario, home: &Home, machine: &str) -> Vec<Run> {
    let backup = || home.lifeboat(["--machine", machine, "backup", "--json"]);
    match scenario.first {
        First::None => Vec::new(),
        First::Backup => vec![backup().run()],
        First::TwoBackups => vec![backup().run(), backup().run()],
        First::BackupOk => vec![backup().ok()],
        First::Interrupted => {
            let running = backup().start();
            running.until("\"stage\":\"transfer\"");
            running.interrupt();
            vec![running.wait()]
        }
    }
}

fn file(id: &str) -> Table {
    let folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/scenarios");
    let text = fs_err::read_to_string(folder.join(format!("{id}.toml"))).expect("a scenario");
    toml::from_str(&text).expect("TOML")
}

/// The phone and the machine of a scenario, as its file has them.
fn tables(id: &str) -> (Table, Table) {
    let mut file = file(id);
    let mut take = |key: &str| match file.remove(key) {
        Some(toml::Value::Table(table)) => table,
        _ => Table::new(),
    };
    (take("phone"), take("machine"))
}

fn then(id: &str) -> Vec<String> {
    file(id).remove("then").map(|then| then.try_into().expect("texts")).unwrap_or_default()
}

/// Describes a machine on which nothing is wrong; returns its file.
pub(crate) fn healthy(home: &Home) -> String {
    write(home, "healthy.toml", &whole(Table::new()), "")
}

/// Puts a machine over one on which nothing is wrong.
fn whole(machine: Table) -> Table {
    let mut all: Table = toml::from_str(MACHINE).expect("TOML");
    lay_over(&mut all, machine);
    let rows = all.entry("folders").or_insert_with(|| {
        toml::Value::Array(vec![Table::from_iter([("under".to_owned(), "/".into())]).into()])
    });
    for row in rows.as_array_mut().into_iter().flatten() {
        set(row.as_table_mut().expect("a row"), "free", FREE.into());
    }
    all
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

fn write(home: &Home, name: &str, machine: &Table, udid: &str) -> String {
    let mut machine = machine.clone();
    // The simulated phone is the one that lies on the bus.
    let devices = machine.get_mut("usb").and_then(|usb| usb.get_mut("devices"));
    for device in devices.and_then(toml::Value::as_array_mut).into_iter().flatten() {
        set(device.as_table_mut().expect("a row"), "serial", udid.into());
    }
    let file = home.path().join(name);
    fs_err::write(&file, toml::to_string(&machine).expect("TOML")).expect("a machine");
    file.into_string()
}

/// Sets what is not set; says whether it did.
fn set(table: &mut Table, key: &str, value: toml::Value) -> bool {
    let free = !table.contains_key(key);
    table.entry(key).or_insert(value);
    free
}

/// Sets a value at a path, unless the scenario has something there; says whether it did.
fn set_below(table: &mut Table, path: &[&str], value: toml::Value) -> bool {
    let [first, rest @ ..] = path else { return false };
    if rest.is_empty() {
        return set(table, first, value);
    }
    let below = table.entry(*first).or_insert_with(|| Table::new().into());
    below.as_table_mut().is_some_and(|below| set_below(below, rest, value))
}

/// How many things that do no harm are known.
const ODDITIES: usize = 7;

/// Two things that do no harm, which ones by the id; where the scenario has something at that place, the next.
fn oddities(id: &str, phone: &mut Table, machine: &mut Table) {
    let seed = id.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31) ^ usize::from(byte));
    let step = 1 + seed / ODDITIES % (ODDITIES - 1);
    let order = (0..ODDITIES).map(|nth| (seed % ODDITIES + nth * step) % ODDITIES);
    // The number is a prime: every one of them comes once.
    let done = order.filter(|which| oddity(*which, phone, machine)).take(2).count();
    assert_eq!(done, 2, "{id} has room for two oddities");
}

fn oddity(which: usize, phone: &mut Table, machine: &mut Table) -> bool {
    match which {
        0 => set_below(phone, &["state", "battery", "level"], 30.into()),
        1 => set_below(phone, &["state", "utc-offset"], 19_800.into()),
        2 => {
            let device = Table::from_iter([("port".to_owned(), "1-2.3".into())]);
            set_below(machine, &["usb", "devices"], vec![device].into())
        }
        3 => set_below(
            phone,
            &["log", "lines"],
            vec!["SpringBoard: Application com.example.tidebook came to the front"].into(),
        ),
        4 => set_below(phone, &["ios"], "17".into()),
        5 => set_below(phone, &["name"], "Zoë's 🐚 & Søn".into()),
        _ => set_below(phone, &["state", "uptime-days"], 40.into()),
    }
}
