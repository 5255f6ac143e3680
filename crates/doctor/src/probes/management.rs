//! P13: management of the device, as far as it shows.

use lifeboat_device::profiles::{Management, Profile, management};

use super::nothing;
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const TELLS: &[&str] = &[
    "management.supervised",
    "management.host-pairing",
    "management.profile",
    "management.cloud-backup",
    "management.backup",
    "management.vpn",
];

/// Payloads that manage or restrict.
const MANAGING: [&str; 3] =
    ["com.apple.mdm", "com.apple.applicationaccess", "com.apple.applicationaccess.new"];
/// Payloads through which the traffic of the device goes, or its names.
const BETWEEN: [&str; 8] = [
    "com.apple.vpn.managed",
    "com.apple.vpn.managed.applayer",
    "com.apple.vpn.managed.appmapping",
    "com.apple.dnsSettings.managed",
    "com.apple.dnsProxy.managed",
    "com.apple.webcontent-filter",
    "com.apple.relay.managed",
    "com.apple.proxy.http.global",
];

/// P13.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let asked = async {
        let link = context.link().await?;
        context::shared(management(link)).await
    };
    match asked.await {
        Ok(management) => told(&management),
        Err(why) => nothing(TELLS, &why),
    }
}

fn told(management: &Management) -> Facts {
    let mut facts = Facts::new();
    facts.tell("management.supervised", management.supervised);
    // A device without an owner says nothing about it, and pairs with whom it likes.
    let allowed = management.may_pair.unwrap_or(true);
    facts.tell("management.host-pairing", if allowed { "allowed" } else { "prohibited" });
    let present = management.profiles.iter().any(manages);
    facts.tell("management.profile", if present { "present" } else { "none" });
    facts.tell("management.cloud-backup", cloud_backup(&management.profiles, present));
    facts.tell("management.backup", if management.shared { "forbidden" } else { "allowed" });
    let between =
        |profile: &Profile| profile.payloads.iter().any(|kind| BETWEEN.contains(&kind.as_str()));
    facts.tell("management.vpn", management.profiles.iter().any(between));
    facts
}

/// A profile that does not show its payloads may be of any kind.
fn manages(profile: &Profile) -> bool {
    profile.payloads.is_empty()
        || profile.payloads.iter().any(|kind| MANAGING.contains(&kind.as_str()))
}

fn cloud_backup(profiles: &[Profile], present: bool) -> Value {
    if profiles.iter().any(|profile| profile.cloud_backup == Some(false)) {
        return "forbidden".into();
    }
    if present {
        return Why::NotThere("the device does not show what its profiles say".to_owned()).into();
    }
    "allowed".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(payloads: &[&str], cloud_backup: Option<bool>) -> Profile {
        let payloads = payloads.iter().map(|kind| (*kind).to_owned()).collect();
        Profile { identifier: "org.harbour".into(), payloads, cloud_backup }
    }

    fn of(profiles: Vec<Profile>) -> Facts {
        told(&Management { profiles, ..Management::default() })
    }

    #[test]
    fn a_device_of_nobody_is_free() {
        let facts = of(Vec::new());
        for (key, word) in [
            ("management.supervised", "no"),
            ("management.host-pairing", "allowed"),
            ("management.profile", "none"),
            ("management.cloud-backup", "allowed"),
            ("management.backup", "allowed"),
            ("management.vpn", "no"),
        ] {
            assert!(facts.is(key, word), "{key}");
        }
    }

    #[test]
    fn a_wifi_profile_does_not_manage_and_a_hidden_one_may() {
        assert!(
            of(vec![profile(&["com.apple.wifi.managed"], None)]).is("management.profile", "none")
        );
        let hidden = of(vec![profile(&[], None)]);
        assert!(hidden.is("management.profile", "present"));
        assert!(!hidden.value("management.cloud-backup").unwrap().is_known());
        let forbidden = of(vec![profile(&["com.apple.applicationaccess"], Some(false))]);
        assert!(forbidden.is("management.cloud-backup", "forbidden"));
        assert!(
            of(vec![profile(&["com.apple.webcontent-filter"], None)]).is("management.vpn", "yes")
        );
    }
}
