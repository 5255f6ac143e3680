//! `sim`: simulated iPhones on a usbmuxd socket. `sim ctl`: acts on running ones.

use std::sync::Arc;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum};
use lifeboat_sim::ctl::{self, Action, CtlError, Reply};
use lifeboat_sim::disk::{MOST_DAYS, Profile, is_full};
use lifeboat_sim::phone::PhoneError;
use lifeboat_sim::scenario;
use lifeboat_sim::{Options, PhoneSpec, Server, SimError, serve};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::error::{Failure, WRONG_USAGE};
use crate::ui::table::{Column, table};
use crate::ui::text::plain;

/// Flags of `sim`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  lifeboat sim --listen 127.0.0.1:27015 --state phones --profile small\n  \
        USBMUXD_SOCKET_ADDRESS=127.0.0.1:27015 idevice_id -l\n  \
        lifeboat sim ctl --state phones live --days 1\n  \
        lifeboat sim ctl --state phones digest"
)]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    command: Option<SimCommand>,
    /// Where to listen: HOST:PORT (port 0: any), a path, or UNIX:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// The folder that keeps the phones; without it they are gone at the end
    #[arg(long, value_name = "DIR")]
    state: Option<Utf8PathBuf>,
    /// A phone described in TOML; several times for several phones
    #[arg(long = "phone", value_name = "FILE", conflicts_with_all = ["seed", "profile", "days"])]
    phones: Vec<Utf8PathBuf>,
    /// The phone of a scenario: the id of a cause, as `explain --list` tells them
    #[arg(long, value_name = "ID", conflicts_with_all = ["phones", "seed", "profile", "days"])]
    scenario: Option<String>,
    /// What the phone's content and identity are made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How much is on the phone: tiny, small, ordinary, media, large
    #[arg(long, value_name = "NAME", default_value = "tiny", value_parser = parse_profile)]
    profile: Profile,
    /// Days of life that the phone has behind it, beside its first content
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_days)]
    days: u32,
    /// Leave the trust dialog and the passcode to `sim ctl`; otherwise the owner answers by himself
    #[arg(long)]
    ask: bool,
}

/// What to do with running phones.
#[derive(Debug, Subcommand)]
enum SimCommand {
    /// Act on running simulated iPhones
    Ctl(CtlArgs),
}

/// Flags of `sim ctl`.
#[derive(Debug, Args)]
struct CtlArgs {
    /// The folder given to `sim`
    #[arg(long, value_name = "DIR")]
    state: Utf8PathBuf,
    #[command(subcommand)]
    action: ActionArgs,
}

/// An action.
#[derive(Debug, Clone, Subcommand)]
enum ActionArgs {
    /// Type the passcode, or send its sheet away
    Passcode {
        /// `enter` or `cancel`
        #[arg(value_enum)]
        answer: PasscodeArg,
    },
    /// Lock the screen
    Lock,
    /// Unlock the screen
    Unlock,
    /// Plug the phone in
    Plug,
    /// Unplug the phone
    Unplug,
    /// Answer the trust dialog: tap Trust
    Trust {
        /// Tap Don't Trust instead
        #[arg(long)]
        deny: bool,
    },
    /// Let days of life pass that end now
    Live {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_days)]
        days: u32,
    },
    /// Set one thing of the phone's state, such as `battery.level=15` or `icloud.backup=false`
    Set {
        /// Nothing after the `=` sets it back to that of a healthy phone
        #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
        pair: (String, String),
    },
    /// Tap the X that cancels what a computer does
    Cancel,
    /// Restart the phone
    Restart,
    /// Let a process write a line into the log
    Log {
        /// `PROCESS: TEXT`; what a customer's phone hides stands as `<private:WHAT>`
        text: String,
    },
    /// Let the phone do something wrong
    Fault {
        /// Which fault
        #[arg(required_unless_present_any = ["list", "clear"], conflicts_with_all = ["list", "clear"])]
        name: Option<String>,
        /// Its settings
        #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
        values: Vec<(String, String)>,
        /// List all faults
        #[arg(long, conflicts_with = "clear")]
        list: bool,
        /// Switch all faults off
        #[arg(long)]
        clear: bool,
    },
    /// Tell what went over the wire in the last job (JSON)
    Traffic,
    /// List what the phone would put into a backup now, as `sha256sum` prints it
    Digest,
    /// Tell who the phone is and what is on its screen (JSON)
    State,
}

