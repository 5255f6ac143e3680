//! P07: model and iOS.

use lifeboat_device::identity::identity;

use super::text;
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const TELLS: &[&str] =
    &["device.ios", "device.model", "device.beta", "device.ios-known", "device.activation"];

/// The versions of iOS that this program was made for.
const KNOWN: std::ops::RangeInclusive<u32> = 10..=27;

/// P07. Version and model are told without trust, the rest only to whom the device trusts.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let mut facts = Facts::new();
    let device = match context.device().await {
        Ok(device) => device,
        Err(why) => {
            facts.unknown(TELLS, &why);
            return facts;
        }
    };
    match context.values().await {
        Ok(values) => {
            let (version, build) = (text(values, "ProductVersion"), text(values, "BuildVersion"));
            let model = text(values, "ProductType").ok();
            told(&mut facts, version.ok(), build.ok().as_deref(), model);
            facts.tell(
                "device.activation",
                match text(values, "ActivationState").as_deref() {
                    Ok("Unactivated") => Value::from("unactivated"),
                    Ok(word) if word.ends_with("ctivated") => Value::from("activated"),
                    Ok(word) => Why::Garbled(format!("activation state {word}")).into(),
                    Err(why) => why.clone().into(),
                },
            );
        }
        Err(why) => {
            if let Ok(known) = context::shared(identity(&context.mux(), device)).await {
                told(&mut facts, known.version, known.build.as_deref(), known.model);
            }
            facts.unknown(TELLS, &why);
        }
    }
    facts
}

fn told(facts: &mut Facts, version: Option<String>, build: Option<&str>, model: Option<String>) {
    let unknown = || Value::Unknown(Why::NotThere("the device does not say".to_owned()));
    let known = version.as_deref().map(is_known);
    facts.tell("device.ios-known", known.flatten().map_or_else(unknown, Value::from));
    facts.tell("device.beta", build.map_or_else(unknown, |build| is_beta(build).into()));
    facts.tell("device.ios", version.map_or_else(unknown, Value::Text));
    facts.tell("device.model", model.map_or_else(unknown, Value::Text));
}

/// A beta build ends with a small letter (`23B5044l`); so do the builds of a few devices of their own, which end with `a`.
fn is_beta(build: &str) -> bool {
    // A build of a beta has a number of four digits or more behind its letter: 5000 and up.
    let digits: String = build
        .chars()
        .skip_while(|c| !c.is_ascii_uppercase())
        .skip(1)
        .take_while(char::is_ascii_digit)
        .collect();
    build.ends_with(|c: char| c.is_ascii_lowercase()) && digits.len() >= 4
}

fn is_known(version: &str) -> Option<&'static str> {
    let major: u32 = version.split('.').next()?.parse().ok()?;
    Some(if KNOWN.contains(&major) {
        "known"
    } else if major < *KNOWN.start() {
        "too-old"
    } else {
        "newer-than-this-program"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_builds_are_read() {
        assert_eq!(is_known("26.1"), Some("known"));
        assert_eq!(is_known("9.3.6"), Some("too-old"));
        assert_eq!(is_known("28"), Some("newer-than-this-program"));
        assert_eq!(is_known("noise"), None);
        assert!(is_beta("23B5044l") && is_beta("22A5282m"));
        assert!(!is_beta("23B85") && !is_beta("16A405a") && !is_beta(""));
    }
}
