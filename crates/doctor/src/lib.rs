//! Says what keeps a backup from working, shows the evidence, and names the one next step.
//!
//! `probe → fact → finding → remedy → report`: probes look at one thing each and never fail, [`fact`]s are keys and values out
//! of one table (`facts.toml`), a cause is a Markdown file ([`catalogue`]), and the diagnosis ([`finding`]) is a pure function of
//! facts with three values: confirmed, possible, ruled out.
//!
//! In reading order: [`mod@probe`] (who looks, at what, for how long), [`probes`] (what they see), [`fact`] (the table),
//! [`condition`] (a line of a cause, held against a fact), [`catalogue`] (causes and topics), [`finding`] (the diagnosis),
//! [`remedy`] (what helps, and what this program can do itself), [`mod@question`] (what only the person knows), [`patterns`]
//! (what the device writes into its log), [`errors`] (numbers and messages that people meet), [`articles`] (what
//! is said elsewhere, and corrected here), [`mod@explain`] (all of that for
//! what somebody types), [`report`] (everything of one examination, as data).
//!
//! What this crate is not: it prints nothing and repairs nothing by itself, and no cause is decided in code.

pub mod articles;
pub mod catalogue;
pub mod condition;
pub mod errors;
pub mod explain;
pub mod fact;
pub mod finding;
pub mod patterns;
pub mod probe;
pub mod probes;
pub mod question;
pub mod remedy;
pub mod report;

pub use catalogue::{Catalogue, Entry, EntryKind, For, Order, Severity, Sure};
pub use fact::{Facts, Key, Value, Why};
pub use finding::{Certainty, Diagnosis, Finding, diagnose};
pub use probe::{Probe, ProbeContext};
pub use remedy::{Action, Remedy, Who};
pub use report::{Examination, Examined, Identifier, ProbeRun, Report, RunSaid, Told, Versions};
