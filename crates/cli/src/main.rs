//! The one binary, `lifeboat`.
//!
//! In reading order: `args` (the command line), `settings` (flags, environment, file), `app` (what every command gets),
//! `commands` (one file each), `ui` (all that is printed), `exit` (how the program ends).
//!
//! What a command does is in the crates below; here it is parsed, called and told.

mod app;
mod args;
mod commands;
#[cfg(test)]
mod docs;
mod exit;
mod passwords;
mod settings;
mod ui;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::args::Cli;
use crate::exit::Exit;
use crate::settings::{Environment, Flags};
use crate::ui::Ui;
use crate::ui::error::Failure;

fn main() -> ExitCode {
    let environment = Environment::read();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let ui = Ui::new(false, false, false);
            let printed = error.print();
            if error.use_stderr() {
                let ui = Ui::new(wants_json(), false, false);
                Failure::command_line(&error).tell_programs(ui);
                return exit::code(Exit::Usage);
            }
            // Help may go into a pipe that nobody reads to its end.
            let _told = ui::written(printed);
            return exit::code(ui.end(Exit::Done));
        }
    };
    let ui = Ui::new(cli.global.json, cli.global.quiet, cli.global.no_color)
        .with(environment.get("COLUMNS"), cli.global.verbose > 0);
    ui::log::start(cli.global.verbose, environment.get("LIFEBOAT_LOG"));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Failure::of(Exit::Failed, "internal", &error).tell(ui);
            return exit::code(Exit::Failed);
        }
    };
    let exit = runtime.block_on(run(cli, ui, environment));
    // A thread that still waits for a disk or a terminal must not keep the program alive.
    runtime.shutdown_timeout(Duration::from_secs(2));
    exit::code(ui.end(exit))
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

async fn run(cli: Cli, ui: Ui, environment: Environment) -> Exit {
    let flags = Flags {
        repository: cli.global.repo.clone(),
        udid: cli.global.udid.clone(),
        config: cli.global.config.clone(),
    };
    let app = match App::new(ui, flags, cli.global.machine.as_deref(), environment) {
        Ok(app) => app,
        Err(failure) => {
            failure.tell(ui);
            return failure.exit;
        }
    };
    let mut watchers = tokio::task::JoinSet::new();
    watchers.spawn(watch_signals(app.cancel.clone(), ui));
    let (command, since) = (cli.command.name(), Instant::now());
    tracing::info!(command, "begins");
    let ended = Box::pin(commands::run(&app, cli.command)).await;
    watchers.abort_all();
    let exit = ended.as_ref().map_or_else(|failure| failure.exit, |exit| *exit);
    tracing::info!(command, exit = exit.code(), seconds = since.elapsed().as_secs_f64(), "ends");
    match ended {
        Ok(exit) => exit,
        Err(failure) => {
            if failure.exit != Exit::Done {
                failure.tell(ui);
            }
            failure.exit
        }
    }
}

/// The first signal asks the job to stop at the next clean place; the second stops at once.
#[expect(clippy::exit, reason = "the second Ctrl-C does not wait for anything")]
async fn watch_signals(cancel: CancellationToken, ui: Ui) {
    signal().await;
    cancel.cancel();
    ui.say("stopping at the next clean place; once more stops at once");
    signal().await;
    std::process::exit(i32::from(Exit::Interrupted.code()));
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
