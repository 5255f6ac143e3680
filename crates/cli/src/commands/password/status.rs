//! `password status`.

use std::fmt::Write as _;

use lifeboat_engine::Note;
use lifeboat_engine::jobs::password::status::{self, KeptPassword, PasswordStatus};
use lifeboat_engine::jobs::password::{Newest, Standing};
use lifeboat_engine::passwords::Word;
use serde::Serialize;

use crate::app::App;
use crate::commands::Ended;
use crate::exit::Exit;
use crate::ui::STRONG;
use crate::ui::text::{plain, things, time};

#[derive(Serialize)]
struct Told<'a> {
    format: u32,
    #[serde(flatten)]
    status: &'a PasswordStatus,
    message: &'static str,
    next_step: Option<&'static str>,
    notes: Vec<Note>,
}

/// Says what is known.
pub(super) async fn run(app: &App) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let (ctx, notes) = app.noting_context();
    let status = status::run(&ctx, places, &settings.mux, settings.udid.as_deref()).await?;
    let exit = if status.standing.is_unknown() { Exit::WrongPassword } else { Exit::Done };
    let (message, next_step) = (status.standing.words(), next(status.standing));
    if app.ui.json {
        app.ui.object(&Told {
            format: 1,
            status: &status,
            message,
            next_step,
            notes: notes.take(),
        })?;
    } else {
        app.ui.text(words(&status))?;
    }
    Ok(exit)
}

/// What there is to do.
fn next(standing: Standing) -> Option<&'static str> {
    match standing {
        Standing::Off | Standing::Known | Standing::Proved | Standing::CannotTell => None,
        Standing::NotProved => Some("Run `lifeboat backup`: it proves the password."),
        Standing::ChangedElsewhere | Standing::Unknown => Some(
            "Run `lifeboat password test`: it tries what you remember against a backup. If nobody remembers it, make one more \
             backup (it stays sealed, and opens if the password turns up); then Settings > General > Transfer or Reset iPhone > \
             Reset > Reset All Settings takes the password away. Photos, apps and messages stay; Wi-Fi passwords, the Home Screen \
             and other settings start afresh. Then run `lifeboat password set`. `lifeboat explain password/forgotten` says more.",
        ),
    }
}

fn words(status: &PasswordStatus) -> String {
    let mut out = String::new();
    let name = status.device_name.as_deref().unwrap_or(&status.udid);
    let _ = writeln!(out, "{STRONG}{}{STRONG:#}: {}", plain(name), status.standing.words());
    let encrypts = match (status.encrypts, status.encryption_demanded) {
        (Some(true), Some(true)) => "encrypts its backups, as who manages it demands",
        (Some(true), _) => "encrypts its backups",
        (Some(false), Some(true)) => "has no backup password, which who manages it demands",
        (Some(false), _) => "has no backup password",
        (None, _) => "was not asked",
    };
    let _ = writeln!(out, "  device     {encrypts}");
    if let Some(newest) = &status.newest {
        let _ = writeln!(out, "  backup     {}, {}", time(newest.time), opens(newest, status));
    }
    let is_refused = |kept: &&KeptPassword| kept.device_said == Some(Word::Refused);
    let (refused, kept): (Vec<_>, Vec<_>) = status.passwords.iter().partition(is_refused);
    for (line, kept, what) in [
        ("kept   ", kept, "agreed upon"),
        ("refused", refused, "which the device did not take, of"),
    ] {
        if !kept.is_empty() {
            let times: Vec<_> = kept.iter().map(|kept| time(kept.created)).collect();
            let count = things(kept.len() as u64, "password");
            let _ = writeln!(out, "  {line}    {count}, {what} {}", times.join(", "));
        }
    }
    if let Some(next) = next(status.standing) {
        let _ = writeln!(out, "  next       {next}");
    }
    out
}

/// Says what opens the newest backup.
fn opens(newest: &Newest, status: &PasswordStatus) -> String {
    if !newest.encrypted {
        return "not encrypted by the device".to_owned();
    }
    if !newest.is_open {
        return "encrypted; no password that is known here opens it".to_owned();
    }
    let by =
        status.passwords.iter().find(|kept| Some(&kept.generation) == newest.generation.as_ref());
    match by {
        Some(by) => format!("encrypted; the password of {} opens it", time(by.created)),
        None => "encrypted; the password that was given opens it".to_owned(),
    }
}
