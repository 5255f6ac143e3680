//! The jobs: what each does, in order.

pub mod backup;
pub mod check;
pub mod devices;
pub mod export;
pub mod pair;
pub mod snapshots;
pub mod status;
