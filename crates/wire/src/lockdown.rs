//! Words of lockdown: errors, services, notifications, domains.

/// The port lockdownd listens on.
pub const PORT: u16 = 62078;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every word, in the order of the protocol description.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the word as it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// Finds the word, or nothing for one that is not known.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The value of `Error` in an answer of lockdownd (`docs/protocol.md`, lockdown errors).
    ErrorWord {
        /// The answer could not be made.
        InvalidResponse = "InvalidResponse",
        /// The request lacks a key.
        MissingKey = "MissingKey",
        /// There is no such value; also `StartService` with an escrow bag before the first unlock.
        MissingValue = "MissingValue",
        /// The value exists and is hidden.
        GetProhibited = "GetProhibited",
        /// The value cannot be written.
        SetProhibited = "SetProhibited",
        /// The value cannot be removed.
        RemoveProhibited = "RemoveProhibited",
        /// The value never changes.
        ImmutableValue = "ImmutableValue",
        /// The device is locked with a passcode.
        PasswordProtected = "PasswordProtected",
        /// The person tapped "Don't Trust".
        UserDeniedPairing = "UserDeniedPairing",
        /// The trust dialog is on the screen.
        PairingDialogResponsePending = "PairingDialogResponsePending",
        /// The request names no host.
        MissingHostID = "MissingHostID",
        /// The device does not know this host (any more).
        InvalidHostID = "InvalidHostID",
        /// There is a session already.
        SessionActive = "SessionActive",
        /// The request needs a session.
        SessionInactive = "SessionInactive",
        /// The request names no session.
        MissingSessionID = "MissingSessionID",
        /// The session is not known.
        InvalidSessionID = "InvalidSessionID",
        /// The request names no service.
        MissingService = "MissingService",
        /// There is no such service.
        InvalidService = "InvalidService",
        /// Too many instances of a service.
        ServiceLimit = "ServiceLimit",
        /// The request holds no pairing record.
        MissingPairRecord = "MissingPairRecord",
        /// The device could not keep the pairing record.
        SavePairRecordFailed = "SavePairRecordFailed",
        /// The pairing record is damaged.
        InvalidPairRecord = "InvalidPairRecord",
        /// The activation record is damaged.
        InvalidActivationRecord = "InvalidActivationRecord",
        /// There is no activation record.
        MissingActivationRecord = "MissingActivationRecord",
        /// The service may not be started.
        ServiceProhibited = "ServiceProhibited",
        /// The escrow bag does not unlock the device.
        EscrowLocked = "EscrowLocked",
        /// Pairing needs a cable.
        PairingProhibitedOverThisConnection = "PairingProhibitedOverThisConnection",
        /// Find My forbids it.
        FMiPProtected = "FMiPProtected",
        /// Device management forbids it.
        MCProtected = "MCProtected",
        /// A supervised device asks for a signature.
        MCChallengeRequired = "MCChallengeRequired",
        /// The connection cannot be used for this.
        InvalidConnection = "InvalidConnection",
        /// The device is locked.
        DeviceLocked = "DeviceLocked",
    }
}

/// Names of services that lockdownd starts.
pub mod service {
    /// The media folder and the sync lock.
    pub const AFC: &str = "com.apple.afc";
    /// Facts about hardware and battery.
    pub const DIAGNOSTICS_RELAY: &str = "com.apple.mobile.diagnostics_relay";
    /// Keeps a connection over Wi-Fi alive.
    pub const HEARTBEAT: &str = "com.apple.mobile.heartbeat";
    /// The list of apps.
    pub const INSTALLATION_PROXY: &str = "com.apple.mobile.installation_proxy";
    /// Configuration profiles.
    pub const MC_INSTALL: &str = "com.apple.mobile.MCInstall";
    /// Backup and restore.
    pub const MOBILEBACKUP2: &str = "com.apple.mobilebackup2";
    /// Notifications, with a session.
    pub const NOTIFICATION_PROXY: &str = "com.apple.mobile.notification_proxy";
    /// Notifications, without a session.
    pub const INSECURE_NOTIFICATION_PROXY: &str = "com.apple.mobile.insecure_notification_proxy";
    /// The log.
    pub const OS_TRACE_RELAY: &str = "com.apple.os_trace_relay";
    /// The log as lines of text.
    pub const SYSLOG_RELAY: &str = "com.apple.syslog_relay";
    /// Icons.
    pub const SPRINGBOARD_SERVICES: &str = "com.apple.springboardservices";
}

