//! The table of probes, held against the catalogue.

use lifeboat_doctor::Catalogue;
use lifeboat_doctor::probe::PROBES;

#[test]
fn what_is_looked_at_again_is_a_probe() {
    for entry in Catalogue::builtin().entries() {
        for probe in entry.remedies.iter().flat_map(|remedy| &remedy.recheck) {
            assert!(PROBES.iter().any(|known| known.id == probe), "{}: {probe}", entry.id);
        }
    }
}
