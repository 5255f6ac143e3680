//! A repository of snapshots in restic's format.
