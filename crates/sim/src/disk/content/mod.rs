//! What is on the phone, one module a kind of data.

use super::DiskError;
use super::apps::InstalledApp;
use super::maker::Maker;

pub(crate) mod words;

/// Makes everything on a new phone and returns its apps.
pub(crate) fn create(maker: &mut Maker<'_>) -> Result<Vec<InstalledApp>, DiskError> {
    maker.directory("HomeDomain", "");
    Ok(Vec::new())
}
