//! `completions SHELL`: a completion script.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Ended;
use crate::app::App;
use crate::args::Cli;
use crate::exit::Exit;

/// Flags of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat completions bash > ~/.local/share/bash-completion/completions/lifeboat\n  \
    lifeboat completions fish > ~/.config/fish/completions/lifeboat.fish"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(app: &App, args: &CompletionsArgs) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lifeboat", &mut script);
    app.ui.bytes(&script)?;
    app.ui.flush()?;
    Ok(Exit::Done)
}
