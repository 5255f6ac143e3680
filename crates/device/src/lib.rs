//! The client of the device: finds it, pairs with it, backs it up.
//!
//! In reading order:
//!
//! * [`mux`]: which devices are there, streams to their ports, pairing records;
//! * [`pairing`]: how a device gets to trust this computer;
//! * [`link`]: a device that does: its values, its services;
//! * [`sync`]: the sync lock and the notifications around a job;
//! * [`mod@info_plist`]: what only the host writes into a backup;
//! * [`identity`]: what a device tells anybody;
//! * [`diagnostics`], [`profiles`], [`apps`], [`media`], [`log`]: what the doctor asks a device that trusts this computer;
//! * [`mobilebackup2`]: the DeviceLink engine, the reason for this crate.
//!
//! usbmuxd, lockdown, TLS and the small services are the `idevice` crate's: it has met real iPhones. The DeviceLink
//! engine and AFC, the file service, stand on `lifeboat-wire` alone. Every wait has a limit, and every error says whose fault it is.
//!
//! What it is not: it keeps no files (whoever calls gives a [`mobilebackup2::HostFiles`]), draws no progress and knows
//! nothing of repositories.

mod afc;
mod certificates;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod limit;
mod service;

pub mod apps;
pub mod diagnostics;
pub mod identity;
pub mod info_plist;
pub mod link;
pub mod log;
pub mod media;
pub mod mobilebackup2;
pub mod mux;
pub mod pairing;
pub mod profiles;
pub mod sync;

pub use error::{Fault, LinkError};
/// Words of lockdown: the errors, services and domains that others name, too.
pub use lifeboat_wire::lockdown;
pub use mux::{Device, MuxAddress};
