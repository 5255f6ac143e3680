//! `password set|change|off`.

use std::time::Duration;

use lifeboat_engine::jobs::password::{self, Order, PasswordPlan, PasswordSummary, State};
use lifeboat_engine::{Cause, JobError};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{NewArgs, WaitArgs, secrets};
use crate::app::App;
use crate::commands::Ended;
use crate::commands::repo::show_sheet_once;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::error::Failure;
use crate::ui::events::Summed;
use crate::ui::text::plain;
use crate::ui::{GOOD, STRONG};

/// Sets a first password.
pub(super) async fn set(app: &App, args: &NewArgs) -> Ended {
    let settings = app.settings()?;
    let new = secrets::new(app, &settings, args.generate, true)?;
    show(app, &new)?;
    let order = Order::Set { new: new.password.clone() };
    let summary = carry_out(app, &settings, order, args.wait.wait).await?;
    told(app, &settings, &summary, new.is_generated.then_some(&new.password)).await
}

/// Changes the password.
pub(super) async fn change(app: &App, args: &NewArgs) -> Ended {
    let settings = app.settings()?;
    let old = secrets::old(app, &settings)?;
    let new = secrets::new(app, &settings, args.generate, false)?;
    show(app, &new)?;
    let order = |old| Order::Change { old, new: new.password.clone() };
    let summary = or_ask(app, &settings, args.wait.wait, old, order).await?;
    told(app, &settings, &summary, new.is_generated.then_some(&new.password)).await
}

/// Removes the password.
pub(super) async fn off(app: &App, args: &WaitArgs) -> Ended {
    let settings = app.settings()?;
    let old = secrets::old(app, &settings)?;
    let summary = or_ask(app, &settings, args.wait, old, |old| Order::Off { old }).await?;
    told(app, &settings, &summary, None).await
}

/// Shows a password that was made, before anything happens: once.
fn show(app: &App, new: &secrets::New) -> Result<(), Failure> {
    // Programs have it in the summary.
    if !new.is_generated || app.ui.json {
        return Ok(());
    }
    app.ui
        .line(format!("new backup password  {STRONG}{}{STRONG:#}", new.password.expose_secret()))?;
    app.ui.note(
        "write it down; it is kept in the repository too, and `lifeboat repo sheet` prints it",
    );
    Ok(())
}

/// Carries an order out with the old password that was given, else with those that are known; asks a person where there is none.
async fn or_ask(
    app: &App,
    settings: &Settings,
    wait: Option<Duration>,
    old: Option<SecretString>,
    order: impl Fn(Option<SecretString>) -> Order,
) -> Result<PasswordSummary, Failure> {
    match carry_out(app, settings, order(old), wait).await {
        Err(failure) if failure.cause == Cause::NoBackupPassword.id() && app.ui.can_ask => {
            let old = secrets::ask_old(app, "backup password that the device has: ")?;
            carry_out(app, settings, order(Some(old)), wait).await
        }
        other => other,
    }
}

async fn carry_out(
    app: &App,
    settings: &Settings,
    order: Order,
    wait: Option<Duration>,
) -> Result<PasswordSummary, Failure> {
    let places = app.places(settings)?;
    let udid = settings.udid.clone();
    let plan = PasswordPlan { places, mux: settings.mux.clone(), udid, wait, order };
    let (ctx, progress) = app.context();
    let done: Result<_, JobError> = password::run(&ctx, plan).await;
    progress.finish();
    Ok(done?)
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    summary: &'a PasswordSummary,
    /// The password that was made, nowhere else to be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    recovery_sheet: Option<String>,
}

/// Tells what was done, and what is next.
async fn told(
    app: &App,
    settings: &Settings,
    summary: &PasswordSummary,
    generated: Option<&SecretString>,
) -> Ended {
    let recovery_sheet = app.places(settings)?.recovery_sheet();
    if app.ui.json {
        let password = generated.map(ExposeSecret::expose_secret);
        app.ui.object(&Summed::new(&Done { summary, password, recovery_sheet }))?;
        return Ok(Exit::Done);
    }
    app.ui.text(words(summary))?;
    if recovery_sheet.is_some() {
        show_sheet_once(app, settings).await?;
    } else if summary.generation.is_some() {
        app.ui.note("a recovery sheet that was printed before does not have this password: `lifeboat repo sheet` prints a new one");
    }
    Ok(Exit::Done)
}

fn words(summary: &PasswordSummary) -> String {
    let name = plain(&summary.device_name);
    let head = match summary.state {
        State::Set => {
            format!("{GOOD}set{GOOD:#}: {name} has a backup password now, and encrypts its backups")
        }
        State::Changed => format!("{GOOD}changed{GOOD:#}: {name} has the new backup password"),
        State::Off => format!("{GOOD}off{GOOD:#}: {name} has no backup password any more"),
        State::WasOff => format!("{name} has no backup password: nothing was changed"),
    };
    let kept = match summary.state {
        State::Set | State::Changed => {
            "  kept   in the repository, beside those that open older backups\n"
        }
        State::Off => "  kept   the old ones: backups made under them stay and open as before\n",
        State::WasOff => "",
    };
    let proof = match summary.state {
        State::Changed if summary.proved => "  proof  the device's own keybag opens with it\n",
        State::Set | State::Changed => {
            "  proof  comes with the next backup, which may be a full one: run `lifeboat backup`\n"
        }
        State::Off => {
            "  next   the next backup is a full one; Health, saved passwords, Wi-Fi passwords and calls are not in it\n"
        }
        State::WasOff => "",
    };
    format!("{head}\n{kept}{proof}")
}
