//! What tests share: a throw-away home, running the program, a simulated phone, comparing trees.
//!
//! In reading order: [`home`] (a home folder of its own for every test), [`run`] (programs with a time limit and an empty
//! environment), [`sim`] (`lifeboat sim` as a process), [`digest`] (what is in a tree, for comparisons), [`stranger`]
//! (programs that we did not write), [`held`] (a program that is held at each line that it prints), [`small_disk`] (a disk to be filled), [`terminal`] (a terminal with a person at it).
//!
//! Everything here panics when something is wrong: it is for tests only.

#![expect(clippy::panic, reason = "a helper of a test fails as a test does")]

pub mod digest;
#[cfg(target_os = "linux")]
pub mod held;
pub mod home;
pub mod run;
pub mod sim;
#[cfg(target_os = "linux")]
pub mod small_disk;
pub mod stranger;
#[cfg(target_os = "linux")]
pub mod terminal;

#[cfg(target_os = "linux")]
pub use crate::held::Held;
pub use crate::home::Home;
pub use crate::run::{Invocation, Run, Running};
pub use crate::sim::Sim;
#[cfg(target_os = "linux")]
pub use crate::small_disk::SmallDisk;
#[cfg(target_os = "linux")]
pub use crate::terminal::Terminal;
