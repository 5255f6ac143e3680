//! P08, P22: the clocks of device and computer against true time.

use jiff::{SignedDuration, Timestamp};

use super::{nothing, number, told};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;

pub(crate) const DEVICE: &[&str] = &["clock.device-skew", "clock.apart", "clock.zone"];
pub(crate) const HOST: &[&str] = &["clock.host-skew", "network.time"];

/// P08.
pub(crate) async fn device(context: &ProbeContext) -> Facts {
    let asked = async {
        let link = context.link().await?;
        let read = async {
            let mut session = link.session().await?;
            let time = session.value(None, Some("TimeIntervalSince1970")).await?;
            // Between this moment and the answer lies at most one question.
            let now = context.host.now();
            session.close().await;
            Ok((time, now))
        };
        crate::probe::context::shared(read).await
    };
    let (time, now) = match asked.await {
        Ok(read) => read,
        Err(why) => return nothing(DEVICE, &why),
    };
    let values: plist::Dictionary =
        time.into_iter().map(|time| ("Time".to_owned(), time)).collect();
    let mut facts = compared(number(&values, "Time"), now, context.ahead().await);
    let zone = context.values().await.and_then(|values| number(values, "TimeZoneOffsetFromUTC"));
    facts.tell(
        "clock.zone",
        match (zone, offset(now)) {
            (Ok(device), Some(own)) => Value::from(if device == own { "same" } else { "other" }),
            (Err(why), _) => why.into(),
            (_, None) => Why::NotThere("this computer has no time zone".to_owned()).into(),
        },
    );
    facts
}

/// Holds the device's clock against true time and against this computer's. Where no time server answers, nobody knows which of two
/// clocks that differ is wrong.
fn compared(device: Result<i64, Why>, now: Timestamp, ahead: Result<SignedDuration, Why>) -> Facts {
    let mut facts = Facts::new();
    let true_skew = device.clone().and_then(|seconds| ahead.map(|ahead| skew(seconds, now, ahead)));
    facts.tell("clock.device-skew", told(true_skew));
    let apart = device.map(|seconds| skew(seconds, now, SignedDuration::ZERO));
    facts.tell("clock.apart", told(apart));
    facts
}

/// Returns how far a clock that says `seconds` is from true time, in seconds, either way.
fn skew(seconds: i64, now: Timestamp, ahead: SignedDuration) -> i64 {
    let truth = now.as_second().saturating_add(ahead.as_secs());
    seconds.saturating_sub(truth).saturating_abs()
}

/// Returns this computer's offset from UTC in seconds.
fn offset(now: Timestamp) -> Option<i64> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    Some(i64::from(zone.to_offset(now).seconds()))
}

/// P22.
pub(crate) async fn host(context: &ProbeContext) -> Facts {
    let mut facts = Facts::new();
    let ahead = context.ahead().await;
    facts.tell(
        "network.time",
        match &ahead {
            Ok(_) => Value::from("ok"),
            Err(Why::TimedOut) => Value::from("blocked"),
            Err(why) => why.clone().into(),
        },
    );
    facts.tell(
        "clock.host-skew",
        ahead.map_or_else(Value::Unknown, |ahead| ahead.as_secs().saturating_abs().into()),
    );
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_this_computers_clock_is_taken_out() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let behind = SignedDuration::from_secs(3600);
        assert_eq!(skew(1_000_000, now, SignedDuration::ZERO), 0);
        assert_eq!(skew(1_003_600, now, behind), 0, "the device is right, the computer is not");
        assert_eq!(skew(1_000_000, now, behind), 3600);
        assert_eq!(skew(i64::MIN, now, behind), i64::MAX);
    }

    #[test]
    fn without_true_time_no_clock_is_measured() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let facts = compared(Ok(1_007_200), now, Err(Why::TimedOut));
        assert_eq!(facts.value("clock.device-skew"), Some(&Value::Unknown(Why::TimedOut)));
        assert_eq!(facts.value("clock.apart"), Some(&Value::Number(7200)));
        let facts = compared(Ok(1_007_200), now, Ok(SignedDuration::from_secs(7200)));
        assert_eq!(facts.value("clock.device-skew"), Some(&Value::Number(0)));
        assert_eq!(facts.value("clock.apart"), Some(&Value::Number(7200)));
    }
}
