//! Says what keeps a backup from working, shows the evidence, and names the one next step.
//!
//! `probe → fact → finding → remedy → report`: probes look at one thing each and never fail, facts are keys and values out
//! of one table (`facts.toml`), a cause is a Markdown file (`catalogue/`), and the diagnosis is a pure function of facts.
