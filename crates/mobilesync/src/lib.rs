//! Reads, checks and builds the MobileSync backup format.
