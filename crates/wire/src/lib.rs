//! Frames and messages of the device protocols, without I/O.
