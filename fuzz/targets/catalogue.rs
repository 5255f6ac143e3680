//! The catalogue in the cache: SQLite and the rows in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a temporary path is UTF-8");
    lifeboat_repo::fuzz::read_catalogue(path.into(), data).expect("the folder can be written to");
});
