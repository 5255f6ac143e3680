//! What the device tells about its hardware, and its restart (`docs/protocol.md` 10.5).

use lifeboat_wire::lockdown::service;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::LinkError;
use crate::link::Link;
use crate::service::PlistService;

/// Reads an entry of the registry of hardware by its class; nothing where there is none.
///
/// The power source is `IOPMPowerSource`.
pub async fn registry_entry(link: &Link, class: &str) -> Result<Option<Dictionary>, LinkError> {
    let stream = link.start_service(service::DIAGNOSTICS_RELAY).await?;
    read_entry(&mut PlistService::new(stream), class).await
}

/// Restarts the device. It must be unlocked with its passcode afterwards.
pub async fn restart(link: &Link) -> Result<(), LinkError> {
    let stream = link.start_service(service::DIAGNOSTICS_RELAY).await?;
    ask_restart(&mut PlistService::new(stream)).await
}

async fn read_entry<S: AsyncRead + AsyncWrite + Unpin>(
    service: &mut PlistService<S>,
    class: &str,
) -> Result<Option<Dictionary>, LinkError> {
    let request = Dictionary::from_iter([
        ("Request", Value::from("IORegistry")),
        ("EntryClass", Value::from(class)),
    ]);
    let mut answer = service.ask("reading the registry of hardware", &request).await?;
    if answer.get("Status").and_then(Value::as_string) != Some("Success") {
        return Ok(None);
    }
    let inner = |value: Value, key: &str| value.into_dictionary().and_then(|mut d| d.remove(key));
    let entry = answer.remove("Diagnostics").and_then(|value| inner(value, "IORegistry"));
    Ok(entry.and_then(Value::into_dictionary).filter(|entry| !entry.is_empty()))
}

async fn ask_restart<S: AsyncRead + AsyncWrite + Unpin>(
    service: &mut PlistService<S>,
) -> Result<(), LinkError> {
    let request = Dictionary::from_iter([("Request", Value::from("Restart"))]);
    let answer = service.ask("asking for a restart", &request).await?;
    match answer.get("Status").and_then(Value::as_string) {
        Some("Success") => Ok(()),
        Some(word) => Err(LinkError::from_word(word)),
        None => Err(LinkError::Malformed("a restart without an answer".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::answering;

    fn nested(entry: Dictionary) -> Dictionary {
        let registry = Dictionary::from_iter([("IORegistry", Value::Dictionary(entry))]);
        Dictionary::from_iter([
            ("Status", Value::from("Success")),
            ("Diagnostics", Value::Dictionary(registry)),
        ])
    }

    #[tokio::test]
    async fn an_entry_is_read_and_its_absence_is_no_error() {
        let entry = Dictionary::from_iter([("Temperature", Value::from(2950))]);
        let refusal = Dictionary::from_iter([("Status", Value::from("UnknownRequest"))]);
        for (answer, wanted) in [(nested(entry.clone()), Some(entry)), (refusal, None)] {
            let (ours, theirs) = tokio::io::duplex(4096);
            let mut service = PlistService::new(ours);
            let (read, asked) = tokio::join!(
                read_entry(&mut service, "IOPMPowerSource"),
                answering(theirs, vec![answer])
            );
            assert_eq!(read.unwrap(), wanted);
            let class = asked[0].get("EntryClass").and_then(Value::as_string);
            assert_eq!(class, Some("IOPMPowerSource"));
        }
    }

    #[tokio::test]
    async fn a_restart_is_confirmed_or_refused() {
        for (word, works) in [("Success", true), ("UnknownRequest", false)] {
            let (ours, theirs) = tokio::io::duplex(4096);
            let answer = Dictionary::from_iter([("Status", Value::from(word))]);
            let mut service = PlistService::new(ours);
            let (ended, _) =
                tokio::join!(ask_restart(&mut service), answering(theirs, vec![answer]));
            assert_eq!(ended.is_ok(), works);
        }
    }
}
