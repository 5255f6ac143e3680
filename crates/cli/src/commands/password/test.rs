//! `password test`: tries what somebody remembers.

use std::sync::Arc;

use lifeboat_engine::jobs::open;
use lifeboat_engine::jobs::password::trial::{self, Against, Locked, TrialSummary};
use lifeboat_engine::{Cause, Given, Outcome};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::{TestArgs, secrets};
use crate::app::App;
use crate::commands::{Ended, read_input};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::ask::{self, Typed};
use crate::ui::error::Failure;
use crate::ui::events::Summed;
use crate::ui::text::{plain, seconds, things};
use crate::ui::{GOOD, STRONG};

/// A file of candidates is read up to here.
const LONGEST: u64 = 1 << 20;

/// A password that somebody remembers.
struct Candidate {
    /// The line of the file; nothing where it was typed or given.
    line: Option<usize>,
    password: SecretString,
}

/// What a trial came to, for programs.
#[derive(Serialize)]
struct Told<'a> {
    outcome: Outcome,
    udid: Option<&'a str>,
    snapshot: Option<&'a str>,
    /// The line of the file that is right, counted from one.
    line: Option<usize>,
    /// The password that is right was kept in the repository before.
    was_kept: bool,
    /// The name of the right password among those that are kept.
    generation: Option<&'a str>,
    candidates: usize,
    seconds: f64,
    /// The password, where it was asked for with `--show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

/// What is right.
struct Right {
    line: Option<usize>,
    password: SecretString,
    generation: Option<String>,
    was_kept: bool,
    tried: TrialSummary,
}

/// Tries.
pub(super) async fn run(app: &App, args: TestArgs) -> Ended {
    let settings = app.settings()?;
    let against = match &args.folder {
        Some(folder) => Against::Folder(folder.clone()),
        None => Against::Snapshot { snapshot: args.snapshot.clone(), udid: settings.udid.clone() },
    };
    // What is wrong with the file is said before anything takes time.
    let remembered = candidates(app, &settings, &args)?;
    let (ctx, _) = app.context();
    let places = app.places(&settings)?;
    let locked = trial::locked(&ctx, places, against).await?;
    let mut right = kept(app, &locked).await?;
    if right.is_none() {
        right = match remembered {
            Some(remembered) => all(app, &locked, remembered).await?,
            None => Some(asked(app, &locked).await?),
        };
    }
    let Some(mut right) = right else {
        return Err(Failure::new(
            Exit::WrongPassword,
            Cause::BackupPasswordWrong.id(),
            "none of these passwords opens the backup",
        )
        .hint("different spellings count: capitals, spaces, another keyboard's layout")
        .hint("`lifeboat explain password/forgotten` says what is left where nobody knows it"));
    };
    if !right.was_kept && keeps(app, &args, &locked).await? {
        right.generation = Some(remember(app, &settings, &locked, &right.password).await?);
    }
    if let (Some(udid), true) = (&locked.udid, locked.snapshot.is_some()) {
        open_sealed(app, &settings, udid, &right.password).await?;
    }
    told(app, &args, &locked, &right)?;
    Ok(Exit::Done)
}

/// Asks for passwords and tries them against the newest backup; keeps the one that is right, and opens what it locks.
pub(super) async fn for_doctor(app: &App, settings: &Settings) -> Result<String, Failure> {
    if !app.ui.can_ask || app.ui.json {
        return Err(Failure::new(
            Exit::WrongPassword,
            Cause::NoBackupPassword.id(),
            "there is nobody to ask for passwords",
        )
        .hint("`lifeboat password test --remember --candidates FILE` tries those of a file, one a line"));
    }
    let against = Against::Snapshot { snapshot: "latest".to_owned(), udid: settings.udid.clone() };
    let (ctx, _) = app.context();
    let locked = trial::locked(&ctx, app.places(settings)?, against).await?;
    let right = match kept(app, &locked).await? {
        Some(right) => right,
        None => asked(app, &locked).await?,
    };
    if !right.was_kept {
        remember(app, settings, &locked, &right.password).await?;
    }
    if let Some(udid) = &locked.udid {
        open_sealed(app, settings, udid, &right.password).await?;
    }
    Ok("the password opens the newest backup, and is kept in the repository".to_owned())
}

/// Opens the sealed snapshots of the device that this password opens.
async fn open_sealed(
    app: &App,
    settings: &Settings,
    udid: &str,
    password: &SecretString,
) -> Result<(), Failure> {
    let (ctx, progress) = app.context();
    let ctx = ctx.with_passwords(Arc::new(Given(vec![password.clone()])));
    let opened = open::run(&ctx, app.places(settings)?, udid).await;
    progress.finish();
    opened?;
    Ok(())
}

/// Reads the candidates; nothing where a person is to be asked.
fn candidates(
    app: &App,
    settings: &Settings,
    args: &TestArgs,
) -> Result<Option<Vec<Candidate>>, Failure> {
    let Some(file) = &args.candidates else {
        if let Some(password) = secrets::old(app, settings)? {
            return Ok(Some(vec![Candidate { line: None, password }]));
        }
        if app.ui.can_ask {
            return Ok(None);
        }
        return Err(Failure::new(
            Exit::WrongPassword,
            Cause::NoBackupPassword.id(),
            "no password was given to try",
        )
        .hint("name a file with one a line: `--candidates FILE`, or `-` for standard input"));
    };
    let text = read_input(file, LONGEST).map_err(|error| {
        Failure::of(Exit::Usage, Cause::WrongUsage.id(), &error)
            .context("cannot read the file of candidates")
    })?;
    let found = lines(&text);
    if found.is_empty() {
        return Err(Failure::usage(format!("the file of candidates {file} has no line")));
    }
    Ok(Some(found))
}

