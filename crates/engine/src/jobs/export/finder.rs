//! Apple's own folder, byte for byte what the device sent.

use super::{Export, Renamed};
use crate::error::JobError;
use crate::working_tree::base;

/// Writes it.
pub(super) fn write(export: &mut Export<'_>) -> Result<Vec<Renamed>, JobError> {
    for byte in 0..=255u8 {
        export.folder(&format!("{byte:02x}"))?;
    }
    let (repository, snapshot) = (export.repository.clone(), export.snapshot);
    base::for_each_file(&repository, snapshot, |path, content, _| {
        export.file(&path, &content).map(drop)
    })?;
    Ok(Vec::new())
}
