//! Tests of the repository as its users see it.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod basics;
mod damage;
mod old;
mod strangers;
mod support;
