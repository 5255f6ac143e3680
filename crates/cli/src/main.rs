//! The one binary, `lifeboat`.

fn main() {}
