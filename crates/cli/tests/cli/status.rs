use insta::assert_snapshot;

use crate::{home, trusted_phone};

#[test]
fn a_fresh_backup_is_well_and_an_old_one_ends_with_3() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let well = home.lifeboat(["status", "--max-age", "1h"]).ok().out();
    assert!(well.contains("Robin's iPhone") && well.contains("well"), "{well}");
    let json = home.lifeboat(["status", "--json"]).ok().json();
    assert_eq!(json["devices"][0]["udid"], sim.udid());
    assert_eq!(json["devices"][0]["stale"], false);
    std::thread::park_timeout(std::time::Duration::from_millis(1100));
    let old = home.lifeboat(["status", "--max-age", "1s"]).run();
    assert_eq!(old.status, Some(3), "{old}");
}

#[test]
fn without_a_repository_the_exit_is_10() {
    let home = home();
    assert_snapshot!(home.lifeboat(["snapshots"]).run().snapshot(&[(home.path().as_str(), "[HOME]")]), @r"
    exit: 10
    --- stdout
    --- stderr
    error: no repository at [HOME]/data/lifeboat/repository
    hint: Check the path, or make one with `lifeboat repo init`.
    ");
    for command in ["status", "snapshots", "check"] {
        let run = home.lifeboat([command]).run();
        assert_eq!(run.status, Some(10), "{run}");
        assert!(run.err().contains("hint:"), "{run}");
    }
}
