//! An entry of the doctor's catalogue: head and text, as they stand in a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_doctor::{Catalogue, Facts, For, diagnose};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let (catalogue, errors) = Catalogue::read(&[("fuzz/entry".to_owned(), text)]);
    assert!(catalogue.entries().len() + errors.len() >= 1);
    for concern in [For::Computer, For::Icloud] {
        assert!(diagnose(&catalogue, &Facts::new(), concern).findings.is_empty(), "nothing is found by not knowing");
    }
});
