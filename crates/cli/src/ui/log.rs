//! The log: on standard error, and it tells nobody who the device is.
//!
//! Paths of the working area and texts of libraries can hold a UDID, a name or a serial number. Where the log is written, whatever
//! looks like a UDID is masked, and so are the names and numbers that were learned of devices ([`discretion`]): nobody has to
//! remember it at each place that logs.

use std::io::{self, Write};

use lifeboat_host::discretion;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// What is never logged below a warning, whatever is asked for: it tells who the device is, its keys, and what is in
/// its backups.
const QUIET: [&str; 6] = ["idevice", "plist", "rustls", "tokio_rustls", "tokio", "mio"];

/// What stands in the log for a UDID.
const MASK: &[u8] = b"<udid>";

/// Starts the log; without `-v` or a wish of `LIFEBOAT_LOG` there is none.
pub(crate) fn start(verbose: u8, wish: Option<&str>) {
    let level = match verbose {
        0 => None,
        1 => Some(
            "lifeboat=info,lifeboat_engine=info,lifeboat_device=info,lifeboat_repo=info,lifeboat_doctor=info,lifeboat_host=info,lifeboat_sim=info,warn",
        ),
        2 => Some(
            "lifeboat=debug,lifeboat_engine=debug,lifeboat_device=debug,lifeboat_repo=debug,lifeboat_doctor=debug,lifeboat_host=debug,lifeboat_sim=debug,info",
        ),
        _ => Some("trace"),
    };
    let Some(wanted) = level.or(wish) else { return };
    let (wanted, wrong) = match EnvFilter::try_new(wanted) {
        Ok(wanted) => (wanted, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    // Two filters, for a directive of LIFEBOAT_LOG could name a part of `idevice`.
    let harmless = tracing_subscriber::filter::filter_fn(|data| {
        *data.level() <= tracing::Level::WARN || !is_quiet(data.target())
    });
    let log = tracing_subscriber::fmt::layer().with_writer(Masked).with_ansi(false);
    tracing_subscriber::registry().with(wanted).with(log.with_filter(harmless)).init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "LIFEBOAT_LOG is not understood: the log has the level info");
    }
}

/// Whether a target belongs to a crate that must be quiet.
fn is_quiet(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    QUIET.contains(&name)
}

/// Standard error without UDIDs, names and numbers of devices. The log writes a whole line at once.
struct Masked;

impl Write for Masked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().lock().write_all(&masked(discretion::hidden(&text).as_bytes()))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl MakeWriter<'_> for Masked {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// Returns a line with a mask for everything that looks like a UDID: 40 or 24 hexadecimal digits, or 8 and 16 with a dash
/// between (`docs/protocol.md` 1.5). A file's ID looks like one, too, and is masked: it says which file it is.
fn masked(line: &[u8]) -> Vec<u8> {
    let digits = |rest: &[u8]| rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.first() {
        let mut length = digits(rest);
        let mut is_udid = matches!(length, 24 | 40);
        if length == 8 && rest.get(8) == Some(&b'-') && digits(&rest[9..]) == 16 {
            (length, is_udid) = (25, true);
        }
        if length == 0 {
            out.push(*first);
            length = 1;
        } else if is_udid {
            out.extend_from_slice(MASK);
        } else {
            out.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_quiet_crates_are_quiet_and_ours_are_not() {
        for quiet in ["idevice", "idevice::services::lockdown", "rustls::client::hs"] {
            assert!(is_quiet(quiet), "{quiet}");
        }
        for told in ["lifeboat", "lifeboat_device::sync", "idevices"] {
            assert!(!is_quiet(told), "{told}");
        }
    }

    #[test]
    fn what_looks_like_a_udid_is_masked_wherever_it_stands() {
        let shown = |line: &str| String::from_utf8(masked(line.as_bytes())).unwrap();
        let old = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(
            shown("WARN lost trouble=Io(\"/work/00008110-000A1B2C3D4E5F60/files/1\")"),
            "WARN lost trouble=Io(\"/work/<udid>/files/1\")"
        );
        assert_eq!(shown(&format!("a {old} b")), "a <udid> b");
        assert_eq!(shown("00008110000A1B2C3D4E5F60"), "<udid>");
        for kept in [
            "2026-11-22T10:00:00Z WARN pack 4f2a91c0 é",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            &format!("{old}{old}"),
            "00008110-",
            "00008110-000A1B2C3D4E5F6",
        ] {
            assert_eq!(shown(kept), kept);
        }
    }
}