/// Names of notifications.
pub mod notification {
    /// The host is about to begin.
    pub const SYNC_WILL_START: &str = "com.apple.itunes-mobdev.syncWillStart";
    /// The host holds the lock and begins.
    pub const SYNC_DID_START: &str = "com.apple.itunes-mobdev.syncDidStart";
    /// The host is done.
    pub const SYNC_DID_FINISH: &str = "com.apple.itunes-mobdev.syncDidFinish";
    /// The host asks for the lock.
    pub const SYNC_LOCK_REQUEST: &str = "com.apple.itunes-mobdev.syncLockRequest";
    /// The person asked the device to cancel.
    pub const SYNC_CANCEL_REQUEST: &str = "com.apple.itunes-client.syncCancelRequest";
    /// The device asks for a pause.
    pub const SYNC_SUSPEND_REQUEST: &str = "com.apple.itunes-client.syncSuspendRequest";
    /// The device asks to go on.
    pub const SYNC_RESUME_REQUEST: &str = "com.apple.itunes-client.syncResumeRequest";
    /// Settings of the backup changed.
    pub const BACKUP_DOMAIN_CHANGED: &str = "com.apple.mobile.backup.domain_changed";
    /// The device shows a sheet that asks for the passcode.
    pub const AUTHENTICATION_PRESENTED: &str = "com.apple.LocalAuthentication.ui.presented";
    /// That sheet is gone.
    pub const AUTHENTICATION_DISMISSED: &str = "com.apple.LocalAuthentication.ui.dismissed";
    /// The device was renamed.
    pub const DEVICE_NAME_CHANGED: &str = "com.apple.mobile.lockdown.device_name_changed";
    /// The space used on the device changed.
    pub const DISK_USAGE_CHANGED: &str = "com.apple.mobile.lockdown.disk_usage_changed";
}

/// Domains of values.
pub mod domain {
    /// Settings of the backup.
    pub const BACKUP: &str = "com.apple.mobile.backup";
    /// Charge.
    pub const BATTERY: &str = "com.apple.mobile.battery";
    /// Space.
    pub const DISK_USAGE: &str = "com.apple.disk_usage";
    /// Find My.
    pub const FIND_MY: &str = "com.apple.fmip";
    /// What iTunes keeps on the device.
    pub const ITUNES: &str = "com.apple.iTunes";
    /// What the device wants from iTunes.
    pub const MOBILE_ITUNES: &str = "com.apple.mobile.iTunes";
    /// Language and region.
    pub const INTERNATIONAL: &str = "com.apple.international";
    /// Setup Assistant.
    pub const SETUP: &str = "com.apple.purplebuddy";
    /// Lockdown over Wi-Fi.
    pub const WIRELESS_LOCKDOWN: &str = "com.apple.mobile.wireless_lockdown";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn noise_is_a_word_only_where_it_is_one(noise in any::<String>(), near in "[A-Z][a-zA-Z]{5,30}") {
            for text in [noise, near] {
                if let Some(word) = ErrorWord::parse(&text) {
                    prop_assert_eq!(word.as_str(), text);
                }
            }
        }
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for word in ErrorWord::ALL {
            assert_eq!(ErrorWord::parse(word.as_str()), Some(*word));
        }
        assert_eq!(ErrorWord::parse("NeverHeard"), None);
    }
}
