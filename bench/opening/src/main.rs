//! Stores the payloads of one encrypted backup twice, as sent and opened, and prints what each took of the processor as one JSON
//! line.
//!
//! `opening WORK FOLDER PASSWORD_FILE [TIMES]` wants a folder as idevicebackup2 leaves it: `bench/opening/run` makes it. The two
//! ways are the engine's own: `Writer::store` of the payload, and of `Proof` around it, which decrypts, encrypts again and compares.
#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

use std::error::Error;
use std::io;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use jiff::Timestamp;
use lifeboat_mobilesync::crypto::Key;
use lifeboat_mobilesync::keybag::{ClassKeys, WrappedKey};
use lifeboat_mobilesync::manifest::unseal;
use lifeboat_mobilesync::proof::Proof;
use lifeboat_mobilesync::{ManifestDb, ManifestPlist, Row};
use lifeboat_repo::{Location, Repository, WriterOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A payload, and the key that opens it.
struct Payload {
    path: Utf8PathBuf,
    key: Key,
}

/// What is done with the payloads.
#[derive(Clone, Copy)]
enum Way {
    /// They are stored as they are.
    AsSent,
    /// They are stored opened.
    Opened,
    /// They are opened, and nothing is stored.
    OpenedOnly,
}

/// What one way took, in seconds.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [work, folder, password, more @ ..] = arguments.as_slice() else {
        return Err("usage: opening WORK FOLDER PASSWORD_FILE [TIMES]".into());
    };
    let times = more.first().map_or(Ok(3), |text| text.parse())?;
    let password = fs_err::read_to_string(password)?;
    let work = Utf8Path::new(work);
    let payloads = payloads(work, Utf8Path::new(folder), password.trim_end())?;
    let bytes: u64 = payloads
        .iter()
        .map(|payload| Ok(fs_err::metadata(&payload.path)?.len()))
        .sum::<io::Result<u64>>()?;
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for _ in 0..times {
        for (way, costs) in [Way::AsSent, Way::Opened, Way::OpenedOnly].into_iter().zip(&mut costs)
        {
            costs.push(measure(work, &payloads, way)?);
        }
    }
    let [as_sent, opened, alone] = costs.map(median);
    let line = serde_json::json!({
        "payloads": payloads.len(),
        "bytes": bytes,
        "as_sent_cpu_s": as_sent.cpu,
        "as_sent_wall_s": as_sent.wall,
        "opened_cpu_s": opened.cpu,
        "opened_wall_s": opened.wall,
        "opening_alone_cpu_s": alone.cpu,
    });
    println!("{line}");
    Ok(())
}

/// Finds every payload that has a key.
fn payloads(work: &Utf8Path, folder: &Utf8Path, password: &str) -> Result<Vec<Payload>> {
    let manifest = ManifestPlist::parse(&fs_err::read(folder.join("Manifest.plist"))?)?;
    let keys = manifest.parse_keybag()?.unlock(password)?;
    let key = manifest.open_manifest_key(&keys)?.ok_or("the manifest has no key")?;
    let plain = work.join("Manifest.db");
    unseal(&key, &folder.join("Manifest.db"), &plain)?;
    let mut found = Vec::new();
    ManifestDb::open(&plain)?.for_each(|row| found.extend(payload(folder, &keys, &row)))?;
    Ok(found)
}

fn payload(folder: &Utf8Path, keys: &ClassKeys, row: &Row) -> Option<Payload> {
    let wrapped = WrappedKey::parse(row.file.as_ref()?.encryption_key.as_ref()?).ok()?;
    let key = keys.open(&wrapped).ok()?;
    let path = folder.join(row.file_id.path());
    path.is_file().then_some(Payload { path, key })
}

/// Does one way in a new repository.
fn measure(work: &Utf8Path, payloads: &[Payload], way: Way) -> Result<Cost> {
    let at = work.join("repository");
    if at.exists() {
        fs_err::remove_dir_all(&at)?;
    }
    let password = "bench".to_owned().into();
    let repository =
        Repository::init(&Location::Local(at.clone()), &password, &work.join("cache"))?;
    let options = WriterOptions::new(std::sync::Arc::new(|| Timestamp::UNIX_EPOCH));
    let writer = repository.writer(&options)?;
    let (cpu, began) = (cpu()?, Instant::now());
    for payload in payloads {
        let file = File::open(&payload.path)?;
        match way {
            Way::AsSent => drop(writer.store(file, None)?),
            Way::Opened => drop(writer.store(Proof::new(&payload.key, file), None)?),
            Way::OpenedOnly => {
                io::copy(&mut Proof::new(&payload.key, file), &mut io::sink())?;
            }
        }
    }
    writer.flush()?;
    let cost = Cost { cpu: self::cpu()? - cpu, wall: began.elapsed().as_secs_f64() };
    drop(writer);
    fs_err::remove_dir_all(&at)?;
    Ok(cost)
}

/// Returns the seconds that this process has had of the processor, of all its threads.
fn cpu() -> Result<f64> {
    /// What the kernel counts in, on every Linux.
    const TICKS: f64 = 100.0;
    let line = fs_err::read_to_string("/proc/self/stat")?;
    let (_, fields) = line.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let fields = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}

fn median(mut costs: Vec<Cost>) -> Cost {
    let middle = |costs: &[Cost]| costs.get(costs.len() / 2).copied();
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    middle(&costs).unwrap_or(Cost { cpu: f64::NAN, wall: f64::NAN })
}
