use lifeboat_testkit::Sim;

use crate::{SLOW, home, in_the_middle};

#[test]
fn ctrl_c_keeps_what_arrived_and_the_next_run_goes_on() {
    for terminate in [false, true] {
        let mut home = home();
        let sim = Sim::start_phones(&mut home, &[SLOW], &[]);
        home.lifeboat(["pair"]).ok();
        let running = home.lifeboat(["backup", "--json"]).start();
        in_the_middle(&running);
        if terminate {
            running.terminate();
        } else {
            running.interrupt();
        }
        let run = running.wait();
        assert_eq!(run.status, Some(130), "{run}");
        let summary = run.summary();
        assert_eq!(summary["cause"], "interrupted", "{run}");
        assert!(summary["files_kept"].as_u64() > Some(0), "{run}");
        assert!(run.err().contains("kept"), "{run}");
        assert_ne!(summary["finding"], "unknown", "{run}");

        let again = home.lifeboat(["backup", "--json"]).ok().summary();
        assert_eq!((&again["outcome"], &again["resumed"]), (&"done".into(), &true.into()));
        home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
        lifeboat_testkit::digest::assert_same(
            &lifeboat_testkit::digest::files(&home.path().join("out")),
            &sim.digest(&home),
        );
    }
}
