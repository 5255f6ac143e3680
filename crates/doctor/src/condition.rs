//! One line of a cause: what a fact must be. The answer has three values, as in Kleene's logic.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::fact::{Facts, Key, Kind, Value, Why};

/// The answer of somebody who could not try what was asked.
const NOT_TRIED: &str = "not-tried";

/// True, false, or not to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told, and why.
    Unknown(Why),
}

/// What a fact must be: all of the parts that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// One of these words (flags are `yes` and `no`).
    OneOf(Vec<String>),
    /// None of these words.
    NoneOf(Vec<String>),
    /// One of these numbers.
    Numbers(Vec<i64>),
    /// None of these numbers.
    NotNumbers(Vec<i64>),
    /// Between the two, neither of them included.
    Between { above: Option<i64>, below: Option<i64> },
}

/// What is wrong with a condition in a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// It says nothing, or two things that exclude each other.
    #[error("a condition says exactly one of `is`, `not`, `in`, or `below` and `above`")]
    Shape,
    /// Causes decide only on what can be decided.
    #[error("`{key}` is text: no cause may decide on it")]
    Text {
        /// The key.
        key: Key,
    },
    /// The key does not know that word.
    #[error("fact `{key}` has no word `{word}`")]
    Word {
        /// The key.
        key: Key,
        /// The word.
        word: String,
    },
    /// A number for a word or the reverse.
    #[error("fact `{key}` takes {takes}")]
    Kind {
        /// The key.
        key: Key,
        /// What it takes.
        takes: &'static str,
    },
}

/// A condition as it stands in a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCondition {
    is: Option<Scalar>,
    not: Option<Scalar>,
    #[serde(rename = "in")]
    one_of: Option<Vec<Scalar>>,
    below: Option<i64>,
    above: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(i64),
    Flag(bool),
    Word(String),
}

impl RawCondition {
    /// Holds it against the table.
    pub(crate) fn checked(self, key: Key) -> Result<Condition, ConditionError> {
        let test = match (self.is, self.not, self.one_of, self.above, self.below) {
            (Some(is), None, None, None, None) => listed(key, vec![is], true)?,
            (None, Some(not), None, None, None) => listed(key, vec![not], false)?,
            (None, None, Some(list), None, None) if !list.is_empty() => listed(key, list, true)?,
            (None, None, None, above, below) if above.is_some() || below.is_some() => {
                if !matches!(key.declared().kind, Kind::Number { .. }) {
                    return Err(ConditionError::Kind { key, takes: key.declared().kind.takes() });
                }
                Test::Between { above, below }
            }
            _ => return Err(ConditionError::Shape),
        };
        Ok(Condition { test })
    }
}

fn listed(key: Key, list: Vec<Scalar>, wanted: bool) -> Result<Test, ConditionError> {
    let kind = &key.declared().kind;
    let wrong = || ConditionError::Kind { key, takes: kind.takes() };
    let (mut words, mut numbers) = (Vec::new(), Vec::new());
    for scalar in list {
        match (kind, scalar) {
            (Kind::Text, _) => return Err(ConditionError::Text { key }),
            (Kind::Words(known), Scalar::Word(word)) if !known.contains(&word) => {
                return Err(ConditionError::Word { key, word });
            }
            (Kind::Words(_), Scalar::Word(word)) => words.push(word),
            (Kind::Flag, Scalar::Word(word)) if word == "yes" || word == "no" => words.push(word),
            (Kind::Flag, Scalar::Flag(flag)) => {
                words.push(if flag { "yes" } else { "no" }.to_owned());
            }
            (Kind::Number { .. }, Scalar::Number(number)) => numbers.push(number),
            _ => return Err(wrong()),
        }
    }
    Ok(match (kind, wanted) {
        (Kind::Number { .. }, true) => Test::Numbers(numbers),
        (Kind::Number { .. }, false) => Test::NotNumbers(numbers),
        (_, true) => Test::OneOf(words),
        (_, false) => Test::NoneOf(words),
    })
}

impl Condition {
    /// Returns the condition of being this number.
    pub(crate) fn number(number: i64) -> Self {
        Self { test: Test::Numbers(vec![number]) }
    }

    /// Whether it only says what must not be: it can rule a cause out, and never speaks for one.
    pub fn is_guard(&self) -> bool {
        matches!(self.test, Test::NoneOf(_) | Test::NotNumbers(_))
    }

    /// Holds it against what is known.
    pub fn holds(&self, key: Key, facts: &Facts) -> Truth {
        match facts.get(key) {
            None if key.declared().ask => Truth::Unknown(Why::NotAnswered),
            None => Truth::Unknown(Why::NotLooked),
            Some(Value::Unknown(why)) => Truth::Unknown(why.clone()),
            // Who could not try has not seen what would be.
            Some(Value::Word(word)) if key.declared().ask && word == NOT_TRIED => {
                Truth::Unknown(Why::NotThere("nobody tried it".to_owned()))
            }
            Some(Value::Word(word)) => self.of_word(word),
            Some(Value::Flag(flag)) => self.of_word(if *flag { "yes" } else { "no" }),
            Some(Value::Number(number)) => self.of_number(*number),
            Some(Value::AtLeast(least)) => self.of_least(*least),
            Some(Value::Text(_)) => Truth::False,
        }
    }

    fn of_word(&self, found: &str) -> Truth {
        truth(match &self.test {
            Test::OneOf(words) => words.iter().any(|word| word == found),
            Test::NoneOf(words) => !words.iter().any(|word| word == found),
            Test::Numbers(_) | Test::NotNumbers(_) | Test::Between { .. } => false,
        })
    }

