use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::address::Address;
use super::*;

fn read(text: &str) -> Result<Address<'_>, String> {
    Address::parse("x", text).map_err(|error| error.to_string())
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused_by_name_and_others_are_nothing_to_us() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = || OsString::from_vec(b"/r\xff".to_vec());
    for name in VARIABLES.into_iter().chain(["LIFEBOAT_REPO", "LIFEBOAT_NEW"]) {
        let error = Environment::of([(name.into(), bad())]).check().unwrap_err();
        assert_eq!(error.to_string(), format!("the variable {name} is not UTF-8"));
    }
    let other = Environment::of([("LS_COLORS".into(), bad()), ("HOME".into(), "/h".into())]);
    assert!(other.check().is_ok());
    assert_eq!(other.get("HOME"), Some("/h"));
}

proptest! {
    #[test]
    fn addresses_come_back(
        path in "/[^/\\x00][^\\x00]{0,20}",
        octets: [u8; 4],
        groups: [u16; 8],
        port in 1_u16..,
        host in "[a-z][a-z0-9.-]{0,12}",
    ) {
        for prefix in ["", "UNIX:", "unix://"] {
            let text = format!("{prefix}{path}");
            prop_assert_eq!(read(&text), Ok(Address::Known(Mux::Unix(path.clone().into()))));
        }
        for ip in [IpAddr::from(octets), IpAddr::from(groups)] {
            let mux = Mux::Tcp(SocketAddr::from((ip, port)));
            let text = mux.to_string();
            prop_assert_eq!(read(&text), Ok(Address::Known(mux)));
        }
        let text = format!("{host}:{port}");
        prop_assert_eq!(read(&text), Ok(Address::Host(&host, port)));
    }

    #[test]
    fn noise_never_panics(noise in any::<String>(), near in "(unix:|UNIX:|\\[)?[a-z0-9:./\\]-]{0,16}(:[0-9]{0,6})?") {
        for text in [noise, near] {
            drop(Address::parse("x", &text));
            drop(ConfigFile::parse(&text));
        }
    }

    #[test]
    fn a_configuration_comes_back(texts in prop::collection::vec(prop::option::of("[ -~]{0,20}"), 3)) {
        let [repository, udid, area] = texts.try_into().expect("three");
        let mut table = toml::Table::new();
        for (key, value) in [("repository", &repository), ("udid", &udid), ("working-area", &area)] {
            if let Some(value) = value {
                table.insert(key.to_owned(), value.clone().into());
            }
        }
        let file = ConfigFile::parse(&table.to_string()).unwrap();
        prop_assert_eq!(file.repository, repository);
        prop_assert_eq!(file.udid, udid);
        prop_assert_eq!(file.working_area.map(Utf8PathBuf::into_string), area);
    }
}

fn home() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    (dir, path)
}

#[test]
fn defaults_lie_in_the_folders_of_the_xdg_specification() {
    let (_dir, home) = home();
    let settings =
        Settings::new(&Flags::default(), &Environment::from([("HOME", home.as_str())])).unwrap();
    assert_eq!(settings.repository, home.join(".local/share/lifeboat/repository").as_str());
    assert!(settings.repository_is_default);
    assert_eq!(settings.key_file, home.join(".config/lifeboat/repository.key"));
    assert_eq!(settings.working_area, home.join(".local/state/lifeboat/working"));
    assert_eq!(settings.cache, home.join(".cache/lifeboat"));
    let moved = Environment::from([
        ("HOME", home.as_str()),
        ("XDG_DATA_HOME", "/data"),
        ("XDG_CACHE_HOME", "no"),
    ]);
    let settings = Settings::new(&Flags::default(), &moved).unwrap();
    assert_eq!(settings.repository, "/data/lifeboat/repository");
    assert_eq!(settings.cache, home.join(".cache/lifeboat"));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let (_dir, home) = home();
    let file = home.join("config.toml");
    fs_err::write(
        &file,
        "repository = \"/from/file\"\nudid = \"file\"\nusbmuxd = \"127.0.0.1:5\"\n",
    )
    .unwrap();
    let flags = Flags { config: Some(file), ..Flags::default() };
    let plain = Environment::from([("HOME", home.as_str())]);
    let settings = Settings::new(&flags, &plain).unwrap();
    assert_eq!(
        (settings.repository.as_str(), settings.udid.as_deref()),
        ("/from/file", Some("file"))
    );
    assert_eq!(settings.mux.to_string(), "127.0.0.1:5");
    let environment = Environment::from([
        ("HOME", home.as_str()),
        ("LIFEBOAT_REPO", "/from/environment"),
        ("USBMUXD_SOCKET_ADDRESS", "UNIX:/run/mux"),
    ]);
    let settings = Settings::new(&flags, &environment).unwrap();
    assert_eq!(settings.repository, "/from/environment");
    assert_eq!(settings.mux, Mux::Unix("/run/mux".into()));
    let flags = Flags { repository: Some("/from/flag".into()), udid: Some("flag".into()), ..flags };
    let settings = Settings::new(&flags, &environment).unwrap();
    assert_eq!(
        (settings.repository.as_str(), settings.udid.as_deref()),
        ("/from/flag", Some("flag"))
    );
    assert_eq!(settings.key_file, home.join(".config/lifeboat/keys/%2Ffrom%2Fflag.key"));
}

