//! P18, P19, P30: apps, photos and videos, iCloud Photos. The first two take their time and stop in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifeboat_device::apps::{self, App};
use lifeboat_device::{LinkError, media};

use super::{bytes, nothing};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const APPS: &[&str] = &["apps.biggest", "apps.bytes", "apps.downloading", "apps.vpn"];
pub(crate) const MEDIA: &[&str] = &["media.bytes", "media.files"];
pub(crate) const PHOTOS: &[&str] = &["media.icloud-photos"];

/// When the slow ones stop: before their own limit.
const ENOUGH: Duration = Duration::from_millis(1500);
/// How many of the biggest apps are named.
const BIGGEST: usize = 5;

/// Apps that are a VPN or a filter, by how their identifiers begin. No list is whole: one that is not in it may be there.
const FILTERS: [&str; 22] = [
    "com.wireguard.ios",
    "net.openvpn.connect",
    "com.nordvpn",
    "com.expressvpn",
    "ch.protonmail.vpn",
    "com.surfshark",
    "com.privateinternetaccess",
    "com.cyberghostsrl",
    "net.mullvad",
    "com.cloudflare.1dot1dot1dot1",
    "com.cloudflare.warp",
    "com.adguard.ios",
    "com.nextdns",
    "io.nextdns",
    "com.tailscale",
    "io.tailscale.ipn.ios",
    "com.cisco.anyconnect",
    "com.zscaler",
    "com.paloaltonetworks.globalprotect",
    "com.fortinet.forticlient",
    "com.lookout",
    "org.torproject.orbot",
];

/// P18.
pub(crate) async fn apps(context: &ProbeContext) -> Facts {
    let link = match context.link().await {
        Ok(link) => link,
        Err(why) => return nothing(APPS, &why),
    };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ended =
        tokio::time::timeout(ENOUGH, apps::list(link, true, |app| lock(&heard).push(app))).await;
    let found = std::mem::take(&mut *lock(&heard));
    apps_of(found, whole(ended))
}

fn lock<T>(heard: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether all was heard; an error that left nothing out is none.
fn whole(ended: Result<Result<(), LinkError>, tokio::time::error::Elapsed>) -> Result<bool, Why> {
    match ended {
        Ok(Ok(())) => Ok(true),
        Err(_) => Ok(false),
        Ok(Err(error)) => Err(context::link(&error)),
    }
}

fn apps_of(mut apps: Vec<App>, whole: Result<bool, Why>) -> Facts {
    let whole = match whole {
        Ok(whole) => whole,
        Err(why) if apps.is_empty() => return nothing(APPS, &why),
        Err(_) => false,
    };
    if apps.is_empty() && !whole {
        return nothing(APPS, &Why::TimedOut);
    }
    let mut facts = Facts::new();
    let is_filter =
        |app: &App| FILTERS.iter().any(|known| app.bundle.to_ascii_lowercase().starts_with(known));
    for (key, seen) in [
        ("apps.downloading", apps.iter().any(|app| app.placeholder)),
        ("apps.vpn", apps.iter().any(is_filter)),
    ] {
        // Not seen in a part is not known of the whole.
        facts.tell(key, if seen || whole { Value::Flag(seen) } else { Why::TimedOut.into() });
    }
    let sum = apps.iter().filter_map(|app| app.bytes).fold(0_u64, u64::saturating_add);
    facts.tell("apps.bytes", counted(sum, whole));
    apps.sort_by_key(|app| std::cmp::Reverse(app.bytes.unwrap_or(0)));
    let biggest: Vec<String> = apps
        .iter()
        .take(BIGGEST)
        .filter_map(|app| Some(format!("{} {} MB", app.name, app.bytes? / 1_000_000)))
        .collect();
    facts.tell("apps.biggest", Value::Text(biggest.join(", ")));
    facts
}

fn counted(sum: u64, whole: bool) -> Value {
    if whole { Value::Number(bytes(sum)) } else { Value::AtLeast(bytes(sum)) }
}

/// P19.
pub(crate) async fn media(context: &ProbeContext) -> Facts {
    let link = match context.link().await {
        Ok(link) => link,
        Err(why) => return nothing(MEDIA, &why),
    };
    let heard = Mutex::new((0_u64, 0_u64));
    let counting = media::count(link, |size| {
        let mut sums = lock(&heard);
        *sums = (sums.0.saturating_add(size), sums.1 + 1);
    });
    let ended = whole(tokio::time::timeout(ENOUGH, counting).await);
    let (sum, files) = *lock(&heard);
    let whole = match ended {
        Ok(whole) => whole,
        Err(why) if files == 0 => return nothing(MEDIA, &why),
        Err(_) => false,
    };
    let mut facts = Facts::new();
    facts.tell("media.bytes", counted(sum, whole));
    facts.tell("media.files", counted(files, whole));
    facts
}

/// P30. A device that keeps its photos in iCloud has the folder of that library; a weak sign.
pub(crate) async fn photos(context: &ProbeContext) -> Facts {
    let asked = async {
        let link = context.link().await?;
        context::shared(media::has_cloud_library(link)).await
    };
    let mut facts = Facts::new();
    facts.tell("media.icloud-photos", super::either(asked.await, "on", "off"));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(bundle: &str, bytes: u64) -> App {
        App { bundle: bundle.into(), name: bundle.into(), bytes: Some(bytes), placeholder: false }
    }

    #[test]
    fn a_part_of_the_apps_tells_at_least() {
        let some = vec![app("a", 3_000_000), app("com.wireguard.ios", 9_000_000)];
        let facts = apps_of(some.clone(), Ok(false));
        assert_eq!(facts.value("apps.bytes"), Some(&Value::AtLeast(12_000_000)));
        assert!(facts.is("apps.vpn", "yes"));
        assert_eq!(facts.value("apps.downloading"), Some(&Value::Unknown(Why::TimedOut)));
        let facts = apps_of(some, Ok(true));
        assert!(facts.is("apps.downloading", "no"));
        assert_eq!(
            facts.value("apps.biggest"),
            Some(&Value::Text("com.wireguard.ios 9 MB, a 3 MB".into()))
        );
        let none = apps_of(Vec::new(), Err(Why::NoDevice));
        assert_eq!(none.value("apps.bytes"), Some(&Value::Unknown(Why::NoDevice)));
    }

    #[test]
    fn sizes_beyond_counting_do_not_overflow() {
        let facts = apps_of(vec![app("a", u64::MAX), app("b", u64::MAX)], Ok(true));
        assert_eq!(facts.value("apps.bytes"), Some(&Value::Number(i64::MAX)));
    }
}
