//! The configuration: which format, which repository, and the secret of the cuts.

use serde::{Deserialize, Serialize};

use crate::error::Flaw;

/// The configuration of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_that_restic_wrote() {
        let json = br#"{"version":2,"id":"5956a3f67a6230d4a92cefb29529f10196c7d92582ec305fd71ff6d331d6271b","chunker_polynomial":"25b468838dcb75"}"#;
        let config = decode(json).unwrap();
        assert_eq!((config.version, config.chunker_polynomial.as_str()), (2, "25b468838dcb75"));
        assert_eq!(decode(br#"{"version":2}"#), Err(Flaw::Syntax), "it has a name");
    }

    proptest! {
        #[test]
        fn a_configuration_comes_back(
            version in any::<u32>(),
            id in any::<String>(),
            chunker_polynomial in any::<String>(),
        ) {
            let config = Config { version, id, chunker_polynomial };
            prop_assert_eq!(decode(&serde_json::to_vec(&config).unwrap()).unwrap(), config);
        }

        #[test]
        fn noise_does_no_harm(
            noise in prop::collection::vec(any::<u8>(), 0..100),
            text in r#"\{("(version|id|chunker_polynomial)":("[a-f0-9]{0,4}"|[0-9.e-]{1,12}|null|\[\]),?){0,4}\}"#,
        ) {
            drop(decode(&noise));
            drop(decode(text.as_bytes()));
        }
    }
}
