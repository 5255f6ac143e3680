//! What the kernel of this machine logged last. Linux only; elsewhere the look is not supported.

use std::time::Duration;

use crate::look::LookError;

/// How many lines are kept: the newest.
const KEPT: usize = 20_000;

/// A line of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelLine {
    /// How long ago it was written.
    pub ago: Duration,
    /// What it says, control characters taken out.
    pub text: String,
}

/// Parses one record of `/dev/kmsg` (`6,339,5140900,-;text`, then lines that begin with a blank) at `now` on its clock.
pub fn parse_record(record: &[u8], now: Duration) -> Option<KernelLine> {
    let text = String::from_utf8_lossy(record);
    let (head, body) = text.split_once(';')?;
    let microseconds: u64 = head.split(',').nth(2)?.trim().parse().ok()?;
    let line = body.lines().next().unwrap_or_default();
    Some(KernelLine {
        ago: now.saturating_sub(Duration::from_micros(microseconds)),
        text: plain(line),
    })
}

/// Takes control characters out and cuts what is too long.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1000).collect()
}

/// Reads what the kernel's log holds now, oldest first.
#[cfg(target_os = "linux")]
pub fn read() -> Result<Vec<KernelLine>, LookError> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    use std::io::Read as _;

    const WHAT: &str = "kernel log";
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = fs_err::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open("/dev/kmsg")
        .map_err(|error| LookError::from_io(WHAT, error))?;
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::new(
        u64::try_from(clock.tv_sec).unwrap_or_default(),
        u32::try_from(clock.tv_nsec).unwrap_or_default(),
    );
    let mut lines = std::collections::VecDeque::new();
    let mut record = vec![0; 16 << 10];
    // More records than a ring buffer can hold: the kernel writes faster than this reads.
    for _ in 0..1_000_000 {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                let bytes = record.get(..length).unwrap_or_default();
                if let Some(line) = parse_record(bytes, now) {
                    if lines.len() == KEPT {
                        lines.pop_front();
                    }
                    lines.push_back(line);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            // Overwritten while it was read: the next record is there.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LookError::from_io(WHAT, error)),
        }
    }
    Ok(lines.into())
}

/// Says that this program cannot read the log here.
#[cfg(not(target_os = "linux"))]
pub fn read() -> Result<Vec<KernelLine>, LookError> {
    Err(LookError::Unsupported { what: "what the kernel logged" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_read() {
        let record = b"3,1042,5140900,-;usb 1-2: device descriptor read/64, error -71\n SUBSYSTEM=usb\n DEVICE=c189:5\n";
        let line = parse_record(record, Duration::from_secs(10)).unwrap();
        assert_eq!(line.text, "usb 1-2: device descriptor read/64, error -71");
        assert_eq!(line.ago, Duration::from_micros(4_859_100));
    }

    #[test]
    fn control_characters_do_not_come_through() {
        let line = parse_record(b"6,1,0,-;a\x1b[2Jb\x07\n", Duration::ZERO).unwrap();
        assert_eq!(line.text, "a[2Jb");
    }

    #[test]
    fn the_log_of_this_machine_is_read_or_refused() {
        if let Err(error) = read() {
            assert!(!matches!(error, LookError::Malformed { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>()) {
            if let Some(line) = parse_record(&bytes, Duration::from_secs(5)) {
                prop_assert!(!line.text.contains(char::is_control));
            }
        }
    }
}
