use plist::{Dictionary, Value};

use super::{EMPTY, MessageError};

/// Reads the elements of one message by position, tolerant where phones are known to differ.
pub(super) struct Elements<'a> {
    pub(super) message: &'a str,
    /// What follows the name.
    pub(super) values: &'a [Value],
}

impl<'a> Elements<'a> {
    /// Returns the element at `index` (the name is 0), nothing when absent or [`EMPTY`].
    fn get(&self, index: usize) -> Option<&'a Value> {
        let value = self.values.get(index.checked_sub(1)?)?;
        (value.as_string() != Some(EMPTY)).then_some(value)
    }

    fn wrong(&self, index: usize, expected: &'static str) -> MessageError {
        MessageError::Element { message: self.message.to_owned(), index, expected }
    }

    pub(super) fn text(&self, index: usize) -> Result<String, MessageError> {
        self.get(index)
            .and_then(Value::as_string)
            .map(str::to_owned)
            .ok_or_else(|| self.wrong(index, "a string"))
    }

    pub(super) fn optional_text(&self, index: usize) -> Option<String> {
        self.get(index)?.as_string().map(str::to_owned)
    }

    /// An array of strings; absent is empty.
    pub(super) fn texts(&self, index: usize) -> Result<Vec<String>, MessageError> {
        let wrong = || self.wrong(index, "an array of strings");
        let Some(value) = self.get(index) else {
            return Ok(Vec::new());
        };
        value
            .as_array()
            .ok_or_else(wrong)?
            .iter()
            .map(|value| value.as_string().map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    /// A dictionary of strings in its order on the wire; absent is empty.
    pub(super) fn pairs(&self, index: usize) -> Result<Vec<(String, String)>, MessageError> {
        let wrong = || self.wrong(index, "a dictionary of strings");
        let Some(value) = self.get(index) else {
            return Ok(Vec::new());
        };
        value
            .as_dictionary()
            .ok_or_else(wrong)?
            .iter()
            .map(|(from, to)| {
                let to = to.as_string().ok_or_else(wrong)?;
                Ok((from.clone(), to.to_owned()))
            })
            .collect()
    }

    pub(super) fn dictionary(&self, index: usize) -> Result<Dictionary, MessageError> {
        self.get(index)
            .and_then(Value::as_dictionary)
            .cloned()
            .ok_or_else(|| self.wrong(index, "a dictionary"))
    }

    /// A whole number that may come as a real; absent is 0.
    pub(super) fn integer(&self, index: usize) -> Result<i64, MessageError> {
        match self.get(index) {
            None => Ok(0),
            Some(value) => integer(value).ok_or_else(|| self.wrong(index, "a number")),
        }
    }

    /// A count of bytes; absent or negative is 0.
    pub(super) fn size(&self, index: usize) -> Result<u64, MessageError> {
        Ok(u64::try_from(self.integer(index)?).unwrap_or(0))
    }

    /// A percentage that may come as an integer; nothing when absent or no number.
    pub(super) fn progress(&self, index: usize) -> Option<f64> {
        let value = self.get(index)?;
        let progress = match value {
            Value::Real(real) => *real,
            value => f64::from(i32::try_from(integer(value)?).ok()?),
        };
        progress.is_finite().then_some(progress)
    }
}

/// Reads a whole number from an integer (also unsigned two's complement) or a real.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and only whole numbers in range matter"
)]
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => {
            number.as_signed().or_else(|| number.as_unsigned().map(u64::cast_signed))
        }
        Value::Real(real) if real.is_finite() => Some(*real as i64),
        _ => None,
    }
}
