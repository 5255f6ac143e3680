//! P21: how the last run ended, as whoever ran it tells.

use crate::fact::{Facts, Why};
use crate::probe::ProbeContext;

pub(crate) const TELLS: &[&str] = &[
    "job.outcome",
    "job.kind",
    "job.stage",
    "job.code",
    "job.underlying",
    "job.link",
    "job.device-left",
    "job.same-place",
    "job.host-error",
    "job.cancelled",
    "job.prompt",
    "job.sync-lock",
    "job.harmless-errors",
    "job.unreadable-files",
    "job.complete",
    "job.slow",
];

/// P21.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    std::future::ready(last_run(&context.given)).await
}

fn last_run(given: &Facts) -> Facts {
    let mut facts = Facts::new();
    for (key, value) in given.iter() {
        if TELLS.contains(&key.as_str()) {
            facts.tell(key.as_str(), value.clone());
        }
    }
    let why = Why::NotThere("no run is known".to_owned());
    facts.unknown(TELLS, &why);
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::table;

    #[test]
    fn every_key_of_a_run_is_told() {
        for (key, _) in table().iter().filter(|(key, _)| key.as_str().starts_with("job.")) {
            assert!(TELLS.contains(&key.as_str()), "{key}");
        }
        let mut given = Facts::new();
        given.tell("job.code", 208);
        given.tell("storage.used", 5);
        let facts = last_run(&given);
        assert_eq!(facts.len(), TELLS.len());
        assert!(!facts.value("job.stage").unwrap().is_known());
    }
}
