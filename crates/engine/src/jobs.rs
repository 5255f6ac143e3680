//! The jobs: what each does, in order.

pub mod backup;
pub mod check;
pub mod devices;
pub mod diagnose;
pub mod export;
pub mod mend;
pub mod open;
pub mod pair;
pub mod password;
pub mod snapshots;
pub mod status;