/// Returns the lines, each text once; a line is taken as it is, spaces and all.
fn lines(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if found.iter().all(|known| known.password.expose_secret() != line) {
            let password = SecretString::from(line.to_owned());
            found.push(Candidate { line: Some(at + 1), password });
        }
    }
    found
}

/// Tries what is kept already: then nobody need remember anything.
async fn kept(app: &App, locked: &Locked) -> Result<Option<Right>, Failure> {
    if locked.kept.is_empty() {
        return Ok(None);
    }
    let passwords = locked.kept.iter().map(|(_, password)| password.clone()).collect();
    let tried = run_trial(app, locked, passwords).await?;
    Ok(tried.found.and_then(|at| locked.kept.get(at)).map(|(generation, password)| Right {
        line: None,
        password: password.clone(),
        generation: Some(generation.clone()),
        was_kept: true,
        tried: tried.clone(),
    }))
}

async fn all(
    app: &App,
    locked: &Locked,
    remembered: Vec<Candidate>,
) -> Result<Option<Right>, Failure> {
    let passwords = remembered.iter().map(|candidate| candidate.password.clone()).collect();
    let tried = run_trial(app, locked, passwords).await?;
    Ok(tried.found.and_then(|at| remembered.into_iter().nth(at)).map(|candidate| Right {
        line: candidate.line,
        password: candidate.password,
        generation: None,
        was_kept: false,
        tried,
    }))
}

/// Asks until one is right, or nothing is typed.
async fn asked(app: &App, locked: &Locked) -> Result<Right, Failure> {
    let of = locked.device_name.as_deref().map_or_else(|| "this backup".to_owned(), plain);
    let mut question = format!("a password that may be that of {of} (nothing ends this): ");
    loop {
        let password = secrets::ask_old(app, &question)?;
        let tried = run_trial(app, locked, vec![password.clone()]).await?;
        if tried.found.is_some() {
            return Ok(Right { line: None, password, generation: None, was_kept: false, tried });
        }
        "it is not the one; another: ".clone_into(&mut question);
    }
}

async fn run_trial(
    app: &App,
    locked: &Locked,
    passwords: Vec<SecretString>,
) -> Result<TrialSummary, Failure> {
    let (ctx, progress) = app.context();
    let tried = trial::run(&ctx, locked.clone(), passwords).await;
    progress.finish();
    Ok(tried?)
}

/// Says whether the right one is to be kept.
async fn keeps(app: &App, args: &TestArgs, locked: &Locked) -> Result<bool, Failure> {
    if args.remember && locked.udid.is_none() {
        return Err(Failure::usage(
            "the folder does not say of which device it is: nothing can be kept",
        ));
    }
    if args.remember || locked.udid.is_none() || !app.ui.can_ask || app.ui.json {
        return Ok(args.remember);
    }
    app.ui.ask(
        "it is right. Keep it in the repository, so that backups made under it open? [Y/n] ",
    )?;
    let typed = ask::line(&app.cancel).await.map_err(anyhow::Error::from)?;
    Ok(matches!(typed, Typed::Line(answer) if !answer.to_lowercase().starts_with('n')))
}

async fn remember(
    app: &App,
    settings: &Settings,
    locked: &Locked,
    password: &SecretString,
) -> Result<String, Failure> {
    let udid = locked.udid.clone().unwrap_or_default();
    let (ctx, _) = app.context();
    let (generation, _) =
        trial::remember(&ctx, app.places(settings)?, udid, password.clone()).await?;
    Ok(generation)
}

fn told(app: &App, args: &TestArgs, locked: &Locked, right: &Right) -> Result<(), Failure> {
    let shown = args.show.then(|| right.password.expose_secret());
    if app.ui.json {
        app.ui.object(&Summed::new(&Told {
            outcome: Outcome::Done,
            udid: locked.udid.as_deref(),
            snapshot: locked.snapshot.as_deref(),
            line: right.line,
            was_kept: right.was_kept,
            generation: right.generation.as_deref(),
            candidates: right.tried.candidates,
            seconds: right.tried.seconds,
            password: shown,
        }))?;
        return Ok(());
    }
    let which = match (right.line, right.was_kept) {
        (Some(line), _) => format!("line {line}"),
        (None, true) => "a password that is kept here already".to_owned(),
        (None, false) => "this password".to_owned(),
    };
    let took = seconds(right.tried.seconds);
    let of = things(right.tried.candidates as u64, "password");
    app.ui.line(format!("{GOOD}found{GOOD:#}: {which} opens the backup ({of}, {took})"))?;
    if let Some(shown) = shown {
        app.ui.line(format!("  password  {STRONG}{}{STRONG:#}", plain(shown)))?;
    }
    if !right.was_kept {
        app.ui.line(match right.generation {
            Some(_) => "  kept      in the repository: `lifeboat repo sheet` prints it",
            None => "  kept      nowhere: `--remember` keeps it in the repository",
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_their_spaces() {
        let found = lines("one\n\n two \none\r\nthree\n");
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.line.unwrap(), found.password.expose_secret()))
            .collect();
        assert_eq!(told, [(1, "one"), (3, " two "), (5, "three")]);
    }
}
