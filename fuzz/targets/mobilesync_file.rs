//! The `file` column of a manifest, and names of files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_mobilesync::{FileId, MbFile};

fuzz_target!(|data: &[u8]| {
    if let Ok(file) = MbFile::decode(data) {
        let again = MbFile::decode(&file.encode()).expect("a file that was read can be read again");
        assert_eq!(again, file);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(id) = text.parse::<FileId>()
    {
        assert_eq!(id.to_string(), text.to_lowercase());
    }
});
