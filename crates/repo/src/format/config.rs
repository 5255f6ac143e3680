//! The configuration: which format, which repository, and the secret of the cuts.

use serde::Deserialize;

use crate::error::Flaw;

/// The configuration of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Config {
    pub(crate) version: u32,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) chunker_polynomial: String,
}

/// Reads the JSON of a configuration.
pub(crate) fn decode(json: &[u8]) -> Result<Config, Flaw> {
    serde_json::from_slice(json).map_err(|_| Flaw::Syntax)
}
