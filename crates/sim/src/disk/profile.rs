//! How much is on the phone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DiskError;

/// The size of a simulated phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// About 2 MB in 150 files, every kind of file once.
    #[default]
    Tiny,
    /// About 60 MB in 2,000 files.
    Small,
    /// About 1 GB in 12,000 files, with a message database of 220 MB.
    Ordinary,
    /// About 4 GB, mostly big photos and videos.
    Media,
    /// About 20 GB in 150,000 files.
    Large,
}

impl Profile {
    /// All profiles, from small to large.
    pub const ALL: [Self; 5] = [Self::Tiny, Self::Small, Self::Ordinary, Self::Media, Self::Large];

    /// Returns the name used on the command line and in phone files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Ordinary => "ordinary",
            Self::Media => "media",
            Self::Large => "large",
        }
    }

    pub(crate) fn amounts(self) -> &'static Amounts {
        match self {
            Self::Tiny => &TINY,
            Self::Small => &SMALL,
            Self::Ordinary => &ORDINARY,
            Self::Media => &MEDIA,
            Self::Large => &LARGE,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = DiskError;

    fn from_str(text: &str) -> Result<Self, DiskError> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or_else(|| DiskError::UnknownProfile(text.to_owned()))
    }
}

/// The numbers behind a profile. What a phone of that size has, and what a day adds.
#[derive(Debug)]
pub(crate) struct Amounts {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    pub(crate) attachments: u64,
    pub(crate) attachment_bytes: u64,
    pub(crate) contacts: u64,
    pub(crate) calls: u64,
    pub(crate) notes: u64,
    pub(crate) events: u64,
    pub(crate) visits: u64,
    pub(crate) photos: u64,
    pub(crate) photo_bytes: u64,
    pub(crate) videos: u64,
    pub(crate) video_bytes: u64,
    pub(crate) chat_app_messages: u64,
    pub(crate) chat_app_media: u64,
    pub(crate) health_samples: u64,
    pub(crate) user_apps: usize,
    pub(crate) plugins: u64,
    pub(crate) preferences: u64,
    pub(crate) wallpaper_bytes: u64,
    pub(crate) daily: Daily,
}

/// What a day of life adds or changes.
#[derive(Debug)]
pub(crate) struct Daily {
    pub(crate) messages: u64,
    pub(crate) attachments: u64,
    pub(crate) photos: u64,
    pub(crate) photo_bytes: u64,
    pub(crate) videos: u64,
    pub(crate) calls: u64,
    pub(crate) visits: u64,
    pub(crate) preferences: u64,
    pub(crate) chat_app_messages: u64,
    pub(crate) health_samples: u64,
}

const TINY: Amounts = Amounts {
    files: 150,
    bytes: 2_000_000,
    messages: 60,
    attachments: 3,
    attachment_bytes: 9_000,
    contacts: 12,
    calls: 15,
    notes: 4,
    events: 8,
    visits: 20,
    photos: 6,
    photo_bytes: 14_000,
    videos: 1,
    video_bytes: 60_000,
    chat_app_messages: 20,
    chat_app_media: 1,
    health_samples: 60,
    user_apps: 3,
    plugins: 4,
    preferences: 26,
    wallpaper_bytes: 12_000,
    daily: Daily {
        messages: 6,
        attachments: 1,
        photos: 2,
        photo_bytes: 14_000,
        videos: 0,
        calls: 2,
        visits: 4,
        preferences: 3,
        chat_app_messages: 4,
        health_samples: 12,
    },
};

const SMALL: Amounts = Amounts {
    files: 2_000,
    bytes: 60_000_000,
    messages: 5_000,
    attachments: 80,
    attachment_bytes: 60_000,
    contacts: 150,
    calls: 300,
    notes: 40,
    events: 200,
    visits: 1_500,
    photos: 110,
    photo_bytes: 180_000,
    videos: 4,
    video_bytes: 2_500_000,
    chat_app_messages: 3_000,
    chat_app_media: 60,
    health_samples: 5_000,
    user_apps: 12,
    plugins: 60,
    preferences: 150,
    wallpaper_bytes: 400_000,
    daily: Daily {
        messages: 40,
        attachments: 3,
        photos: 5,
        photo_bytes: 180_000,
        videos: 1,
        calls: 4,
        visits: 30,
        preferences: 12,
        chat_app_messages: 30,
        health_samples: 300,
    },
};

const ORDINARY: Amounts = Amounts {
    files: 12_000,
    bytes: 1_000_000_000,
    messages: 199_000,
    attachments: 700,
    attachment_bytes: 150_000,
    contacts: 400,
    calls: 1_000,
    notes: 250,
    events: 1_200,
    visits: 12_000,
    photos: 200,
    photo_bytes: 1_400_000,
    videos: 10,
    video_bytes: 12_000_000,
    chat_app_messages: 60_000,
    chat_app_media: 500,
    health_samples: 120_000,
    user_apps: 40,
    plugins: 350,
    preferences: 270,
    wallpaper_bytes: 8_000_000,
    daily: Daily {
        messages: 200,
        attachments: 5,
        photos: 5,
        photo_bytes: 2_500_000,
        videos: 0,
        calls: 6,
        visits: 70,
        preferences: 40,
        chat_app_messages: 80,
        health_samples: 900,
    },
};

const MEDIA: Amounts = Amounts {
    files: 4_000,
    bytes: 4_000_000_000,
    messages: 8_000,
    photos: 850,
    photo_bytes: 2_200_000,
    videos: 36,
    video_bytes: 50_000_000,
    chat_app_messages: 4_000,
    wallpaper_bytes: 4_000_000,
    daily: Daily { photos: 20, photo_bytes: 2_200_000, videos: 2, ..SMALL.daily },
    ..SMALL
};

const LARGE: Amounts = Amounts {
    files: 150_000,
    bytes: 20_000_000_000,
    messages: 40_000,
    attachments: 4_000,
    attachment_bytes: 250_000,
    photos: 5_000,
    photo_bytes: 1_900_000,
    videos: 90,
    video_bytes: 60_000_000,
    chat_app_messages: 20_000,
    chat_app_media: 2_000,
    user_apps: 110,
    plugins: 1_400,
    daily: Daily { photos: 30, photo_bytes: 1_900_000, videos: 2, ..ORDINARY.daily },
    ..ORDINARY
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse::<Profile>().unwrap(), profile);
        }
        assert!("huge".parse::<Profile>().is_err());
    }
}
