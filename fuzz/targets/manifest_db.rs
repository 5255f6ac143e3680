//! `Manifest.db` from outside: SQLite and the rows in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_mobilesync::ManifestDb;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("lifeboat-fuzz-{}.db", std::process::id()));
    std::fs::write(&path, data).expect("a temporary file can be written");
    if let Ok(db) = ManifestDb::open(path.to_str().expect("a temporary path is UTF-8").into()) {
        let mut rows = 0_u32;
        _ = db.for_each(|_| rows += 1);
    }
    std::fs::remove_file(&path).expect("the temporary file is there");
});
