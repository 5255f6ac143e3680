//! A simulated iPhone, good enough that programs written for real ones accept it.
//!
//! [`serve`] puts phones behind a usbmuxd socket. In reading order, from the cable inwards:
//!
//! * [`options`]: what a phone is, and what real ones do differently ([`options::Knobs`]); [`state`]: what is set on it;
//!   [`scenario`]: one for each cause of trouble.
//! * [`identity`], [`keys`], [`memory`]: the numbers of a phone, its key, what it remembers.
//! * [`phone`]: the phone itself, one object that all parts share; [`fault`] and [`traffic`] with it.
//! * [`cable`] and `bus`: usbmuxd, which finds phones and opens streams to them; `records`.
//! * `channel` and `tls`: streams, property lists on them, and sessions with mutual certificates.
//! * `lockdownd`: values, pairing, sessions, and the start of services.
//! * `services`: notifications, media folder, apps, diagnostics, profiles, the log, each a file; [`log`]: its lines.
//! * [`backupd`]: MobileBackup2, the device side.
//! * [`disk`]: the content, which is made up, coherent, and lives; `diary`: what the phone writes into it about its iCloud backups.
//! * [`ctl`] and [`server`]: acting on a running phone; start and end.
//!
//! Everything stands on the codecs of `lifeboat-wire` and on `docs/protocol.md`; nothing is taken
//! from the client side. All state lies in one folder and survives a restart.

pub mod backupd;
mod bus;
pub mod cable;
mod channel;
pub mod ctl;
mod diary;
pub mod disk;
pub mod fault;
pub mod identity;
pub mod keys;
mod lockdownd;
pub mod log;
pub mod memory;
pub mod options;
pub mod phone;
mod records;
pub mod scenario;
pub mod server;
mod services;
pub mod state;
mod tls;
pub mod traffic;

pub use options::{Listen, Options, PhoneSpec};
pub use server::{Server, SimError, serve};
