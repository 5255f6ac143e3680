use lifeboat_testkit::digest::largest_file;

use crate::trusted_phone;

#[test]
fn a_whole_repository_is_said_to_be_whole() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let run = home.lifeboat(["check"]).ok();
    assert!(run.out().starts_with("whole: 1 snapshot and "), "{run}");
    let json = home.lifeboat(["check", "--read-data", "--json"]).ok().events().pop().unwrap();
    assert_eq!(json["outcome"], "done");
    assert_eq!(json["read_data"], true);
    assert!(json["bytes_read"].as_u64() > Some(0), "{json}");
}

#[test]
fn a_damaged_pack_is_found_and_ends_with_1() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let pack = largest_file(&home.repository().join("data"));
    let mut bytes = fs_err::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&pack, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs_err::write(&pack, bytes).unwrap();
    let run = home.lifeboat(["check", "--read-data"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.out().starts_with("damaged: "), "{run}");
    assert!(run.err().contains(pack.file_name().unwrap().get(..8).unwrap()), "{run}");
    let run = home.lifeboat(["check", "--read-data", "--json"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    let summary = run.events().pop().unwrap();
    assert_eq!(summary["outcome"], "failed");
    assert!(!summary["findings"].as_array().unwrap().is_empty());
}

#[test]
fn a_pack_that_is_gone_is_found_without_reading_everything() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::remove_file(largest_file(&home.repository().join("data"))).unwrap();
    let run = home.lifeboat(["check"]).run();
    assert_eq!(run.status, Some(1), "{run}");
}
