//! P25, P26: Apple's list of the state of its services, and its list of iOS versions. Both are hostile: a proxy may answer.

use std::time::Duration;

use jiff::Timestamp;
use lifeboat_host::net::{Get, Trust};
use serde_json::Value as Json;

use super::{network::trust, nothing, plain, text};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context::network as network_why;

pub(crate) const STATUS: &[&str] = &["apple.status", "apple.status-services"];
pub(crate) const VERSIONS: &[&str] = &["device.ios-age"];

/// Both lists are below a megabyte; what is longer is not read.
const SIZE: usize = 4 << 20;
const LIMIT: Duration = Duration::from_secs(4);

/// Services that iCloud Backup stands on, in small letters, as the list names them. Upgrades of the storage plan and iCloud Drive are
/// none of them.
const SERVICES: [&str; 5] =
    ["icloud backup", "icloud account & sign in", "apple account", "apple id", "cloudkit"];

/// P25.
pub(crate) async fn status(context: &ProbeContext) -> Facts {
    let outside = &context.outside;
    let get =
        Get { url: outside.status_page.clone(), trust: trust(outside), size: SIZE, limit: LIMIT };
    let page = match context.host.network().get(&get).await {
        Ok(page) if page.status == 200 => page,
        Ok(page) => {
            let why = Why::Refused(format!("the page answers {}", page.status));
            return nothing(STATUS, &why);
        }
        Err(error) => return nothing(STATUS, &network_why(&error)),
    };
    match parse_status(&page.body, context.host.now()) {
        Ok(status) => {
            let mut facts = Facts::new();
            let word = match (status.services.is_empty(), status.is_outage) {
                (true, _) => "ok",
                (false, true) => "outage",
                (false, false) => "disturbed",
            };
            facts.tell("apple.status", word);
            facts.tell("apple.status-services", Value::Text(status.services.join(", ")));
            facts
        }
        Err(why) => nothing(STATUS, &why),
    }
}

/// What Apple's list says of the services that iCloud Backup stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Those that have an event now.
    pub services: Vec<String>,
    /// One of them is down, and not for some people only.
    pub is_outage: bool,
}

/// Reads the list of services: JSON, in earlier years with a function around it. What is over at `now`, or has not begun, does not
/// count.
pub fn parse_status(bytes: &[u8], now: Timestamp) -> Result<Status, Why> {
    let garbled = |what: &str| Why::Garbled(what.to_owned());
    if bytes.len() > SIZE {
        return Err(garbled("a status page that is too long"));
    }
    let (Some(begin), Some(end)) =
        (bytes.iter().position(|byte| *byte == b'{'), bytes.iter().rposition(|byte| *byte == b'}'))
    else {
        return Err(garbled("a status page without a list"));
    };
    let inner = bytes.get(begin..=end).unwrap_or_default();
    let list: Json =
        serde_json::from_slice(inner).map_err(|_| garbled("a status page that is no JSON"))?;
    let services = list.get("services").and_then(Json::as_array);
    let services = services.ok_or_else(|| garbled("a status page without services"))?;
    let mut status = Status::default();
    for service in services {
        let Some(name) = service.get("serviceName").and_then(Json::as_str) else { continue };
        if !SERVICES.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let events = service.get("events").and_then(Json::as_array).into_iter().flatten();
        let ongoing: Vec<&Json> = events.filter(|event| is_ongoing(event, now)).collect();
        if !ongoing.is_empty() && status.services.len() < SERVICES.len() {
            status.services.push(plain(name));
            status.is_outage |= ongoing.iter().any(|event| is_outage(event));
        }
    }
    Ok(status)
}

fn word(event: &Json, key: &str) -> String {
    event.get(key).and_then(Json::as_str).unwrap_or_default().to_ascii_lowercase()
}

