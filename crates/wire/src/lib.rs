//! Frames and messages of the device protocols, without I/O.
//!
//! The client (`lifeboat-device`) and the simulated phone (`lifeboat-sim`) stand on this crate side by side: each message can be
//! encoded and decoded, and no byte is read from or written to anything but memory. In reading order:
//!
//! * [`plist_guard`]: property lists from outside, refused when they are bombs.
//! * [`decoder`]: cuts a stream into units of the protocols below.
//! * [`mux`]: usbmuxd, which finds devices and opens streams to them.
//! * [`plist_frame`]: the unit of lockdown, of every property-list service and of DeviceLink.
//! * [`lockdown`]: words of lockdown; its messages are plain property lists.
//! * [`devicelink`]: the message layer of MobileBackup2.
//! * [`files`]: streams of files inside DeviceLink.
//! * [`afc`]: the file service with the sync lock.
//! * [`os_trace`]: the log of the device.
//!
//! Everything that comes from outside has a limit, nothing is allocated because a length was announced, and no input
//! panics. Decoders take bytes in any fragmentation. What the bytes mean is told in `docs/protocol.md`.

#![warn(clippy::indexing_slicing)]

pub mod afc;
pub mod decoder;
pub mod devicelink;
pub mod files;
pub mod lockdown;
pub mod mux;
pub mod os_trace;
pub mod plist_frame;
pub mod plist_guard;
