//! `docs/cli.md` is made of the command line itself and compared in a test, so that it cannot drift.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use crate::args::Cli;

const HEAD: &str = include_str!("docs/head.md");

/// Returns the whole page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut command = Cli::command().term_width(100).disable_version_flag(true);
    command.build();
    section(&mut page, &command, "lifeboat");
    page
}

fn section(page: &mut String, command: &Command, name: &str) {
    // Flags that every command takes are shown once, at the top.
    let top = name == "lifeboat";
    let mut shown = command.clone().term_width(100).mut_args(|arg| {
        let hidden = arg.get_id() == "help" || (arg.is_global_set() && !top);
        arg.hide(hidden)
    });
    let help = shown.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for below in command.get_subcommands() {
        section(page, below, &format!("{name} {}", below.get_name()));
    }
}

#[test]
fn the_reference_is_the_command_line() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let page = page();
    // As insta does: renewed on demand, compared otherwise.
    #[expect(clippy::disallowed_methods, reason = "a switch of the test itself, as insta has it")]
    let renew = std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always");
    if renew {
        fs_err::write(path, &page).unwrap();
    }
    let there = fs_err::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/cli.md is not what the command line says: renew it with \
         `INSTA_UPDATE=always cargo test -p lifeboat-cli the_reference_is_the_command_line`"
    );
}
