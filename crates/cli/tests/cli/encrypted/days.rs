//! Days in the life of an encrypted phone whose password changes on one of them.

use std::time::Duration;

use super::*;

/// The password from the day of the change on.
const OTHER: &str = "another word";

/// How long a phone lives.
struct Life {
    profile: &'static str,
    days: usize,
    /// The day of which the backup is the first with the other password, counted from one.
    change: usize,
    /// How long one program may take, and how long the simulator.
    limits: (Duration, Duration),
}

/// A day of it.
struct Day {
    summary: Value,
    /// SHA-256 of every file that was received.
    received: BTreeMap<String, String>,
}

impl Life {
    /// Backs up on each day, and compares what is handed back with what was received on that day; at the end every day around the change
    /// again, and with the last day stock restic checks the repository.
    fn is_handed_back(&self) {
        let mut home = home();
        let phone = phone("").replace("tiny", self.profile);
        let (one, all) = self.limits;
        let sim = Sim::start_phones_for(&mut home, &[&phone], &[], all);
        home.lifeboat(["pair"]).ok();
        knows(&mut home, PASSWORD);
        let mut proved = Proved::new();
        let mut days: Vec<Day> = Vec::new();
        for day in 1..=self.days {
            if day > 1 {
                self.lives(&home, &sim);
            }
            if day == self.change {
                change(&home);
            }
            let summary = home.lifeboat(["backup", "--json"]).limit(one).ok().summary();
            assert_eq!(summary["stored"], "opened", "day {day}: {summary}");
            assert_eq!(nothing_but_names(&summary), 0, "day {day}: {summary}");
            let kind = if day == 1 { "full" } else { "incremental" };
            assert_eq!(summary["kind"], kind, "day {day}: {summary}");
            let plain = digest::parse(&self.ctl(&home, &sim, &["digest"]));
            let sent = Sent { plain, ..control(&sim) };
            let folder = self.export(&home, &summary);
            let received = received(&folder, &sent, self.password(day), &mut proved);
            gone(&home, &folder);
            days.push(Day { summary, received });
        }
        // What was stored before the password changed comes out as it was, and so does the last.
        for day in self.days_again() {
            let Day { summary, received } = &days[day - 1];
            let folder = self.export(&home, summary);
            assert_same(&files(&folder), received);
            gone(&home, &folder);
        }
        let of_the_change = &days[self.change - 1].summary;
        assert!(of_the_change["password_generation"].is_string(), "{of_the_change}");
        home.lifeboat(["check", "--read-data"]).limit(all).ok();
        let key = home.lifeboat(["repo", "key"]).ok().out();
        let checked = home
            .command("restic")
            .env("RESTIC_REPOSITORY", home.repository())
            .env("RESTIC_PASSWORD", key.lines().last().unwrap_or_default())
            .args(["check", "--read-data"])
            .limit(all)
            .ok();
        assert!(checked.out().contains("no errors were found"), "{checked}");
    }

    fn password(&self, day: usize) -> &'static str {
        if day < self.change { PASSWORD } else { OTHER }
    }

    /// The first, the last before the change, the first behind it, and the last.
    fn days_again(&self) -> impl Iterator<Item = usize> {
        [1, self.change - 1, self.change, self.days].into_iter()
    }

    fn lives(&self, home: &Home, sim: &Sim) {
        self.ctl(home, sim, &["live", "--days", "1"]);
    }

    fn ctl(&self, home: &Home, sim: &Sim, action: &[&str]) -> String {
        let ctl = home.lifeboat(["sim", "ctl", "--state", sim.state.as_str()]);
        ctl.args(action).limit(self.limits.0).ok().out()
    }

    fn export(&self, home: &Home, summary: &Value) -> Utf8PathBuf {
        let snapshot = id(summary);
        home.lifeboat(["export", &snapshot, "out", "--as", "finder"]).limit(self.limits.0).ok();
        let mut inside = home.path().join("out").read_dir_utf8().unwrap();
        inside.next().unwrap().unwrap().path().to_owned()
    }
}

fn gone(home: &Home, folder: &Utf8Path) {
    assert!(folder.starts_with(home.path().join("out")));
    fs_err::remove_dir_all(home.path().join("out")).unwrap();
}

fn change(home: &Home) {
    let new = home.path().join("new-password");
    lifeboat_host::secret::write_private_file(&new, format!("{OTHER}\n").as_bytes()).unwrap();
    let changed = home.lifeboat(["password", "change", "--json"]);
    let changed = changed.env("BACKUP_PASSWORD_NEW_FILE", &new).ok().summary();
    assert_eq!((&changed["state"], &changed["proved"]), (&"changed".into(), &true.into()));
}

/// How many files stayed sealed for another reason than their name, which no way of opening changes.
fn nothing_but_names(summary: &Value) -> usize {
    let notes = summary["notes"].as_array().unwrap();
    let mut sealed = notes.iter().filter(|note| note["id"] == "sealed");
    let Some(note) = sealed.next() else { return 0 };
    let message = note["message"].as_str().unwrap();
    let all = summary["files_sealed"].as_u64().unwrap();
    let names = message.matches(" (name)").count();
    usize::try_from(all).unwrap() - names
}

#[test]
fn four_days_of_a_tiny_phone_with_a_change_come_out_as_they_were_received() {
    let minutes = Duration::from_mins;
    let limits = (minutes(2), minutes(10));
    Life { profile: "tiny", days: 4, change: 3, limits }.is_handed_back();
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn forty_days_of_an_ordinary_phone_with_a_change_come_out_as_they_were_received() {
    let minutes = Duration::from_mins;
    let limits = (minutes(10), minutes(100));
    Life { profile: "ordinary", days: 40, change: 17, limits }.is_handed_back();
}
