//! `password status|set|change|off|test`: the phone's backup password, guarded.

mod change;
mod secrets;
mod status;
mod test;

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::Ended;
use crate::app::App;
use crate::ui::text::parse_duration;

/// Flags of `password`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat password status\n  lifeboat password set --generate\n  \
    BACKUP_PASSWORD_NEW_FILE=new.txt lifeboat password change\n  lifeboat password off\n  \
    lifeboat password test --candidates remembered.txt\n\n\
    Passwords are typed on a terminal (twice, where it is a new one), or come from files: the one that\n\
    the device has from BACKUP_PASSWORD_FILE, a new one from BACKUP_PASSWORD_NEW_FILE (or the systemd\n\
    credentials lifeboat-backup-password and lifeboat-backup-password-new). BACKUP_PASSWORD and\n\
    BACKUP_PASSWORD_NEW work as in other programs; a file is better. A new password is stored in the\n\
    repository before the device hears of it."
)]
pub(crate) struct PasswordArgs {
    #[command(subcommand)]
    command: PasswordCommand,
}

/// What to do with the password.
#[derive(Debug, Subcommand)]
enum PasswordCommand {
    /// Say what is known of the backup password of a device; ends with 12 where backups will be locked with one that nobody here knows
    Status,
    /// Give a device a backup password that has none: from then on it encrypts its backups
    Set(NewArgs),
    /// Give a device another backup password
    Change(NewArgs),
    /// Take the backup password from a device: its backups are not encrypted any more, and hold less
    Off(WaitArgs),
    /// Try passwords that somebody remembers against a backup; nothing is asked of the device
    Test(TestArgs),
}

/// Flags of `password set` and `password change`.
#[derive(Debug, Args)]
struct NewArgs {
    /// Make the new password, and show it once: six groups that are easy to type
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// How long to wait for a person until the device is there, trusted and unlocked; its passcode is waited for as long as it asks
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,
}

/// Flags of `password test`.
#[derive(Debug, Args)]
struct TestArgs {
    /// Against which snapshot: id, prefix, `latest` or `UDID@date`
    #[arg(value_name = "SNAP", default_value = "latest")]
    snapshot: String,
    /// Against a folder of Finder, iTunes or another tool, instead of a snapshot
    #[arg(long, value_name = "DIR", conflicts_with = "snapshot")]
    folder: Option<Utf8PathBuf>,
    /// Try the lines of this file, `-` for standard input; without it they are asked for, one after the other
    #[arg(long, value_name = "FILE")]
    candidates: Option<Utf8PathBuf>,
    /// Print the password that is right
    #[arg(long)]
    show: bool,
    /// Keep the password that is right in the repository, without asking
    #[arg(long)]
    remember: bool,
}

/// Works on the password.
pub(crate) async fn run(app: &App, args: PasswordArgs) -> Ended {
    match args.command {
        PasswordCommand::Status => status::run(app).await,
        PasswordCommand::Set(args) => change::set(app, &args).await,
        PasswordCommand::Change(args) => change::change(app, &args).await,
        PasswordCommand::Off(args) => change::off(app, &args).await,
        PasswordCommand::Test(args) => test::run(app, args).await,
    }
}
