//! `lifeboat sim` as a process.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8PathBuf;

use crate::home::Home;
use crate::run::{Run, Running};

/// Simulated phones that run; they are gone when this is dropped.
#[derive(Debug)]
pub struct Sim {
    running: Running,
    /// Where they listen, for `USBMUXD_SOCKET_ADDRESS`.
    pub address: String,
    /// The folder that keeps them.
    pub state: Utf8PathBuf,
    /// The UDIDs, in order.
    pub udids: Vec<String>,
}

impl Sim {
    /// Starts phones, kept in `sim` below the home, and lets the home's programs see them.
    pub fn start(home: &mut Home, arguments: &[&str]) -> Self {
        Self::start_for(home, arguments, Duration::from_mins(10))
    }

    fn start_for(home: &mut Home, arguments: &[&str], limit: Duration) -> Self {
        let state = home.path().join("sim");
        let running =
            home.lifeboat(["sim", "--state", state.as_str()]).args(arguments).limit(limit).start();
        let Some(line) = running.next_line() else {
            panic!("the simulator printed nothing\n{}", running.wait());
        };
        let told: serde_json::Value = serde_json::from_str(&line).expect("the first line is JSON");
        let address = told["listening"].as_str().expect("an address").to_owned();
        let phones = told["phones"].as_array().expect("phones");
        let udids =
            phones.iter().map(|phone| phone["udid"].as_str().expect("a UDID").to_owned()).collect();
        home.connect(&address);
        Self { running, address, state, udids }
    }

    /// Starts phones described in TOML.
    pub fn start_phones(home: &mut Home, phones: &[&str], arguments: &[&str]) -> Self {
        Self::start_phones_for(home, phones, arguments, Duration::from_mins(10))
    }

    /// Starts phones described in TOML that may run that long.
    pub fn start_phones_for(
        home: &mut Home,
        phones: &[&str],
        arguments: &[&str],
        limit: Duration,
    ) -> Self {
        let mut all: Vec<String> = Vec::new();
        for (index, toml) in phones.iter().enumerate() {
            let file = home.path().join(format!("phone-{index}.toml"));
            fs_err::write(&file, toml).expect("a phone's description");
            all.extend(["--phone".to_owned(), file.to_string()]);
        }
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Self::start_for(home, &all, limit)
    }

    /// Returns the UDID of the first phone.
    pub fn udid(&self) -> &str {
        self.udids.first().expect("a phone")
    }

    /// Runs `sim ctl`; it must succeed.
    pub fn ctl(&self, home: &Home, action: &[&str]) -> Run {
        home.lifeboat(["sim", "ctl", "--state", self.state.as_str()]).args(action).ok()
    }

    /// Returns what the phone would put into a backup now: SHA-256 by `<Domain>/<relative path>`.
    pub fn digest(&self, home: &Home) -> BTreeMap<String, String> {
        crate::digest::parse(&self.ctl(home, &["digest"]).out())
    }

    /// Returns what went over the wire in the last job.
    pub fn traffic(&self, home: &Home) -> serde_json::Value {
        self.ctl(home, &["traffic"]).json()
    }

    /// Asks the simulator to stop and waits for it.
    #[cfg(unix)]
    pub fn stop(self) -> Run {
        self.running.interrupt();
        self.running.wait()
    }
}
