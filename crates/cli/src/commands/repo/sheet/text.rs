//! The sheet as text: what opens everything, and how to get it back without this computer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lifeboat_repo::{Snapshot, Tag};

use super::payload::Payload;
use crate::ui::STRONG;
use crate::ui::text::word;

/// A device that has backups in the repository, or a backup password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) udid: String,
    pub(super) name: Option<String>,
    /// Whether one of its backups is whole.
    pub(super) is_complete: bool,
}

/// Returns the devices that have backups, by UDID, each with its newest name.
pub(super) fn devices(snapshots: &[Snapshot]) -> Vec<Device> {
    let mut devices: BTreeMap<&str, Device> = BTreeMap::new();
    // Oldest first.
    for snapshot in snapshots {
        let is_complete = snapshot.is(Tag::Complete);
        if !is_complete && !snapshot.is(Tag::Partial) {
            continue;
        }
        let device = devices.entry(&snapshot.udid).or_insert_with(|| Device {
            udid: snapshot.udid.clone(),
            name: None,
            is_complete: false,
        });
        device.is_complete |= is_complete;
        if snapshot.label.is_some() {
            device.name.clone_from(&snapshot.label);
        }
    }
    devices.into_values().collect()
}

/// What the sheet is about.
pub(super) struct About<'a> {
    /// What opens everything.
    pub(super) payload: &'a Payload,
    /// Whose backups it holds.
    pub(super) devices: &'a [Device],
}

impl About<'_> {
    /// Returns the whole sheet. No line above the check begins with a word of the payload that is none.
    pub(super) fn text(&self) -> String {
        format!(
            "{STRONG}Lifeboat recovery sheet{STRONG:#}\n\
             \n\
             Print this page or write it down, and keep it away from the computer: who has no sheet and\n\
             no computer left can read no backup, and who has the sheet can read them all.\n\
             \n\
             {}\
             \n\
             `lifeboat repo sheet --verify FILE` reads these lines back, or what a phone reads in the square\n\
             code of `--svg`, and says whether they open everything.\n\
             {}\
             Put the password into a file, here `password.txt`. DIR is a folder that is absent or empty.\n\
             {}\n\
             To get everything back with Lifeboat, on any computer:\n\
             \n\
             {}\
             \n\
             DIR then has every file under its domain and its own name; where a name cannot be one\n\
             there, the program says what it wrote instead. `--as finder` in place of `--as files`\n\
             makes Apple's own folder, as Finder and iTunes take it.\n\
             \n\
             To get everything back without Lifeboat, with restic (https://restic.net):\n\
             \n\
             {}\
             \n\
             DIR/files/ then has the files under their domain and their own name. What cannot lie\n\
             under its own name, or could not be opened, is under DIR/sealed/ as the device sent it;\n\
             DIR/lifeboat/ids.json says what it is called.\n",
            self.payload.table(),
            self.passwords(),
            self.later(),
            self.with_lifeboat(),
            self.with_restic(),
        )
    }

    /// Says what backup passwords are for.
    fn passwords(&self) -> &'static str {
        if self.payload.backup_passwords.is_empty() {
            "\n"
        } else {
            "\n\
             A device's own password (backup-password, the newest first) is asked for where a backup\n\
             goes back to a device, by programs that read Apple's folder, and by sealed backups.\n\
             \n"
        }
    }

    fn place(&self) -> String {
        word(&self.payload.repository)
    }

    /// Says what a sheet cannot know yet.
    fn later(&self) -> &'static str {
        if self.devices.is_empty() {
            "There are no backups yet: where there are those of several devices, `latest` needs\n\
             `-u UDID`, with restic `--host UDID`. A sheet printed later names them.\n"
        } else {
            ""
        }
    }

    /// Returns a folder for each device, alone or beside others.
    fn folder(&self, at: usize) -> String {
        if self.devices.len() > 1 { format!("DIR/{}", at + 1) } else { "DIR".to_owned() }
    }

    fn with_lifeboat(&self) -> String {
        let program =
            format!("LIFEBOAT_REPO_PASSWORD_FILE=password.txt lifeboat --repo {}", self.place());
        let mut out = format!("    {program} snapshots\n");
        if self.devices.is_empty() {
            let _ = writeln!(out, "    {program} export latest DIR --as files");
        }
        for (at, device) in self.devices.iter().enumerate() {
            let (udid, folder) = (word(&device.udid), self.folder(at));
            let _ = writeln!(out, "    {program} -u {udid} export latest {folder} --as files");
        }
        out
    }

    fn with_restic(&self) -> String {
        let program = format!("restic -r {} -p password.txt", self.place());
        let mut out = format!("    {program} snapshots\n");
        if self.devices.is_empty() {
            let _ = writeln!(out, "    {program} restore latest --tag complete --target DIR");
        }
        for (at, device) in self.devices.iter().enumerate() {
            // A device without a whole backup has at least what arrived.
            let tag = if device.is_complete { Tag::Complete } else { Tag::Partial };
            let (udid, folder) = (word(&device.udid), self.folder(at));
            let _ = writeln!(
                out,
                "    {program} restore latest --host {udid} --tag {tag} --target {folder}"
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(place: &str, devices: &[Device]) -> String {
        let payload = Payload {
            computer: "harbour".into(),
            repository: place.into(),
            id: "0123abcd".into(),
            password: "aaaa-bbbb".into(),
            devices: devices
                .iter()
                .map(|device| (device.udid.clone(), device.name.clone().unwrap_or_default()))
                .collect(),
            backup_passwords: vec![("A1".into(), "a phone's own".into())],
        };
        let about = About { payload: &payload, devices };
        let text = anstream::adapter::strip_str(&about.text()).to_string();
        let read = super::super::payload::read(&text).expect("the text reads back");
        assert_eq!((&read.payload, read.fits), (&payload, Some(true)), "{text}");
        text
    }

    fn device(udid: &str, name: &str, is_complete: bool) -> Device {
        Device { udid: udid.into(), name: Some(name.into()), is_complete }
    }

    #[test]
    fn the_sheet_has_all_that_a_person_needs() {
        let text = sheet("/srv/phones", &[]);
        for needed in [
            "/srv/phones",
            "0123abcd",
            "aaaa-bbbb",
            "harbour",
            "a phone's own",
            "restic -r /srv/phones -p password.txt restore latest --tag complete --target DIR\n",
            "lifeboat --repo /srv/phones export latest DIR --as files\n",
            "`-u UDID`",
            "DIR/sealed/",
        ] {
            assert!(text.contains(needed), "{needed}\n{text}");
        }
    }

    #[test]
    fn each_device_has_its_own_lines_and_paths_are_words_of_a_shell() {
        let devices = [device("A1", "Ann's\u{1b}", true), device("B2", "Bob's", false)];
        let text = sheet("/tmp/my repo's", &devices);
        for needed in [
            "device           A1 \"Ann's\\u001b\"\n",
            r"--repo '/tmp/my repo'\''s' -u A1 export latest DIR/1 --as files",
            r"--repo '/tmp/my repo'\''s' -u B2 export latest DIR/2 --as files",
            r"restic -r '/tmp/my repo'\''s' -p password.txt restore latest --host A1 --tag complete --target DIR/1",
            "restore latest --host B2 --tag partial --target DIR/2",
        ] {
            assert!(text.contains(needed), "{needed}\n{text}");
        }
        assert!(!text.contains("export latest DIR --as"), "{text}");
    }
}
