//! The phone's protocol side, met by a host written for these tests: pairing, sessions, services,
//! the bus and the control socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod bus;
mod ctl;
mod host;
mod pairing;
mod services;
mod session;
mod states;
