//! The recovery sheet: how to get everything back without this computer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lifeboat_repo::{Snapshot, Tag};

use crate::ui::STRONG;
use crate::ui::text::{plain, word};

/// A device that has backups in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    udid: String,
    name: Option<String>,
    /// Whether one of its backups is whole.
    is_complete: bool,
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
    /// Where the repository is.
    pub(super) place: &'a str,
    /// Its id.
    pub(super) id: &'a str,
    /// What opens it.
    pub(super) password: &'a str,
    /// This computer.
    pub(super) computer: &'a str,
    /// Whose backups it holds.
    pub(super) devices: &'a [Device],
}

impl About<'_> {
    /// Returns the whole sheet.
    pub(super) fn text(&self) -> String {
        format!(
            "{STRONG}Lifeboat recovery sheet{STRONG:#}\n\
             \n\
             Print this page or write it down, and keep it away from the computer. Without the\n\
             password nobody can read the backups, not you either.\n\
             \n\
             computer    {}\n\
             repository  {}\n\
             id          {}\n\
             password    {}\n\
             {}\n\
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
            plain(self.computer),
            plain(self.place),
            plain(self.id),
            plain(self.password),
            self.listed(),
            self.later(),
            self.with_lifeboat(),
            self.with_restic(),
        )
    }

    /// Lists the devices.
    fn listed(&self) -> String {
        let mut out = String::new();
        for device in self.devices {
            let name = device.name.as_deref().map(|name| format!("  {}", plain(name)));
            let _ =
                writeln!(out, "device      {}{}", plain(&device.udid), name.unwrap_or_default());
        }
        out
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
        let program = format!(
            "LIFEBOAT_REPO_PASSWORD_FILE=password.txt lifeboat --repo {}",
            word(self.place)
        );
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
        let program = format!("restic -r {} -p password.txt", word(self.place));
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
        let about =
            About { place, id: "0123abcd", password: "aaaa-bbbb", computer: "harbour", devices };
        anstream::adapter::strip_str(&about.text()).to_string()
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
            "device      A1  Ann's\\u{1b}\n",
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
