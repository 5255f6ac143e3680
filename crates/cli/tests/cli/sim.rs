use lifeboat_testkit::Sim;

use crate::{home, phone};

#[test]
fn the_first_line_tells_programs_where_the_phones_are() {
    let mut home = home();
    let sim = Sim::start_phones(
        &mut home,
        &["name = \"One\"\nseed = 1\n", "name = \"Two\"\nseed = 2\n"],
        &[],
    );
    assert_eq!(sim.udids.len(), 2);
    assert!(sim.address.starts_with("127.0.0.1:"), "{}", sim.address);
    let run = sim.stop();
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(run.out().lines().count(), 1, "{run}");
    let first = run.json();
    assert_eq!(first["phones"][1]["name"], "Two");
}

#[cfg(unix)]
#[test]
fn it_listens_on_a_socket_too() {
    let mut home = home();
    let path = home.path().join("mux");
    let sim = Sim::start(&mut home, &["--listen", &format!("UNIX:{path}")]);
    home.connect(&format!("UNIX:{path}"));
    let devices = home.lifeboat(["devices", "--json"]).ok().json();
    assert_eq!(devices["devices"][0]["udid"], sim.udid());
    home.connect(path.as_str());
    home.lifeboat(["devices"]).ok();
}

#[test]
fn the_same_seed_is_the_same_phone_and_another_is_another() {
    let digest = |seed: &str| {
        let mut home = home();
        let sim = Sim::start(&mut home, &["--seed", seed]);
        (sim.udid().to_owned(), sim.digest(&home).into_keys().collect::<Vec<_>>())
    };
    let (first, again, other) = (digest("7"), digest("7"), digest("8"));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
}

#[test]
fn life_changes_the_digest_and_survives_a_restart() {
    let (mut home, sim) = phone();
    let before = sim.digest(&home);
    sim.ctl(&home, &["live", "--days", "1"]);
    let after = sim.digest(&home);
    assert_ne!(before, after);
    sim.stop();
    let sim = Sim::start(&mut home, &["--profile", "tiny"]);
    assert_eq!(sim.digest(&home), after);
}

#[test]
fn faults_are_listed_set_and_refused() {
    let (home, sim) = phone();
    let table = sim.ctl(&home, &["fault", "--list"]).out();
    assert!(table.contains("path-traversal") && table.contains("WHAT IT DOES"), "{table}");
    let json = sim.ctl(&home, &["fault", "--list", "--json"]).json();
    assert!(json.as_array().unwrap().iter().all(|fault| fault["about"].is_string()));
    let ctl = |action: &[&str]| {
        home.lifeboat(["sim", "ctl", "--state", sim.state.as_str()]).args(action).run()
    };
    for (wrong, named) in [
        (&["fault", "earthquake"] as &[&str], "earthquake"),
        (&["fault", "drop", "before=1"], "before"),
        (&["fault", "drop", "after=soon"], "soon"),
        (&["fault", "error", "code=22", "reason=weather"], "weather"),
        (&["fault", "drop", "after"], "KEY=VALUE"),
        (&["set", "battery.colour=red"], "colour"),
        (&["dance"], "dance"),
        (&["passcode", "forget"], "forget"),
        (&["-u", "nobody", "lock"], "identifier"),
    ] {
        let run = ctl(wrong);
        assert_eq!(run.status, Some(2), "{wrong:?}\n{run}");
        assert!(run.err().contains(named), "{wrong:?}\n{run}");
    }
    assert_eq!(ctl(&["lock"]).status, Some(0));
    assert_eq!(sim.ctl(&home, &["state"]).json()["locked"], true);
    let nobody = home.lifeboat(["sim", "ctl", "--state", "nowhere", "lock"]).run();
    assert_eq!(nobody.status, Some(1), "{nobody}");
    assert!(nobody.err().contains("hint:"), "{nobody}");
}

#[test]
fn descriptions_that_make_no_sense_end_with_2() {
    let home = home();
    fs_err::write(home.path().join("odd.toml"), "colour = \"red\"\n").unwrap();
    for arguments in [
        &["sim", "--phone", "odd.toml"] as &[&str],
        &["sim", "--profile", "enormous"],
        &["sim", "--listen", "somewhere"],
        &["sim", "--phone", "absent.toml"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).run();
        assert_eq!(run.status, Some(2), "{run}");
    }
}

#[test]
fn the_phone_of_a_scenario_is_in_its_state_and_can_be_put_into_another() {
    let mut home = home();
    let sim = Sim::start(&mut home, &["--scenario", "power/low"]);
    let state = || sim.ctl(&home, &["state"]).json()["state"].clone();
    assert_eq!(state()["battery"]["level"], 9);
    sim.ctl(&home, &["set", "battery.level=55"]);
    sim.ctl(&home, &["set", "icloud.error=303"]);
    assert_eq!(
        (&state()["battery"]["level"], &state()["icloud"]["error"]),
        (&55.into(), &303.into())
    );
    let refused = ["sim", "ctl", "--state", sim.state.as_str(), "set", "battery.colour=red"];
    assert_eq!(home.lifeboat(refused).run().status, Some(2));
    let unknown = home.lifeboat(["sim", "--scenario", "power/nowhere"]).run();
    assert_eq!(unknown.status, Some(2), "{unknown}");
}
