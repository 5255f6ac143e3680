//! What tests share: a throw-away home, a simulated phone, running the program.