/// An event is over when the list says so, or its end lies behind; maintenance that lies ahead has not begun.
fn is_ongoing(event: &Json, now: Timestamp) -> bool {
    let milliseconds = |key: &str| event.get(key).and_then(Json::as_i64);
    let over = milliseconds("epochEndDate").is_some_and(|end| end < now.as_millisecond());
    let ahead = milliseconds("epochStartDate").is_some_and(|start| start > now.as_millisecond());
    let said = matches!(word(event, "eventStatus").as_str(), "resolved" | "completed" | "upcoming");
    !(said || over || ahead)
}

/// An event that keeps everybody out. The list also has issues and maintenance, and says of many that some users are affected.
fn is_outage(event: &Json) -> bool {
    word(event, "statusType") == "outage" && !word(event, "usersAffected").contains("some")
}

/// P26.
pub(crate) async fn versions(context: &ProbeContext) -> Facts {
    match newest(context).await {
        Ok(word) => {
            let mut facts = Facts::new();
            facts.tell("device.ios-age", word);
            facts
        }
        Err(why) => nothing(VERSIONS, &why),
    }
}

async fn newest(context: &ProbeContext) -> Result<&'static str, Why> {
    let values = context.values().await?;
    let (model, own) = (text(values, "ProductType")?, text(values, "ProductVersion")?);
    let outside = &context.outside;
    // Apple's own authority signs this host (`docs/sources.md`): no other counts, but one that the person names.
    let trust = outside.trusted.clone().map_or(Trust::Apple, Trust::Also);
    let get = Get { url: outside.version_page.clone(), trust, size: SIZE, limit: LIMIT };
    let page = context.host.network().get(&get).await.map_err(|error| network_why(&error))?;
    if page.status != 200 {
        return Err(Why::Refused(format!("the page answers {}", page.status)));
    }
    let newest = parse_versions(&page.body, &model)?;
    Ok(if is_older(&own, &newest) { "outdated" } else { "current" })
}

/// Reads the newest iOS for a model out of the list of versions.
pub fn parse_versions(bytes: &[u8], model: &str) -> Result<String, Why> {
    let garbled = |what: &str| Why::Garbled(what.to_owned());
    if bytes.len() > SIZE {
        return Err(garbled("a list of versions that is too long"));
    }
    let list: Json =
        serde_json::from_slice(bytes).map_err(|_| garbled("a list of versions that is no JSON"))?;
    let rows = list.pointer("/PublicAssetSets/iOS").and_then(Json::as_array);
    let rows = rows.ok_or_else(|| garbled("a list of versions without iOS"))?;
    let fits = |row: &&Json| {
        let models = row.get("SupportedDevices").and_then(Json::as_array);
        models.into_iter().flatten().any(|name| name.as_str() == Some(model))
    };
    let versions = rows.iter().filter(fits).filter_map(|row| {
        row.get("ProductVersion").and_then(Json::as_str).filter(|text| !numbers(text).is_empty())
    });
    let newest = versions.max_by_key(|version| numbers(version));
    newest
        .map(plain)
        .ok_or_else(|| Why::NotThere("the list of versions does not name the model".to_owned()))
}

/// The numbers of a version, without zeros at its end; empty for what is none.
fn numbers(version: &str) -> Vec<u32> {
    let parts: Option<Vec<u32>> =
        version.split('.').take(5).map(|part| part.trim().parse().ok()).collect();
    let mut parts = parts.unwrap_or_default();
    while parts.last() == Some(&0) {
        parts.pop();
    }
    parts
}

