//! `doctor --report`: a text that can be passed on names nobody, whoever planted the name and wherever.

use crate::scene::Scene;

/// Whoever helps asks for the words of the error and for the log: both are in it, without names unless somebody wants them in.
#[test]
fn what_a_failed_run_said_is_in_the_report() {
    let name = "Zoë Quillfeather's iPhone";
    let line = "BackupAgent2: Device has not yet been unlocked: Zoë-Quillfeathers-iPhone";
    let scene = Scene::paired(&format!("name = \"{name}\"\n[log]\nlines = [\"{line}\"]\n"));
    let path = "/.ba/mobile/Library/Quillfeather notes.db";
    let text = format!("text=Error opening file at path \"{path}\"");
    scene.ctl(&["fault", "error", "code=7", &text]);
    let run = scene.lifeboat(["backup", "--json"]).run();
    let summary = run.summary();
    let message = summary["message"].as_str().expect("a message");
    let report = |more: &[&str]| {
        scene.doctor(&["--report", "report.md"]).args(more).run();
        fs_err::read_to_string(scene.home.path().join("report.md")).unwrap()
    };
    let shown = report(&[]);
    let (_, after) = shown.split_once("- Its error: ").unwrap_or_else(|| panic!("{run}\n{shown}"));
    let begin = message.split(['"', '/']).next().expect("a beginning").trim();
    assert!(after.starts_with(begin) && !begin.is_empty(), "{message}\n{shown}");
    assert!(shown.contains("Device has not yet been unlocked: (left out)"), "{shown}");
    assert!(!shown.contains("Quillfeather"), "{shown}");
    let shown = report(&["--with-identifiers"]);
    assert!(shown.contains(&format!("- Its error: {message}")), "{message}\n{shown}");
}

/// What the phone is called, by itself: its serial number, IMEI and phone number, of its newest backup.
fn own_names(scene: &Scene) -> [String; 3] {
    let info = scene.lifeboat(["cat", "latest:backup/Info.plist"]).ok().out();
    ["Serial Number", "IMEI", "Phone Number"].map(|key| {
        let (_, rest) = info.split_once(&format!("<key>{key}</key>")).expect("a key");
        let (_, rest) = rest.split_once("<string>").expect("a text");
        rest.split_once('<').expect("an end").0.to_owned()
    })
}

/// A name that is known needs no word before it: neither what the phone tells of itself, nor what another line calls a network.
#[test]
fn a_name_is_left_out_where_it_stands_bare() {
    let scene = Scene::paired("name = \"Quillfeather\"\n");
    scene.lifeboat(["backup"]).ok();
    let own = own_names(&scene);
    let digits: String = own[2].chars().filter(char::is_ascii_digit).collect();
    let bare = [own[0].to_lowercase(), own[1].clone(), digits, "QUILLFEATHER".to_owned()];
    let said =
        format!("cannot join SSID: Quayside; {}; Quayside; 734003200 bytes free", bare.join("; "));
    scene.ctl(&["fault", "error", "code=7", &format!("text={said}")]);
    scene.lifeboat(["backup"]).run();
    scene.doctor(&["--report", "report.md"]).run();
    let report = fs_err::read_to_string(scene.home.path().join("report.md")).unwrap();
    let (_, error) = report.split_once("- Its error: ").unwrap_or_else(|| panic!("{report}"));
    let error = error.lines().next().unwrap();
    for name in bare.iter().map(String::as_str).chain(["Quayside"]) {
        assert!(!report.to_lowercase().contains(&name.to_lowercase()), "{name}\n{report}");
    }
    assert!(error.contains("cannot join") && error.contains("734003200 bytes free"), "{error}");
    // Each name became a mark, and nothing besides.
    assert_eq!(error.matches("(left out)").count(), bare.len() + 2, "{error}");
}

#[test]
fn what_names_somebody_is_left_out_wherever_it_stands() {
    let name = "Zoë Quillfeather's iPhone";
    let scene = Scene::paired(&format!("name = \"{name}\"\n"));
    scene.lifeboat(["backup"]).ok();
    let mut planted = vec![scene.sim.udid().to_owned(), name.to_owned()];
    planted.extend(own_names(&scene));
    let known: Vec<String> = planted.iter().map(|name| name.to_uppercase()).collect();
    planted.extend(known);
    // What looks like a name of somebody, and what this computer calls its owner.
    planted.extend(
        [
            "a4:83:e7:12:34:56",
            "robin.lane@icloud.com",
            "/Users/robinlane",
            "sailor",
            "192.168.7.23",
        ]
        .map(str::to_owned),
    );
    planted.push(scene.home.path().join("data").into_string());
    planted.push(scene.home.repository().into_string());
    // A phone may say anything where its version should stand, and a folder may be named as anything.
    let text = planted.join(", ");
    scene.ctl(&["set", &format!("version={text}")]);
    let data = scene.home.path().join("data");
    scene.machine(&format!("[[folders]]\nunder = \"{data}\"\nstate = \"io-error\"\n"));
    let file = scene.home.path().join("report.md");
    scene.doctor(&["--report", "report.md"]).run();
    let report = fs_err::read_to_string(&file).unwrap();
    for name in &planted {
        assert!(!report.to_lowercase().contains(&name.to_lowercase()), "{name}\n{report}");
    }
    assert!(report.contains("destination.state"), "{report}");
    scene.doctor(&["--report", "report.md", "--with-identifiers"]).run();
    let report = fs_err::read_to_string(&file).unwrap();
    for name in planted.iter().take(5) {
        assert!(report.contains(name.as_str()), "{name}\n{report}");
    }
}
