//! A phone, a computer on which nothing is wrong, and what is put over both, for tests of what the doctor does.

use camino::Utf8PathBuf;
use lifeboat_testkit::{Home, Invocation, Run, Sim};
use serde_json::Value;

use crate::home;

/// A machine on which nothing is wrong, whatever the one that runs the test is like.
const MACHINE: &str = "processes = [\"usbmuxd\"]\nsleep = \"held-off\"\npower = \"mains\"\nvirtual-machine = false\n\
    [network]\n";
/// All its disks have room.
const ROOM: &str = "[[folders]]\nunder = \"/\"\nfree = 4_000_000_000_000\n";
/// Its kernel has nothing to say.
const SILENT: &str = "[kernel-log]\n";

/// A paired phone and a computer.
pub(crate) struct Scene {
    pub(crate) home: Home,
    pub(crate) sim: Sim,
    machine: Utf8PathBuf,
}

impl Scene {
    /// Makes one of a small phone with this description.
    pub(crate) fn paired(phone: &str) -> Self {
        let mut home = home();
        let phone = format!("profile = \"tiny\"\n{phone}");
        let sim = Sim::start_phones(&mut home, &[&phone], &[]);
        home.lifeboat(["pair"]).ok();
        let machine = home.path().join("machine.toml");
        let scene = Self { home, sim, machine };
        scene.machine("");
        scene
    }

    /// Puts tables over the description of the computer.
    pub(crate) fn machine(&self, more: &str) {
        self.machine_with_clock(0, more);
    }

    /// The same for a computer whose clock is that many seconds ahead; behind, where negative.
    pub(crate) fn machine_with_clock(&self, ahead: i64, more: &str) {
        let silent = if more.contains("[kernel-log]") { "" } else { SILENT };
        let clock = if ahead == 0 { String::new() } else { format!("clock = {ahead}\n") };
        fs_err::write(&self.machine, format!("{clock}{MACHINE}{silent}{ROOM}{more}"))
            .expect("a description");
    }

    /// Starts to put together a run of the program on this computer.
    pub(crate) fn lifeboat<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.home.lifeboat(["--machine", self.machine.as_str()]).args(arguments)
    }

    /// Asks the doctor.
    pub(crate) fn doctor(&self, arguments: &[&str]) -> Invocation {
        self.lifeboat(["doctor", "--offline"]).args(arguments)
    }

    /// Asks the doctor, who may ask the described network, too.
    pub(crate) fn doctor_online(&self, arguments: &[&str]) -> Invocation {
        self.lifeboat(["doctor"]).args(arguments)
    }

    /// What follows the name of the program, for a terminal.
    pub(crate) fn typed<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["--machine", self.machine.as_str(), "doctor", "--offline"];
        all.extend(arguments);
        all
    }

    /// Acts on the phone.
    pub(crate) fn ctl(&self, action: &[&str]) {
        self.sim.ctl(&self.home, action);
    }
}

/// The id of the primary cause; `-` where there is none.
pub(crate) fn primary(run: &Run) -> String {
    run.json()["primary"]["id"].as_str().unwrap_or("-").to_owned()
}

/// What `--fix` did: action, whether it was done, whether the cause is gone.
pub(crate) fn did(run: &Run) -> Vec<(String, bool, Option<bool>)> {
    let report = run.json();
    let fixed = report["fixed"].as_array().expect("a list");
    let row = |row: &Value| {
        let action = row["action"].as_str().expect("an action").to_owned();
        (action, row["done"] == true, row["gone"].as_bool())
    };
    fixed.iter().map(row).collect()
}

/// One row of [`did`].
pub(crate) fn row(action: &str, done: bool, gone: Option<bool>) -> (String, bool, Option<bool>) {
    (action.to_owned(), done, gone)
}
