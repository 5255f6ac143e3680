//! Runs jobs: backs up, checks and exports; tells events.
//!
//! Modules in reading order: [`job`] (what every job gets), [`stage`] and [`event`] (what it tells), [`error`] (why it did not
//! work), [`examine`] (what the doctor is told and asked), [`jobs`] (what each does).
//!
//! Encrypted backups: [`passwords`] (where passwords come from), `keys` (what opens a backup, and how a snapshot keeps it), `unlock` and
//! `opening` (what arrived becomes plain text, proved file by file), `apple` (plain text becomes what the device sent).
//!
//! The engine never prints and never knows the simulated iPhone. Everything that blocks runs beside the async tasks.

pub(crate) mod apple;
pub mod error;
pub mod event;
pub mod examine;
#[doc(hidden)]
pub mod fuzz;
pub mod job;
pub mod jobs;
pub(crate) mod keys;
pub(crate) mod last_run;
pub(crate) mod layout;
pub(crate) mod link;
pub(crate) mod meter;
pub mod mux;
pub(crate) mod opening;
pub mod passwords;
pub(crate) mod run_facts;
pub(crate) mod scratch;
pub mod stage;
pub(crate) mod store;
pub(crate) mod unlock;
pub(crate) mod verify;
pub(crate) mod view;
pub mod words;
pub(crate) mod working_tree;

pub use crate::error::{Cause, ExitClass, Fault, JobError};
pub use crate::event::{Diagnosed, Event, EventSink, Finding, Note, Progress, Trying, Wait};
pub use crate::examine::{DoctorSettings, Findings};
pub use crate::job::{Context, Outcome, Places};
pub use crate::mux::Mux;
pub use crate::passwords::{Given, NoPasswords, Passwords};
pub use crate::stage::Stage;
pub use secrecy::SecretString;
