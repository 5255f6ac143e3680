//! What each probe looks at. A function looks, pure functions beside it say what it means.

pub(crate) mod apple;
pub(crate) mod bus;
pub(crate) mod clock;
pub(crate) mod computer;
pub(crate) mod content;
pub(crate) mod destination;
pub mod diary;
pub(crate) mod existing;
pub(crate) mod identity;
pub(crate) mod job;
pub(crate) mod log;
pub(crate) mod management;
pub(crate) mod mux;
pub(crate) mod network;
pub(crate) mod pairing;
pub(crate) mod password;
pub(crate) mod values;
pub(crate) mod wifi;

use std::time::Duration;

use lifeboat_host::apart;
use plist::{Dictionary, Value as Plist};

use crate::fact::{Facts, Value, Why};

pub use apple::{Status, parse_status, parse_versions};

/// What a blocking look at the machine may take.
const MACHINE: Duration = Duration::from_secs(4);
/// What a look into the backups that are there may take: they may lie far away, and their key alone takes a second.
const BACKUPS: Duration = Duration::from_secs(12);

/// Makes the facts of a probe that saw nothing.
fn nothing(keys: &[&str], why: &Why) -> Facts {
    let mut facts = Facts::new();
    facts.unknown(keys, why);
    facts
}

/// Does a blocking look aside, where it may hang.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Why> {
    apart(MACHINE, work).await.ok_or(Why::TimedOut)
}

/// Looks into the backups that are there.
async fn stored<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Why> + Send + 'static,
) -> Result<T, Why> {
    apart(BACKUPS, work).await.ok_or(Why::TimedOut)?
}

/// Awaits all of some futures side by side, in their order.
async fn all<T>(mut futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;
    let mut waiting: Vec<Pin<Box<_>>> = futures.drain(..).map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, place) in waiting.iter_mut().zip(done.iter_mut()) {
            if place.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *place = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn absent(key: &str) -> Why {
    Why::NotThere(format!("the device has no value {key}"))
}

fn garbled(key: &str) -> Why {
    Why::Garbled(format!("value {key} is of another type"))
}

/// Returns a flag of the device.
fn flag(values: &Dictionary, key: &str) -> Result<bool, Why> {
    match values.get(key) {
        Some(Plist::Boolean(flag)) => Ok(*flag),
        // Old versions write 0 and 1.
        Some(Plist::Integer(number)) => match number.as_signed() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(garbled(key)),
        },
        Some(_) => Err(garbled(key)),
        None => Err(absent(key)),
    }
}

/// Returns a whole number of the device.
fn number(values: &Dictionary, key: &str) -> Result<i64, Why> {
    match values.get(key) {
        Some(Plist::Integer(number)) => number.as_signed().ok_or_else(|| garbled(key)),
        Some(Plist::Real(number)) => whole(*number).ok_or_else(|| garbled(key)),
        Some(_) => Err(garbled(key)),
        None => Err(absent(key)),
    }
}

/// Returns the whole part of a number that is one.
fn whole(number: f64) -> Option<i64> {
    // Beyond this, neighbours are further apart than one.
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if !number.is_finite() || number.abs() > LIMIT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was just held against the limits")]
    let whole = number.trunc() as i64;
    Some(whole)
}

/// Returns a text of the device, short and without control characters.
fn text(values: &Dictionary, key: &str) -> Result<String, Why> {
    match values.get(key) {
        Some(Plist::String(text)) => Ok(plain(text)),
        Some(_) => Err(garbled(key)),
        None => Err(absent(key)),
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Turns what was found into a value of a fact.
fn told<T: Into<Value>>(found: Result<T, Why>) -> Value {
    found.map_or_else(Value::Unknown, Into::into)
}

/// Returns one of two words.
fn either(found: Result<bool, Why>, yes: &str, no: &str) -> Value {
    told(found.map(|flag| if flag { yes } else { no }))
}

/// Bytes as the table counts them.
fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_is_garbled_and_never_taken() {
        let values = Dictionary::from_iter([
            ("text", Plist::from("a\x1b[2Jb")),
            ("number", Plist::from(5)),
            ("real", Plist::from(5.9)),
            ("huge", Plist::from(f64::NAN)),
            ("big", Plist::from(u64::MAX)),
            ("list", Plist::Array(Vec::new())),
            ("one", Plist::from(1)),
        ]);
        assert_eq!(text(&values, "text").unwrap(), "a[2Jb");
        assert_eq!(number(&values, "number").unwrap(), 5);
        assert_eq!(number(&values, "real").unwrap(), 5);
        assert!(flag(&values, "one").unwrap());
        for key in ["huge", "big", "list", "text"] {
            assert!(matches!(number(&values, key), Err(Why::Garbled(_))), "{key}");
            assert!(matches!(flag(&values, key), Err(Why::Garbled(_))), "{key}");
        }
        assert!(matches!(text(&values, "number"), Err(Why::Garbled(_))));
        assert!(matches!(text(&values, "none"), Err(Why::NotThere(_))));
    }
}
