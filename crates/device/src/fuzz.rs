//! The parsers of this crate that are not public, for fuzz targets; not for users.

use crate::pairing::PairingRecord;

/// Reads a pairing record, and the certificates and keys in it.
pub fn pairing_record(bytes: &[u8]) {
    if let Ok(record) = PairingRecord::parse(bytes) {
        drop(record.to_pairing_file());
    }
}
