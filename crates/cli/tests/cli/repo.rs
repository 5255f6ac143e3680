use crate::{home, trusted_phone};

#[test]
fn a_repository_that_is_missing_ends_with_10() {
    let (home, _sim) = trusted_phone();
    let run = home.lifeboat(["backup", "--repo", "nowhere", "--json"]).run();
    assert_eq!(run.status, Some(10), "{run}");
    assert_eq!(run.summary()["cause"], "repository-missing");
    assert!(!home.path().join("nowhere").exists());
}

#[test]
fn the_default_repository_is_made_with_a_private_key() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode =
            |path: &camino::Utf8Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.key_file()), 0o600);
        assert_eq!(mode(home.key_file().parent().unwrap()), 0o700);
        assert_eq!(mode(&home.repository()), 0o700);
    }
    let key = home.lifeboat(["repo", "key"]).ok().out();
    let last = key.lines().last().unwrap();
    assert_eq!(last, fs_err::read_to_string(home.key_file()).unwrap().trim_end());
    let told = home.lifeboat(["repo", "key", "--json"]).ok().json();
    assert_eq!(told["password"], last);
    assert_eq!(told["repository"], home.repository().as_str());
    let sheet = home.lifeboat(["repo", "sheet"]).ok().out();
    assert!(
        sheet.contains(last)
            && sheet.contains(home.repository().as_str())
            && sheet.contains("restic -r"),
        "{sheet}"
    );
    let stats = home.lifeboat(["repo", "stats", "--json"]).ok().json();
    assert_eq!(stats["snapshots"], 1);
    assert!(sheet.contains(stats["id"].as_str().unwrap()), "{sheet}");
}

#[test]
fn a_wrong_key_ends_with_12_and_so_does_none() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::write(home.path().join("wrong"), "not the password\n").unwrap();
    for command in [&["snapshots"] as &[&str], &["backup"], &["repo", "key"], &["check"]] {
        let run = home
            .lifeboat(command.iter().copied())
            .env("LIFEBOAT_REPO_PASSWORD_FILE", "wrong")
            .run();
        assert_eq!(run.status, Some(12), "{run}");
    }
    fs_err::remove_file(home.key_file()).unwrap();
    for command in ["snapshots", "backup"] {
        let run = home.lifeboat([command]).run();
        assert_eq!(run.status, Some(12), "{run}");
    }
    assert!(!home.key_file().exists(), "no new key may be made for an old repository");
}

#[test]
fn a_default_repository_that_is_gone_is_named_and_not_made_anew() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["repo", "sheet"]).ok();
    let away = home.path().join("away");
    fs_err::rename(home.repository(), &away).unwrap();
    // Gone, and the empty folder where a disk belongs.
    for is_empty in [false, true] {
        if is_empty {
            fs_err::create_dir(home.repository()).unwrap();
        }
        for command in ["backup", "snapshots", "status", "check"] {
            let run = home.lifeboat([command, "--json"]).run();
            assert_eq!(run.status, Some(10), "{run}");
            assert_eq!(run.events().pop().unwrap()["cause"], "repository-gone", "{run}");
            assert!(run.err().contains(home.repository().as_str()), "{run}");
            assert!(run.err().contains("repo init"), "{run}");
        }
        assert!(!home.repository().join("config").exists());
    }
    fs_err::remove_dir(home.repository()).unwrap();
    fs_err::rename(&away, home.repository()).unwrap();
    home.lifeboat(["backup"]).ok();
    // Who wants to begin anew says so.
    fs_err::rename(home.repository(), &away).unwrap();
    home.lifeboat(["repo", "init"]).ok();
    assert_eq!(home.lifeboat(["backup", "--json"]).ok().summary()["kind"], "full");
}

#[test]
fn a_repository_elsewhere_has_a_password_of_its_own() {
    let (home, _sim) = trusted_phone();
    fs_err::write(home.path().join("password"), "correct horse\n").unwrap();
    let with_password = |arguments: &[&str]| {
        home.lifeboat(arguments.iter().copied())
            .env("LIFEBOAT_REPO", home.path().join("elsewhere"))
            .env("LIFEBOAT_REPO_PASSWORD_FILE", "password")
            .ok()
    };
    with_password(&["repo", "init"]);
    with_password(&["backup"]);
    assert_eq!(with_password(&["repo", "key"]).out(), "correct horse\n");
    assert_eq!(
        with_password(&["snapshots", "--json"]).json()["snapshots"].as_array().unwrap().len(),
        1
    );
    let again = home
        .lifeboat(["repo", "init", "--repo", "elsewhere"])
        .env("LIFEBOAT_REPO_PASSWORD_FILE", "password")
        .run();
    assert_eq!(again.status, Some(2), "{again}");
}

