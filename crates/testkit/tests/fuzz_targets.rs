//! Every fuzz target is built and begins with a right input, and nothing is left of one that is gone.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

fn fuzz() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Names of what a folder holds, without the ending.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fuzz().join(folder).read_dir_utf8().expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_owned())
        .collect()
}

#[test]
fn every_fuzz_target_is_a_program_and_has_a_corpus_and_the_reverse() {
    let manifest = fs_err::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let mut programs = BTreeSet::new();
    for program in manifest.split("[[bin]]\n").skip(1) {
        let value = |key: &str| {
            let line = program.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            line.trim_matches(['"', ' ', '=']).to_owned()
        };
        assert_eq!(value("path"), format!("targets/{}.rs", value("name")));
        programs.insert(value("name"));
    }
    assert!(!programs.is_empty());
    assert_eq!(names("targets"), programs, "fuzz/targets and the [[bin]] of fuzz/Cargo.toml");
    assert_eq!(names("corpus"), programs, "fuzz/corpus and the [[bin]] of fuzz/Cargo.toml");
    for name in programs {
        let seeds = fuzz().join("corpus").join(&name).read_dir_utf8().unwrap().count();
        assert!(seeds > 0, "fuzz/corpus/{name} is empty");
    }
}