/// What to do with the passcode sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PasscodeArg {
    /// Type the passcode
    Enter,
    /// Send the sheet away
    Cancel,
}

impl From<ActionArgs> for Action {
    fn from(action: ActionArgs) -> Self {
        match action {
            ActionArgs::Passcode { answer } => {
                Self::Passcode { enter: answer == PasscodeArg::Enter }
            }
            ActionArgs::Lock => Self::Lock,
            ActionArgs::Unlock => Self::Unlock,
            ActionArgs::Plug => Self::Plug,
            ActionArgs::Unplug => Self::Unplug,
            ActionArgs::Trust { deny } => Self::Trust { trust: !deny },
            ActionArgs::Live { days } => Self::Live { days },
            ActionArgs::Set { pair: (key, value) } => Self::Set { key, value },
            ActionArgs::Cancel => Self::Cancel,
            ActionArgs::Restart => Self::Restart,
            ActionArgs::Log { text } => Self::Log { text },
            ActionArgs::Fault { clear: true, .. } => Self::ClearFaults,
            ActionArgs::Fault { name: Some(name), values, .. } => {
                Self::Fault { name, values: values.into_iter().collect() }
            }
            ActionArgs::Fault { name: None, .. } => Self::ListFaults,
            ActionArgs::Traffic => Self::Traffic,
            ActionArgs::Digest => Self::Digest,
            ActionArgs::State => Self::State,
        }
    }
}

/// Reads the name of a profile.
pub(super) fn parse_profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = Profile::ALL.into_iter().map(Profile::as_str).collect();
        format!("there is no profile {text:?}; there are {}", names.join(", "))
    })
}

fn parse_days(text: &str) -> Result<u32, String> {
    let days: u32 = text.parse().map_err(|_| "it is not a number of days".to_owned())?;
    if days > MOST_DAYS {
        return Err(format!("a phone lives {MOST_DAYS} days at a time at most"));
    }
    Ok(days)
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Serves phones, or acts on them.
pub(crate) async fn run(app: &App, args: SimArgs) -> Ended {
    if let Some(SimCommand::Ctl(args)) = args.command {
        return ctl(app, args).await;
    }
    let phones = phones(&args)?;
    // Lives as long as the server: without `--state` nothing is left behind.
    let throwaway;
    let state = if let Some(state) = args.state {
        camino::absolute_utf8(state).map_err(anyhow::Error::from)?
    } else {
        throwaway = tempfile::Builder::new()
            .prefix("lifeboat-sim-")
            .tempdir()
            .map_err(anyhow::Error::from)?;
        Utf8PathBuf::try_from(throwaway.path().to_owned()).map_err(anyhow::Error::from)?
    };
    let listen = args.listen.parse().map_err(|error| Failure::usage_of(&error))?;
    let host = Arc::clone(&app.host);
    let options =
        Options { listen, state, phones, clock: Arc::new(move || host.now()), ask: args.ask };
    let server = serve(options).await.map_err(|error| failure(&error))?;
    announce(app, &server)?;
    tokio::select! {
        () = app.cancel.cancelled() => {}
        () = server.ended() => {}
    }
    server.shutdown().await;
    Ok(Exit::Done)
}

/// The longest file that describes a phone, in bytes.
const LONGEST_PHONE: u64 = 1 << 20;

fn phones(args: &SimArgs) -> Result<Vec<PhoneSpec>, Failure> {
    if let Some(id) = &args.scenario {
        let scenario = scenario::load(id).map_err(|error| Failure::usage_of(&error))?;
        return Ok(vec![scenario.phone.clone()]);
    }
    if args.phones.is_empty() {
        return Ok(vec![PhoneSpec {
            seed: args.seed,
            profile: args.profile,
            days: args.days,
            ..PhoneSpec::default()
        }]);
    }
    args.phones
        .iter()
        .map(|path| {
            let text = lifeboat_host::read_text(path, LONGEST_PHONE)
                .map_err(|error| Failure::usage_of(&error))?;
            PhoneSpec::from_toml(&text)
                .map_err(|error| Failure::usage_of(&error).context(format!("cannot use {path}")))
        })
        .collect()
}

#[derive(Serialize)]
struct Announcement<'a> {
    listening: &'a str,
    phones: Vec<Announced<'a>>,
}

