//! Addresses of outside services: settings with defaults (`docs/doctor-settings.md`).

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

/// Where the doctor asks outside the local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Resolvers whose answers are held against the local one's.
    pub resolvers: Vec<SocketAddr>,
    /// Hosts that iCloud Backup needs, on port 443.
    pub hosts: Vec<String>,
    /// Hosts of Apple's push service, on port 5223 or 443.
    pub push_hosts: Vec<String>,
    /// A page that says "Success" unless a sign-in page stands in between.
    pub portal_page: String,
    /// Apple's list of the state of its services.
    pub status_page: String,
    /// Apple's list of iOS versions by model.
    pub version_page: String,
    /// Time servers, `host:port`.
    pub time_servers: Vec<String>,
    /// A PEM file of certificates that are trusted beside the built-in ones, as text.
    pub trusted: Option<String>,
}

impl Default for Outside {
    fn default() -> Self {
        let resolver = |address: [u8; 4]| SocketAddr::from((IpAddr::from(address), 53));
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            resolvers: vec![resolver([1, 1, 1, 1]), resolver([9, 9, 9, 9])],
            hosts: texts(&[
                "setup.icloud.com",
                "gateway.icloud.com",
                "gsa.apple.com",
                "account.apple.com",
            ]),
            push_hosts: texts(&["1-courier.push.apple.com"]),
            portal_page: "http://captive.apple.com/hotspot-detect.html".to_owned(),
            status_page: "https://www.apple.com/support/systemstatus/data/system_status_en_US.js"
                .to_owned(),
            version_page: "https://gdmf.apple.com/v2/pmv".to_owned(),
            time_servers: texts(&["time.apple.com:123", "pool.ntp.org:123"]),
            trusted: None,
        }
    }
}

/// The same as a table of the configuration file: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OutsideFile {
    /// Resolvers, `address:port`.
    pub resolvers: Option<Vec<SocketAddr>>,
    /// Hosts that iCloud Backup needs.
    pub hosts: Option<Vec<String>>,
    /// Hosts of the push service.
    pub push_hosts: Option<Vec<String>>,
    /// The page that says "Success".
    pub portal_page: Option<String>,
    /// The list of the state of Apple's services.
    pub status_page: Option<String>,
    /// The list of iOS versions.
    pub version_page: Option<String>,
    /// Time servers, `host:port`.
    pub time_servers: Option<Vec<String>>,
    /// A PEM file of certificates that are trusted beside the built-in ones; whoever reads the settings reads it.
    pub trusted_certificates: Option<String>,
}

impl OutsideFile {
    /// Puts the table over the defaults; `trusted` is the text of the file of certificates, where one is named.
    pub fn over_defaults(self, trusted: Option<String>) -> Outside {
        let usual = Outside::default();
        Outside {
            resolvers: self.resolvers.unwrap_or(usual.resolvers),
            hosts: self.hosts.unwrap_or(usual.hosts),
            push_hosts: self.push_hosts.unwrap_or(usual.push_hosts),
            portal_page: self.portal_page.unwrap_or(usual.portal_page),
            status_page: self.status_page.unwrap_or(usual.status_page),
            version_page: self.version_page.unwrap_or(usual.version_page),
            time_servers: self.time_servers.unwrap_or(usual.time_servers),
            trusted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let file: OutsideFile =
            toml::from_str("resolvers = [\"127.0.0.1:5300\"]\nhosts = []").unwrap();
        let outside = file.over_defaults(None);
        assert_eq!(outside.resolvers, ["127.0.0.1:5300".parse().unwrap()]);
        assert!(outside.hosts.is_empty());
        assert_eq!(outside.time_servers, Outside::default().time_servers);
        assert!(toml::from_str::<OutsideFile>("resolver = []").is_err());
    }
}
