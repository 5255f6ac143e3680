//! Rules of the backup domains (docs/format.md 3).

/// Owner and group of what a domain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: i32,
    pub(crate) gid: i32,
}

/// The user `mobile`, who owns nearly everything.
const MOBILE: Owner = Owner { uid: 501, gid: 501 };

/// Returns the usual owner of files in `domain`.
pub(crate) fn owner(domain: &str) -> Owner {
    match domain {
        "WirelessDomain" => Owner { uid: 25, gid: 25 },
        "KeychainDomain" => Owner { uid: 0, gid: 64 },
        "NetworkDomain" => Owner { uid: 24, gid: 24 },
        "InstallDomain" => Owner { uid: 33, gid: 33 },
        "SystemPreferencesDomain"
        | "RootDomain"
        | "DatabaseDomain"
        | "ManagedPreferencesDomain"
        | "ProtectedDomain"
        | "MobileDeviceDomain" => Owner { uid: 0, gid: 0 },
        _ => MOBILE,
    }
}

/// Returns the usual Data Protection class of files in `domain`.
pub(crate) fn protection_class(domain: &str) -> u8 {
    match domain {
        "HomeDomain" | "HealthDomain" | "HomeKitDomain" | "WirelessDomain" | "RootDomain" => 4,
        _ => 3,
    }
}

/// Returns whether the manifest carries digests for files of `domain`: the domains of the system do, containers and
/// media do not (docs/format.md 1.8).
pub(crate) fn wants_digest(domain: &str) -> bool {
    !is_container(domain) && !matches!(domain, "CameraRollDomain" | "MediaDomain" | "TonesDomain")
}

/// Returns whether `domain` is the container of an app, a group, an extension or a daemon.
pub(crate) fn is_container(domain: &str) -> bool {
    CONTAINER_FAMILIES.iter().any(|(family, _, _)| domain.starts_with(family))
}

/// Families of container domains with their content class and where they lie on the phone.
pub(crate) const CONTAINER_FAMILIES: [(&str, &str, &str); 5] = [
    ("AppDomain-", "Data/Application", "/var/mobile/Containers/Data/Application"),
    ("AppDomainGroup-", "Shared/AppGroup", "/var/mobile/Containers/Shared/AppGroup"),
    ("AppDomainPlugin-", "Data/PluginKitPlugin", "/var/mobile/Containers/Data/PluginKitPlugin"),
    ("SysContainerDomain-", "Data/System", "/var/containers/Data/System"),
    ("SysSharedContainerDomain-", "Shared/SystemGroup", "/var/containers/Shared/SystemGroup"),
];

/// What only an encrypted backup takes; a path covers everything below it, and the side files of a database.
const ONLY_ENCRYPTED: [(&str, &str); 20] = [
    ("HealthDomain", ""),
    ("HomeKitDomain", ""),
    ("SystemPreferencesDomain", "com.apple.wifi.known-networks.plist"),
    ("SystemPreferencesDomain", "SystemConfiguration/com.apple.wifi-private-mac-networks.plist"),
    ("SystemPreferencesDomain", "SystemConfiguration/com.apple.wifi.plist"),
    ("HomeDomain", "Library/VoiceTrigger/SAT"),
    ("HomeDomain", "Library/com.apple.geod"),
    ("HomeDomain", "Library/com.apple.siri.remembers"),
    ("HomeDomain", "Library/CoreDuet/People/interactionC.db"),
    ("HomeDomain", "Library/CoreDuet/People/interactionC.db-wal"),
    ("HomeDomain", "Library/CoreDuet/People/interactionC.db-shm"),
    ("HomeDomain", "Library/PersonalizationPortrait"),
    ("HomeDomain", "Library/DuetExpertCenter/D2DBackups"),
    ("HomeDomain", "Library/Preferences/com.apple.speakerrecognition.plist"),
    ("HomeDomain", "Library/Safari/SafariTabs.db"),
    ("HomeDomain", "Library/Safari/SafariTabs.db-wal"),
    ("HomeDomain", "Library/Safari/SafariTabs.db-shm"),
    ("HomeDomain", "Library/DoNotDisturb/DB/ModeConfigurations.json"),
    ("HomeDomain", "Library/DoNotDisturb/DB/ModeConfigurationsSecure.json"),
    ("HomeDomain", "Library/DoNotDisturb/DB/Settings.sqlite"),
];

/// Returns whether this is a list of calls or of visited web sites, of which it is disputed whether unencrypted backups
/// have it (docs/format.md 3.3).
pub(crate) fn is_history(domain: &str, path: &str) -> bool {
    domain == "HomeDomain"
        && ["Library/CallHistoryDB/", "Library/Safari/History.db"]
            .iter()
            .any(|history| path.starts_with(history))
}

/// Returns whether only an encrypted backup takes this path (docs/format.md 3.3). The root of a
/// domain is always taken: without it no row below could be placed.
pub(crate) fn only_encrypted(domain: &str, path: &str) -> bool {
    !path.is_empty()
        && ONLY_ENCRYPTED.iter().any(|(rule_domain, rule)| {
            *rule_domain == domain
                && (rule.is_empty()
                    || path
                        .strip_prefix(rule)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encrypted_only_list_covers_what_lies_below() {
        assert!(only_encrypted("HealthDomain", "Health/healthdb.sqlite"));
        assert!(!only_encrypted("HealthDomain", ""));
        assert!(only_encrypted("HomeDomain", "Library/PersonalizationPortrait/a/b"));
        assert!(!only_encrypted("HomeDomain", "Library/PersonalizationPortraits"));
        assert!(!only_encrypted("HomeDomain", "Library/SMS/sms.db"));
    }

    #[test]
    fn digests_are_for_system_domains() {
        assert!(wants_digest("HomeDomain"));
        assert!(!wants_digest("AppDomainGroup-group.com.apple.notes"));
        assert!(!wants_digest("CameraRollDomain"));
    }
}