#[test]
fn an_initialised_repository_gets_a_key_beside_the_configuration() {
    let home = home();
    let made = home.lifeboat(["repo", "init", "--repo", "elsewhere", "--json"]).ok().json();
    let key_file = made["key_file"].as_str().unwrap();
    assert!(key_file.starts_with(home.path().join("config/lifeboat/keys").as_str()), "{made}");
    assert_eq!(made["recovery_sheet"], "not yet shown");
    let key = home.lifeboat(["repo", "key", "--repo", "elsewhere"]).ok().out();
    assert_eq!(key, fs_err::read_to_string(key_file).unwrap());
}

#[test]
fn the_sheet_is_announced_until_it_was_shown() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "drop", "after=200"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(17), "{run}");
    assert!(home.repository().join("config").is_file());
    assert_eq!(run.summary()["recovery_sheet"], "not yet shown", "{run}");
    sim.ctl(&home, &["fault", "--clear"]);
    let told = |home: &lifeboat_testkit::Home| {
        home.lifeboat(["backup", "--json"]).ok().summary()["recovery_sheet"].clone()
    };
    assert_eq!(told(&home), "not yet shown");
    home.lifeboat(["repo", "sheet"]).ok();
    assert_eq!(told(&home), serde_json::Value::Null);
    let run = home.lifeboat(["backup"]).ok();
    assert!(!run.err().contains("recovery sheet"), "{run}");
}

#[test]
fn a_repository_is_not_made_among_other_files() {
    let home = home();
    let folder = home.path().join("documents");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("thesis.odt"), "mine").unwrap();
    let run = home.lifeboat(["repo", "init", "--repo", "documents", "--json"]).run();
    assert_eq!(run.status, Some(2), "{run}");
    assert_eq!(run.summary()["cause"], "target-not-empty", "{run}");
    assert!(run.err().contains("documents is not empty: thesis.odt lies there"), "{run}");
    assert_eq!(folder.read_dir_utf8().unwrap().count(), 1, "nothing is made there");
    assert!(!home.key_file().exists(), "nor anywhere else");
    // Empty, or absent: there it is made.
    fs_err::remove_file(folder.join("thesis.odt")).unwrap();
    home.lifeboat(["repo", "init", "--repo", "documents"]).ok();
    home.lifeboat(["repo", "init", "--repo", "absent/below"]).ok();
    assert!(home.path().join("absent/below/config").exists());
}

/// The password of the key file was generated, one in a file of the person's was not.
#[test]
fn only_a_generated_password_is_derived_cheaply() {
    let home = home();
    fs_err::write(home.path().join("chosen"), "correct horse\n").unwrap();
    for (name, password, cost) in [("generated", None, 15), ("given", Some("chosen"), 17)] {
        let mut init = home.lifeboat(["repo", "init", "--repo", name]);
        if let Some(file) = password {
            init = init.env("LIFEBOAT_REPO_PASSWORD_FILE", file);
        }
        init.ok();
        let keys = home.path().join(name).join("keys");
        let key = keys.read_dir_utf8().unwrap().next().unwrap().unwrap();
        let key: serde_json::Value =
            serde_json::from_slice(&fs_err::read(key.path()).unwrap()).unwrap();
        assert_eq!(key["N"], 1 << cost, "{name}");
    }
    // A key file that somebody wrote holds what somebody chose.
    fs_err::write(home.key_file(), "correct horse\n").unwrap();
    home.lifeboat(["repo", "init"]).ok();
    let keys = home.repository().join("keys");
    let key = keys.read_dir_utf8().unwrap().next().unwrap().unwrap();
    let key: serde_json::Value =
        serde_json::from_slice(&fs_err::read(key.path()).unwrap()).unwrap();
    assert_eq!(key["N"], 1 << 17);
}