    fn of_number(&self, found: i64) -> Truth {
        truth(match &self.test {
            Test::Numbers(numbers) => numbers.contains(&found),
            Test::NotNumbers(numbers) => !numbers.contains(&found),
            Test::Between { above, below } => {
                above.is_none_or(|above| found > above) && below.is_none_or(|below| found < below)
            }
            Test::OneOf(_) | Test::NoneOf(_) => false,
        })
    }

    /// The counting was stopped at `least`: what is true of all numbers from there on is true, what is true of none is false.
    fn of_least(&self, least: i64) -> Truth {
        let open = Truth::Unknown(Why::TimedOut);
        match &self.test {
            Test::Numbers(numbers) if numbers.iter().all(|number| *number < least) => Truth::False,
            Test::NotNumbers(numbers) if numbers.iter().all(|number| *number < least) => {
                Truth::True
            }
            Test::Between { below: Some(below), .. } if least >= *below => Truth::False,
            Test::Between { above: Some(above), below: None } if least > *above => Truth::True,
            Test::Numbers(_) | Test::NotNumbers(_) | Test::Between { .. } => open,
            Test::OneOf(_) | Test::NoneOf(_) => Truth::False,
        }
    }
}

fn truth(holds: bool) -> Truth {
    if holds { Truth::True } else { Truth::False }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers =
            |list: &[i64]| list.iter().map(i64::to_string).collect::<Vec<_>>().join(" or ");
        match &self.test {
            Test::OneOf(words) => write!(f, "is {}", words.join(" or ")),
            Test::NoneOf(words) => write!(f, "is not {}", words.join(" or ")),
            Test::Numbers(list) => write!(f, "is {}", numbers(list)),
            Test::NotNumbers(list) => write!(f, "is not {}", numbers(list)),
            Test::Between { above: Some(above), below: Some(below) } => {
                write!(f, "is above {above} and below {below}")
            }
            Test::Between { above: Some(above), below: None } => write!(f, "is above {above}"),
            Test::Between { above: None, below: Some(below) } => write!(f, "is below {below}"),
            Test::Between { above: None, below: None } => f.write_str("is anything"),
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(key: &str, text: &str) -> Result<Condition, ConditionError> {
        toml::from_str::<RawCondition>(text).unwrap().checked(Key::find(key).unwrap())
    }

    fn holds(key: &str, text: &str, value: impl Into<Value>) -> Truth {
        let mut facts = Facts::new();
        facts.insert(key, value).unwrap();
        condition(key, text).unwrap().holds(Key::find(key).unwrap(), &facts)
    }

    #[test]
    fn words_numbers_and_flags() {
        assert_eq!(holds("mux.state", "is = 'running'", "running"), Truth::True);
        assert_eq!(holds("mux.state", "not = 'running'", "running"), Truth::False);
        assert_eq!(holds("mux.state", "in = ['missing', 'stopped']", "stopped"), Truth::True);
        assert_eq!(holds("device.beta", "is = 'yes'", true), Truth::True);
        assert_eq!(holds("device.beta", "is = true", false), Truth::False);
        assert_eq!(holds("battery.level", "below = 20", 19), Truth::True);
        assert_eq!(holds("battery.level", "below = 20", 20), Truth::False);
        assert_eq!(holds("battery.level", "above = 5\nbelow = 20", 10), Truth::True);
        assert_eq!(holds("job.code", "in = [105, 106]", 106), Truth::True);
    }

    #[test]
    fn at_least_is_known_where_it_decides() {
        let least = Value::AtLeast(100);
        assert_eq!(holds("media.files", "above = 99", least.clone()), Truth::True);
        assert_eq!(holds("media.files", "below = 100", least.clone()), Truth::False);
        assert_eq!(holds("media.files", "is = 99", least.clone()), Truth::False);
        assert_eq!(holds("media.files", "not = 99", least.clone()), Truth::True);
        assert!(matches!(holds("media.files", "above = 100", least.clone()), Truth::Unknown(_)));
        assert!(matches!(holds("media.files", "below = 101", least), Truth::Unknown(_)));
    }

    #[test]
    fn unknown_says_why() {
        assert_eq!(
            holds("mux.state", "is = 'running'", Why::Blinded),
            Truth::Unknown(Why::Blinded)
        );
        let key = Key::find("answer.damage").unwrap();
        let asked = condition("answer.damage", "is = 'yes'").unwrap();
        assert_eq!(asked.holds(key, &Facts::new()), Truth::Unknown(Why::NotAnswered));
    }

    #[test]
    fn refuses_what_cannot_be_decided() {
        assert!(matches!(condition("device.ios", "is = '18'"), Err(ConditionError::Text { .. })));
        assert!(matches!(
            condition("mux.state", "is = 'asleep'"),
            Err(ConditionError::Word { .. })
        ));
        assert!(matches!(condition("mux.state", "below = 5"), Err(ConditionError::Kind { .. })));
        assert!(matches!(
            condition("battery.level", "is = 'full'"),
            Err(ConditionError::Kind { .. })
        ));
        assert!(matches!(condition("mux.state", ""), Err(ConditionError::Shape)));
        assert!(matches!(
            condition("battery.level", "is = 5\nabove = 3"),
            Err(ConditionError::Shape)
        ));
        assert!(toml::from_str::<RawCondition>("equals = 5").is_err());
    }
}
