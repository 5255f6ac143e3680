//! The command line: global flags and the list of commands. Each command's own flags are in its file.

use camino::Utf8PathBuf;
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands::{
    backup, cat, check, completions, demo, devices, diff, doctor, explain, export, find, ls, pair,
    password, repo, show, sim, snapshots, status,
};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat",
    version,
    about = "Backs up iPhones and iPads to storage that you own",
    after_help = "Exit codes: 0 done · 1 failed · 2 wrong usage · 3 done but incomplete\n\
        4 the doctor found what keeps a backup from coming about · 5 postponed\n\
        10 no repository · 11 repository locked · 12 wrong password · 13 no device\n\
        14 not trusted · 15 passcode not entered · 16 no space · 17 connection lost\n\
        130 interrupted\n\n\
        No iPhone at hand? `lifeboat demo` tells the whole story on a simulated one.",
    disable_help_subcommand = true,
    propagate_version = false
)]
pub(crate) struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the repository is [env: `LIFEBOAT_REPO`] [default: `$XDG_DATA_HOME/lifeboat/repository`]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) repo: Option<String>,
    /// Which device, where there are several [env: `LIFEBOAT_UDID`]
    #[arg(short, long, global = true, value_name = "UDID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) udid: Option<String>,
    /// Print one JSON object, or one event a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and failures only
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    /// Log what happens; twice for more, three times for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Read this configuration file [default: `$XDG_CONFIG_HOME/lifeboat/config.toml`]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<Utf8PathBuf>,
    /// A described machine in place of this one, for trying and tests (docs/machine.md)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) machine: Option<Utf8PathBuf>,
    /// Print without colour (so does `NO_COLOR`)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell the whole story on a simulated iPhone
    Demo(demo::DemoArgs),
    /// Serve simulated iPhones on a usbmuxd socket
    Sim(sim::SimArgs),
    /// List the devices that can be reached
    Devices(devices::DevicesArgs),
    /// Trust a device, or forget it
    Pair(pair::PairArgs),
    /// Say what keeps a backup from coming about, and what helps
    Doctor(doctor::DoctorArgs),
    /// Explain a number, a message or a line of a log
    Explain(explain::ExplainArgs),
    /// Back up a device
    Backup(backup::BackupArgs),
    /// List the snapshots
    Snapshots(snapshots::SnapshotsArgs),
    /// Show what a snapshot holds
    Show(show::ShowArgs),
    /// List files of a snapshot
    Ls(ls::LsArgs),
    /// Print a file of a snapshot
    Cat(cat::CatArgs),
    /// Find files in snapshots by their name
    Find(find::FindArgs),
    /// Compare two snapshots
    Diff(diff::DiffArgs),
    /// Tell when each device was last backed up
    Status(status::StatusArgs),
    /// Check that the repository and its backups are whole
    Check(check::CheckArgs),
    /// Hand a snapshot back: as Apple's own folder, or as plain files
    Export(export::ExportArgs),
    /// Guard the password with which a device encrypts its backups
    Password(password::PasswordArgs),
    /// Work on the repository itself
    Repo(repo::RepoArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Returns its name, for the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Demo(_) => "demo",
            Self::Sim(_) => "sim",
            Self::Devices(_) => "devices",
            Self::Pair(_) => "pair",
            Self::Doctor(_) => "doctor",
            Self::Explain(_) => "explain",
            Self::Backup(_) => "backup",
            Self::Snapshots(_) => "snapshots",
            Self::Show(_) => "show",
            Self::Ls(_) => "ls",
            Self::Cat(_) => "cat",
            Self::Find(_) => "find",
            Self::Diff(_) => "diff",
            Self::Status(_) => "status",
            Self::Check(_) => "check",
            Self::Export(_) => "export",
            Self::Password(_) => "password",
            Self::Repo(_) => "repo",
            Self::Completions(_) => "completions",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n"), "{} has no examples", command.get_name());
        }
    }
}