fn is_older(own: &str, newest: &str) -> bool {
    let (own, newest) = (numbers(own), numbers(newest));
    !own.is_empty() && own < newest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lifeboat_device::MuxAddress;
    use lifeboat_host::fake::FakeHost;
    use lifeboat_host::machine::Machine;
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_000_000).unwrap()
    }

    fn listed(name: &str, event: &str) -> Status {
        let list = format!(
            "jsonCallback({{\"services\":[{{\"serviceName\":\"{name}\",\"events\":[{{{event}}}]}}]}});"
        );
        parse_status(list.as_bytes(), now()).unwrap()
    }

    #[test]
    fn an_outage_that_concerns_backups_is_named() {
        let ongoing = r#""statusType":"Outage","eventStatus":"ongoing""#;
        let down = listed("iCloud Backup", ongoing);
        assert_eq!(
            (down.services.as_slice(), down.is_outage),
            (&["iCloud Backup".to_owned()][..], true)
        );
        for other in ["Apple Music", "iCloud Storage Upgrades", "iCloud Drive"] {
            assert_eq!(listed(other, ongoing), Status::default(), "{other}");
        }
    }

    #[test]
    fn what_is_over_or_ahead_is_no_outage() {
        for event in [
            r#""statusType":"Outage","eventStatus":"resolved""#,
            r#""statusType":"Outage","eventStatus":"ongoing","epochEndDate":1500000000000"#,
            r#""statusType":"Outage","eventStatus":"ongoing","epochStartDate":2000000000000"#,
        ] {
            assert_eq!(listed("iCloud Backup", event), Status::default(), "{event}");
        }
    }

    #[test]
    fn what_some_people_meet_is_only_a_disturbance() {
        for event in [
            r#""statusType":"Outage","eventStatus":"ongoing","usersAffected":"Some users are affected""#,
            r#""statusType":"Issue","eventStatus":"ongoing","usersAffected":"All users are affected""#,
            r#""statusType":"Maintenance","eventStatus":"ongoing""#,
            r#""eventStatus":"ongoing""#,
        ] {
            let status = listed("iCloud Backup", event);
            assert!(status.services.len() == 1 && !status.is_outage, "{event}");
        }
    }

    #[test]
    fn what_is_no_list_is_garbled() {
        for text in ["", "<html>sign in</html>", "{}", "{\"services\":5}", "}{", "{{{"] {
            assert!(matches!(parse_status(text.as_bytes(), now()), Err(Why::Garbled(_))), "{text}");
        }
        let odd = "{\"services\":[5,{\"serviceName\":3},{\"serviceName\":\"iCloud Backup\",\"events\":7}]}";
        assert_eq!(parse_status(odd.as_bytes(), now()).unwrap(), Status::default());
        let deep = "[".repeat(100_000);
        assert!(parse_status(format!("{{\"services\":{deep}}}").as_bytes(), now()).is_err());
    }

    #[tokio::test]
    async fn a_status_page_of_a_gigabyte_is_not_read() {
        let text =
            "[network]\n[[network.pages]]\nurl = \"https://www.apple.com/*\"\nsize = 1000000000";
        let machine = Machine::parse(Arc::new(FakeHost::default()), text).unwrap();
        let mux = MuxAddress::Unix("/nonexistent".into());
        let facts = status(&ProbeContext::new(Arc::new(machine), mux)).await;
        assert!(matches!(facts.value("apple.status"), Some(Value::Unknown(Why::Garbled(_)))));
    }

    #[test]
    fn the_newest_version_for_a_model_is_found() {
        let list = br#"{"PublicAssetSets":{"iOS":[
            {"ProductVersion":"18.7.2","SupportedDevices":["iPhone11,8","iPhone15,2"]},
            {"ProductVersion":"26.10","SupportedDevices":["iPhone15,2"]},
            {"ProductVersion":"26.9.1","SupportedDevices":["iPhone15,2"]},
            {"ProductVersion":"noise","SupportedDevices":["iPhone15,2"]},{"SupportedDevices":5},7]}}"#;
        assert_eq!(parse_versions(list, "iPhone15,2").unwrap(), "26.10");
        assert_eq!(parse_versions(list, "iPhone11,8").unwrap(), "18.7.2");
        assert!(matches!(parse_versions(list, "iPhone1,1"), Err(Why::NotThere(_))));
        assert!(is_older("26.9", "26.10") && !is_older("26.10", "26.10.0") && !is_older("x", "26"));
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>(), text in "[{}\\[\\]\":,a-z0-9]{0,60}") {
            drop(parse_status(&bytes, now()));
            drop(parse_status(text.as_bytes(), now()));
            drop(parse_versions(&bytes, "iPhone15,2"));
            drop(parse_versions(text.as_bytes(), "iPhone15,2"));
        }
    }
}