#[derive(Serialize)]
struct Announced<'a> {
    udid: &'a str,
    name: &'a str,
}

/// Prints the first line, for programs; it is flushed, for they wait for it.
fn announce(app: &App, server: &Server) -> anyhow::Result<()> {
    let phones = server
        .phones
        .iter()
        .map(|phone| Announced { udid: phone.udid(), name: &phone.spec.name })
        .collect();
    app.ui.object(&Announcement { listening: &server.listening, phones })?;
    if app.ui.stderr_is_terminal {
        app.ui.say(format!(
            "USBMUXD_SOCKET_ADDRESS={} lets other programs see them; Ctrl-C ends it",
            server.listening
        ));
    }
    Ok(())
}

pub(super) fn failure(error: &SimError) -> Failure {
    let exit = match error {
        _ if is_full(error) => return Failure::of(Exit::NoSpace, "disk-full", error),
        SimError::Options(_) | SimError::Phone(PhoneError::Options(_) | PhoneError::State(_)) => {
            return Failure::usage_of(error);
        }
        _ => Exit::Failed,
    };
    Failure::of(exit, "sim", error)
}

async fn ctl(app: &App, args: CtlArgs) -> Ended {
    let listing = matches!(args.action, ActionArgs::Fault { list: true, .. });
    let action = Action::from(args.action);
    let reply = ctl::request(&args.state, app.udid(), &action).await.map_err(|error| {
        let exit = match error {
            CtlError::Words { .. } | CtlError::Wrong { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        let cause = if exit == Exit::Usage { WRONG_USAGE } else { "sim" };
        let failure = Failure::of(exit, cause, &error);
        match (&error, &action) {
            (CtlError::NotServed { .. }, _) => {
                failure.hint("start it with `lifeboat sim --state DIR`")
            }
            (CtlError::Wrong { .. }, Action::Fault { .. }) => failure.hint(
                "`lifeboat sim ctl --state DIR fault --list` lists the faults and their keys",
            ),
            (CtlError::Wrong { .. }, Action::Set { .. }) => {
                failure.hint("`lifeboat sim ctl --state DIR state` shows the keys and their values")
            }
            _ => failure,
        }
    })?;
    match reply {
        // To the byte, for programs; a person's terminal does not obey a name in it.
        Reply::Text(text) if app.ui.stdout_is_terminal => {
            app.ui.text(
                text.lines().flat_map(|line| [plain(line), "\n".to_owned()]).collect::<String>(),
            )?;
        }
        Reply::Text(text) => app.ui.bytes(text.as_bytes())?,
        Reply::Json(value) if listing && !app.ui.json => app.ui.text(fault_table(&value))?,
        Reply::Json(value) => app.ui.object(&value)?,
        Reply::Done => {}
        // `request` makes errors of these.
        Reply::Refused(why) | Reply::Wrong(why) => {
            return Err(Failure::new(Exit::Failed, "sim", why));
        }
    }
    Ok(Exit::Done)
}

fn fault_table(faults: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = faults.as_array().into_iter().flatten().map(|fault| {
        let keys: Vec<String> = fault["keys"].as_array().into_iter().flatten().map(text).collect();
        let on = if fault["on"].is_null() { "" } else { "on" };
        vec![text(&fault["name"]), keys.join(" "), on.to_owned(), text(&fault["about"])]
    });
    table(&["FAULT", "KEYS", "", "WHAT IT DOES"].map(Column::Left), rows)
}
