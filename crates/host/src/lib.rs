//! The machine we run on, behind one trait.
