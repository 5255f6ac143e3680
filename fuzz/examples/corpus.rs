//! Makes `corpus/`: for each target a few inputs that are right, so that fuzzing begins behind the first check. They come from our own
//! encoders, and from what strangers really sent (`crates/wire/tests/recorded`).
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example corpus`, after a format or a parser has changed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lifeboat_doctor::patterns::Patterns;
use lifeboat_mobilesync::build::{ManifestDbWriter, Schema};
use lifeboat_mobilesync::keybag::{ClassKey, Keybag};
use lifeboat_mobilesync::{BackupState, InfoPlist, ManifestPlist, MbFile, SnapshotState, StatusPlist};
use lifeboat_wire::devicelink::PhoneMessage;
use lifeboat_wire::plist_frame::{Decoder, MESSAGE_LIMIT, encode};
use lifeboat_wire::plist_guard::{to_binary, to_xml};
use lifeboat_wire::{files, mux};
use plist::{Dictionary, Value};

type Outcome = Result<(), Box<dyn Error>>;

/// What is longer teaches a fuzzer little and costs it time.
const LONGEST: usize = 4096;

fn main() -> Outcome {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = Corpus { folder: here.join("corpus") };
    corpus.recorded(&here.join("../crates/wire/tests/recorded"))?;
    corpus.wire()?;
    corpus.mobilesync()?;
    corpus.repository()?;
    corpus.doctor(&here.join("../crates/doctor"))?;
    corpus.words()
}

struct Corpus {
    folder: PathBuf,
}

impl Corpus {
    fn put(&self, target: &str, name: &str, bytes: &[u8]) -> Outcome {
        let folder = self.folder.join(target);
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join(name), bytes)?)
    }

    /// For targets whose first byte says in which pieces the rest comes.
    fn put_in_pieces(&self, target: &str, name: &str, piece: u8, bytes: &[u8]) -> Outcome {
        self.put(target, name, &[&[piece], bytes].concat())
    }

    fn doctor(&self, doctor: &Path) -> Outcome {
        for entry in ["bus/damaged-port", "icloud/backing-off"] {
            let text = std::fs::read(doctor.join("catalogue").join(entry).with_extension("md"))?;
            self.put("doctor_entry", &entry.replace('/', "-"), &text)?;
        }
        let examples = Patterns::builtin().all().iter().map(|pattern| pattern.example.as_str());
        self.put("doctor_lines", "examples", examples.collect::<Vec<_>>().join("\n").as_bytes())?;
        for (name, typed) in [
            ("number", "208"),
            ("signs", "--9223372036854775808"),
            ("domain", "Error Domain=MBErrorDomain Code=303 \"Quota Exceeded\""),
            ("message", "last backup culd not be compleeted"),
            ("identifiers", "0xE800001A on /Users/anna/Library 00008030-001A2B3C4D5E6F70"),
        ] {
            self.put("doctor_explain", name, typed.as_bytes())?;
        }
        let facts: Vec<u8> = (0..=255).flat_map(|n: u8| [n, n.wrapping_mul(37), n.wrapping_mul(101)]).collect();
        self.put("doctor_facts", "many", &facts)?;
        self.put("doctor_facts", "few", facts.get(..12).unwrap_or_default())
    }

    fn recorded(&self, recorded: &Path) -> Outcome {
        for stranger in ["idevicebackup2", "pymobiledevice3"] {
            let read = |name: &str| std::fs::read(recorded.join(stranger).join(name));
            self.put_in_pieces("afc", stranger, 7, &read("afc.bin")?)?;
            self.put_in_pieces("files", stranger, 5, &read("download.bin")?)?;
            let mut decoder = mux::Decoder::new(mux::PACKET_LIMIT);
            let packets = read("mux.bin")?;
            decoder.push(&packets);
            decoder.next()?;
            let first = packets.get(..LONGEST.min(packets.len())).unwrap_or_default();
            self.put_in_pieces("mux", stranger, 255, first)?;
            for (number, unit) in units(&read("lockdown.bin")?)?.into_iter().enumerate().take(3) {
                self.put("lockdown", &format!("{stranger}-{number}"), &encode(&unit))?;
                self.put_in_pieces("plist_frame", &format!("{stranger}-{number}"), 3, &encode(&unit))?;
            }
            let messages = units(&read("devicelink.bin")?)?;
            for (number, unit) in messages.into_iter().filter(|unit| unit.len() < LONGEST).enumerate().take(8) {
                self.put("devicelink", &format!("{stranger}-{number}"), &unit)?;
                if number < 2 {
                    self.put("plist_guard", &format!("{stranger}-{number}"), &unit)?;
                }
            }
        }
        Ok(())
    }

    fn wire(&self) -> Outcome {
        let messages = [
            PhoneMessage::GetFreeDiskSpace,
            PhoneMessage::UploadFiles { progress: Some(12.5), size: 7 },
            PhoneMessage::PurgeDiskSpace { amount: 1 << 40, urgency: 3 },
            PhoneMessage::Unknown { name: "DLMessageFoldLaundry".into(), raw: vec![Value::from(7)] },
        ];
        for message in messages {
            self.put("devicelink", message.name(), &message.encode())?;
        }
        let mut upload = Vec::new();
        files::encode_upload("/var/mobile/a", "U/Snapshot/ab/abcd", &mut upload);
        files::encode_chunk(b"some data", &mut upload);
        files::encode_chunk(b"more", &mut upload);
        files::encode_end(0, "", &mut upload);
        files::encode_terminator(&mut upload);
        self.put_in_pieces("files", "upload", 1, &upload)?;
        let data = |bytes: &[u8]| Value::Data(bytes.to_vec());
        let record = Dictionary::from_iter([
            ("HostCertificate", data(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")),
            ("RootCertificate", data(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")),
            ("HostPrivateKey", data(b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")),
            ("HostID", "2B4C3C1E-0000-4000-8000-0123456789AB".into()),
            ("SystemBUID", "2B4C3C1E-0000-4000-8000-0123456789AC".into()),
        ]);
        self.put("device_texts", "record.xml", &to_xml(&Value::Dictionary(record.clone())))?;
        self.put("device_texts", "record.bin", &to_binary(&Value::Dictionary(record)))?;
        self.put("device_texts", "path", b"Snapshot/ab/abcdef0123456789abcdef0123456789abcdef01")?;
        let error = "Error removing snapshot directory (MBErrorDomain/104). Underlying error: Directory not empty at path \"U/Snapshot\" (MBErrorDomain/100).";
        self.put("device_texts", "error", error.as_bytes())
    }

    fn mobilesync(&self) -> Outcome {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let status = StatusPlist {
            backup_state: BackupState::New,
            date,
            is_full_backup: false,
            snapshot_state: SnapshotState::Finished,
            uuid: "2B4C3C1E-0000-4000-8000-0123456789AB".into(),
            version: "3.3".into(),
        };
        self.put("mobilesync_plists", "Status.plist", &status.encode())?;
        let bag = Keybag {
            version: 5,
            kind: 1,
            uuid: vec![0xb0; 16],
            hmac_key: vec![0; 40],
            salt: (0..20).collect(),
            rounds: 1000,
            first_kind: Some(1),
            first_rounds: Some(2000),
            first_salt: Some(vec![7; 20]),
            classes: vec![ClassKey { uuid: vec![1; 16], class: 1, wrap: 2, key_type: 0, wrapped: Some(vec![9; 40]) }],
            ..Keybag::default()
        };
        self.put("keybag", "bag", &bag.encode())?;
        let manifest = ManifestPlist {
            version: "10.0".into(),
            system_domains_version: Some("24.0".into()),
            date: Some(date),
            is_encrypted: true,
            was_passcode_set: true,
            keybag: Some(bag.encode()),
            manifest_key: Some([&[3, 0, 0, 0], [5; 40].as_slice()].concat()),
            lockdown: Dictionary::from_iter([("ProductVersion", Value::from("18.0"))]),
            applications: Dictionary::new(),
            others: Dictionary::new(),
        };
        self.put("mobilesync_plists", "Manifest.plist", &manifest.encode())?;
        let info = Dictionary::from_iter([
            ("Device Name", Value::from("Robin's iPhone")),
            ("Product Version", "18.0".into()),
            ("Target Identifier", "00008030-001A2B3C4D5E802E".into()),
            ("Installed Applications", Value::Array(vec!["com.example.app".into()])),
        ]);
        let info = InfoPlist::parse(&to_xml(&Value::Dictionary(info)))?;
        self.put("mobilesync_plists", "Info.plist", &info.encode())?;
        let file = MbFile { relative_path: "Library/SMS/sms.db".into(), mode: 0o100_644, size: 3, ..MbFile::default() };
        self.put("mobilesync_file", "record", &file.encode())?;
        self.put("mobilesync_file", "id", b"3d0d7e5fb2ce288813306e4d4636395e047a3d28")?;
        let path = std::env::temp_dir().join(format!("lifeboat-corpus-{}.db", std::process::id()));
        let place = camino::Utf8PathBuf::try_from(path)?;
        let mut writer = ManifestDbWriter::create(&place, Schema::Classic)?;
        writer.put("HomeDomain", 1, &file)?;
        writer.finish()?;
        let bytes = std::fs::read(&place)?;
        std::fs::remove_file(&place)?;
        self.put("manifest_db", "one-row.db", &bytes)
    }

    fn repository(&self) -> Outcome {
        for (name, bytes) in lifeboat_repo::fuzz::samples() {
            self.put("repository", name, &bytes)?;
        }
        let id = "5956a3f67a6230d4a92cefb29529f10196c7d92582ec305fd71ff6d331d6271b";
        let texts = [
            ("config", format!(r#"{{"version":2,"id":"{id}","chunker_polynomial":"25b468838dcb75"}}"#)),
            (
                "index",
                format!(
                    r#"{{"packs":[{{"id":"{id}","blobs":[{{"id":"{id}","type":"data","offset":0,"length":38,"uncompressed_length":100}},{{"id":"{id}","type":"tree","offset":38,"length":90}}]}}]}}"#
                ),
            ),
            (
                "snapshot",
                format!(
                    r#"{{"time":"2026-11-22T10:00:00.5+01:00","tree":"{id}","paths":["/"],"hostname":"00008030-001A2B3C4D5E802E","username":"u","tags":["complete"],"parent":"{id}"}}"#
                ),
            ),
        ];
        for (name, text) in texts {
            self.put("repository", name, text.as_bytes())?;
        }
        for (name, text) in [("quoted", r#"a\"b\\c\x07\u00e4\U0001f600"#), ("plain", "IMG_0001.HEIC")] {
            self.put("repository_names", name, text.as_bytes())?;
        }
        for (name, text) in [
            ("latest", "latest"),
            ("device", "A@2027-01-15"),
            ("prefix", "abab"),
            ("id", id),
            ("place", "file:///var/repository"),
        ] {
            self.put("repository_words", name, text.as_bytes())?;
        }
        self.put("catalogue", "head", b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20")
    }

    fn words(&self) -> Outcome {
        for (name, text) in [
            ("begin", r#"{"op":"begin","format":2,"udid":"X","base":null,"boot":"b"}"#),
            ("put", r#"{"op":"put","path":"X/ab/c","number":1,"size":2,"modified":3,"place":{"segment":1,"offset":5,"sum":7}}"#),
            ("packed", r#"{"op":"packed","number":1,"blobs":["00"],"sha1":"00"}"#),
            ("move", r#"{"op":"move","from":"X/a","to":"X/b"}"#),
        ] {
            self.put("journal", name, text.as_bytes())?;
        }
        for (name, text) in [
            ("order", r#"{"udid":"X","action":"live","days":2}"#),
            ("fault", r#"{"action":"fault","name":"drop","values":{"after":"3"}}"#),
            ("typed", "fault error code=105 at=space"),
            ("phone", "name = \"Kim\"\nios = \"26.4\"\nprofile = \"small\"\nseed = 7\n[knobs]\ndevicelink = 400\ntls = \"1.2\"\n"),
            ("address", "127.0.0.1:0"),
        ] {
            self.put("simulator", name, text.as_bytes())?;
        }
        let failed = r#"{"format":1,"began":"2026-11-22T09:00:00Z","at":"2026-11-22T10:00:00Z","facts":{"job.code":208,"job.outcome":"failed","job.device-left":true},"place":"2ef7bde608ce5404e97d5f042f95f89f1c232871","log":["backupd: drained"]}"#;
        self.put("last_run", "failed", failed.as_bytes())?;
        let machine = "about = \"a bad cable\"\nclock = -90\n[usb]\nsilent-ports = 1\n[[usb.devices]]\nserial = \"00008110000A1B2C3D4E5F60\"\nport = \"1-2.3\"\nmay-open = false\n[[folders]]\nunder = \"/home\"\nfree = 1000\ntotal = 2000\n";
        self.put("machine", "usb", machine.as_bytes())?;
        for (name, text) in [
            ("duration", "2w1d26h10m5s"),
            ("address", "[::1]:27015"),
            ("socket", "UNIX:/var/run/usbmuxd"),
            ("settings", "repository = \"/x\"\nudid = \"U\"\nworking-area = \"/w\"\n"),
        ] {
            self.put("command_line", name, text.as_bytes())?;
        }
        let about = r#"{"format":1,"program":"lifeboat 0.1.0","udid":"U","device_name":"n","product_type":null,"ios":"18.0","kind":"full","encrypted":false,"stored":"opened","files":1,"bytes":2,"sealed":0,"file_errors":0,"known_damage":["3d0d7e5fb2ce288813306e4d4636395e047a3d28"]}"#;
        self.put("snapshot_files", "about.json", about.as_bytes())?;
        let ids = r#"{"3d0d7e5fb2ce288813306e4d4636395e047a3d28":"HomeDomain/Library/SMS/sms.db"}"#;
        self.put("snapshot_files", "ids.json", ids.as_bytes())
    }
}

/// Cuts bytes into units.
fn units(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut decoder = Decoder::new(MESSAGE_LIMIT);
    decoder.push(bytes);
    let mut units = Vec::new();
    while let Some(unit) = decoder.next()? {
        units.push(unit);
    }
    Ok(units)
}