#[test]
fn a_device_that_is_named_and_empty_is_refused_by_where_it_stands() {
    let (_dir, home) = home();
    let file = home.join("config.toml");
    fs_err::write(&file, "udid = \"\"\n").unwrap();
    let plain = [("HOME", home.as_str())];
    let empty = [("HOME", home.as_str()), ("LIFEBOAT_UDID", "")];
    let named = |udid: Option<&str>| Flags {
        config: Some(file.clone()),
        udid: udid.map(str::to_owned),
        ..Flags::default()
    };
    let udid = |flags: Flags, environment: Environment| {
        let settings = Settings::new(&flags, &environment);
        settings.map(|settings| settings.udid).map_err(|error| error.to_string())
    };
    let why = |error: Result<_, String>| error.unwrap_err();
    assert!(why(udid(named(None), plain.into())).starts_with("`udid` in the configuration file"));
    let variable = why(udid(named(None), empty.into()));
    assert!(variable.starts_with("the variable LIFEBOAT_UDID is empty"), "{variable}");
    assert!(why(udid(named(Some("")), plain.into())).starts_with("-u is empty"));
    // What does not count is not looked at.
    assert_eq!(udid(named(Some("U")), empty.into()), Ok(Some("U".to_owned())));
    assert_eq!(udid(Flags::default(), plain.into()), Ok(None));
}

#[test]
fn places_in_the_file_begin_at_its_folder_or_at_home_and_empty_ones_are_refused() {
    let (_dir, home) = home();
    let folder = home.join("etc");
    fs_err::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    let settings = |text: &str| {
        fs_err::write(&file, text).unwrap();
        let flags = Flags { config: Some(file.clone()), ..Flags::default() };
        Settings::new(&flags, &Environment::from([("HOME", home.as_str())]))
    };
    let found = settings(
        "repository = \"r\"\nworking-area = \"~/work\"\ncache = \"../cache\"\nrepository-password-file = \"/p\"\n",
    )
    .unwrap();
    assert_eq!(found.repository, folder.join("r").as_str());
    assert_eq!(found.working_area, home.join("work"));
    assert_eq!(found.cache, folder.join("../cache"));
    assert_eq!(found.password_file.as_deref(), Some(Utf8Path::new("/p")));
    // A scheme is no folder, and `~name` no home.
    for text in ["file:///r", "local:/r", "s3:bucket"] {
        assert_eq!(settings(&format!("repository = {text:?}\n")).unwrap().repository, text);
    }
    let found = settings("working-area = \"~name/work\"\n").unwrap();
    assert_eq!(found.working_area, folder.join("~name/work"));
    for key in ["repository", "working-area", "cache", "repository-password-file"] {
        let error = settings(&format!("{key} = \"\"\n")).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{key}` in the configuration file is empty")),
            "{error}"
        );
    }
}

#[test]
fn what_runs_keep_does_not_lie_in_the_repository() {
    let (_dir, home) = home();
    let settings = |repository: &str, area: &str| {
        let flags = Flags { repository: Some(repository.to_owned()), ..Flags::default() };
        let area = ("LIFEBOAT_WORKING_AREA", area);
        Settings::new(&flags, &Environment::from([("HOME", home.as_str()), area]))
    };
    for area in ["/r", "/r/work", "/x/../r/work"] {
        let error = settings("/r", area).unwrap_err();
        assert!(matches!(error, SettingsError::AreaInRepository { .. }), "{area}: {error}");
    }
    assert!(settings("file:///r", "/r/work").is_err());
    let found = settings("/r", "/r-work").unwrap();
    for (place, what) in [
        ("/r/export", Some("the repository")),
        ("/r", Some("the repository")),
        ("/r-work/x", Some("the working area")),
        ("/elsewhere", None),
        ("/", None),
    ] {
        assert_eq!(found.own_place_of(Utf8Path::new(place)), what, "{place}");
    }
    let state = home.join(".local/state/lifeboat/export");
    assert!(found.own_place_of(&state).is_some());
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let (_dir, home) = home();
    let file = home.join("config.toml");
    fs_err::write(&file, "repositry = \"/x\"\n").unwrap();
    let flags = Flags { config: Some(file), ..Flags::default() };
    let error = Settings::new(&flags, &Environment::from([("HOME", home.as_str())])).unwrap_err();
    let SettingsError::Parse { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("unknown field `repositry`"), "{source}");
}

#[test]
fn a_named_file_must_be_there() {
    let (_dir, home) = home();
    let flags = Flags { config: Some(home.join("none.toml")), ..Flags::default() };
    let error = Settings::new(&flags, &Environment::from([("HOME", home.as_str())])).unwrap_err();
    assert!(matches!(error, SettingsError::Read(_)));
}
