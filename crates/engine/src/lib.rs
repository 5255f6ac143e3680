//! Runs jobs: backs up, checks and exports; tells events.
