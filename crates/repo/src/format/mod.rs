//! restic's repository format, version 2: what bytes mean. No I/O here.

pub(crate) mod random;
