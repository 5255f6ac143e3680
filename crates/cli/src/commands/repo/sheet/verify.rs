//! Reads a sheet back, and says whether it opens everything.

use camino::Utf8Path;
use lifeboat_engine::jobs::password::opening::{self, Opens};
use lifeboat_engine::{Cause, JobError, Places};
use lifeboat_repo::Repository;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::payload::{self, Payload};
use super::{Kept, kept};
use crate::app::App;
use crate::commands::repo::blocking;
use crate::commands::{Ended, read_input};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::error::Failure;
use crate::ui::text::things;
use crate::ui::{BAD, GOOD};

/// No sheet is longer.
const LONGEST: u64 = 1 << 20;

/// What a sheet does.
#[derive(Debug, Serialize)]
struct Verified {
    format: u32,
    /// Whether the checksum is that of what was read; nothing where the sheet has none.
    check: Option<bool>,
    /// Whether the sheet is of this repository; it opens it else it would not come so far.
    is_of_this: bool,
    /// Whether the repository is where the sheet says.
    is_there: bool,
    snapshots: usize,
    /// Those that the device encrypted.
    encrypted: usize,
    /// Encrypted ones that no password of the sheet opens, and one that is kept does.
    not_opened: Vec<String>,
    /// Encrypted ones that no password opens that is known at all.
    locked: Vec<String>,
    /// How many passwords are kept in the repository that the sheet does not have.
    passwords_missing: usize,
}

impl Verified {
    fn is_whole(&self) -> bool {
        self.check != Some(false)
            && self.is_of_this
            && self.not_opened.is_empty()
            && self.locked.is_empty()
            && self.passwords_missing == 0
    }
}

/// Verifies a sheet: of this repository, or of the one that it names where nobody named another.
pub(super) async fn run(app: &App, settings: &Settings, file: &Utf8Path) -> Ended {
    let text = read_input(file, LONGEST).map_err(|error| {
        Failure::of(Exit::Usage, Cause::WrongUsage.id(), &error).context("cannot read the sheet")
    })?;
    let sheet = payload::read(&text).ok_or_else(|| {
        Failure::new(Exit::Failed, "no-sheet", format!("{file} is no recovery sheet"))
            .hint("it needs at least the lines `repository` and `password`, as `lifeboat repo sheet` prints them")
    })?;
    let places = Places {
        password: Some(sheet.payload.password.clone().into()),
        ..app.bare_places(settings)?
    };
    let (repository, known) = {
        let places = places.clone();
        blocking(move || {
            let repository = places.open()?;
            let known = kept(&repository)?;
            Ok((repository, known))
        })
        .await
        .map_err(|failure| mistyped(failure, sheet.fits))?
    };
    let verified = verify(app, places, &repository, &known, &sheet).await?;
    if app.ui.json {
        app.ui.object(&verified)?;
    } else {
        app.ui.text(words(&verified, &sheet.payload))?;
    }
    Ok(if verified.is_whole() { Exit::Done } else { Exit::Incomplete })
}

/// Says of a password that does not open the repository that the sheet itself knows it to be mistyped.
fn mistyped(failure: Failure, fits: Option<bool>) -> Failure {
    if failure.exit == Exit::WrongPassword && fits == Some(false) {
        return failure
            .hint("the line `check` says that something was misread or mistyped above it");
    }
    failure
}

async fn verify(
    app: &App,
    places: Places,
    repository: &Repository,
    known: &Kept,
    sheet: &payload::Sheet,
) -> Result<Verified, Failure> {
    let on_sheet: Vec<(String, SecretString)> = sheet
        .payload
        .backup_passwords
        .iter()
        .map(|(udid, password)| (udid.clone(), SecretString::from(password.clone())))
        .collect();
    let is_on_sheet = |(udid, password): &&(String, SecretString)| {
        on_sheet
            .iter()
            .any(|(of, own)| of == udid && own.expose_secret() == password.expose_secret())
    };
    let missing: Vec<_> =
        known.passwords.iter().filter(|kept| !is_on_sheet(kept)).cloned().collect();
    let of_sheet = on_sheet.len();
    let all = on_sheet.iter().chain(&missing).cloned().collect();
    let (ctx, progress) = app.context();
    let opens: Result<Vec<Opens>, JobError> = opening::of_all(&ctx, places, all).await;
    progress.finish();
    let opens = opens?;
    let named = |wanted: &dyn Fn(Option<usize>) -> bool| {
        let fitting = opens.iter().filter(|opens| opens.encrypted && wanted(opens.by));
        fitting.map(|opens| opens.snapshot.clone()).collect()
    };
    Ok(Verified {
        format: 1,
        check: sheet.fits,
        is_of_this: sheet.payload.id == repository.id(),
        is_there: sheet.payload.repository == repository.location(),
        snapshots: opens.len(),
        encrypted: opens.iter().filter(|opens| opens.encrypted).count(),
        not_opened: named(&|by| by.is_some_and(|by| by >= of_sheet)),
        locked: named(&|by| by.is_none()),
        passwords_missing: missing.len(),
    })
}

fn words(verified: &Verified, payload: &Payload) -> String {
    let mut out = String::new();
    let mut tell = |is_well: bool, text: String| {
        use std::fmt::Write as _;
        let mark =
            if is_well { format!("{GOOD}well{GOOD:#}") } else { format!("{BAD}not {BAD:#}") };
        let _ = writeln!(out, "{mark}  {text}");
    };
    let (is_well, check) = match verified.check {
        Some(true) => (true, "nothing was misread or mistyped"),
        Some(false) => (false, "the check does not fit: something was misread or mistyped"),
        None => {
            (true, "the sheet has no check: what was mistyped shows only where it opens nothing")
        }
    };
    tell(is_well, check.to_owned());
    tell(true, "its password opens the repository".to_owned());
    if !verified.is_of_this {
        tell(false, format!("it is the sheet of another repository ({})", payload.id));
    }
    if !verified.is_there {
        tell(true, format!("the repository was at {} when it was printed", payload.repository));
    }
    let all = things(verified.snapshots as u64, "snapshot");
    tell(true, format!("{all}, {} encrypted by the device", verified.encrypted));
    if !verified.not_opened.is_empty() {
        let count = things(verified.not_opened.len() as u64, "snapshot");
        tell(
            false,
            format!("a backup password that opens {count} is not on it: print a new sheet"),
        );
    } else if verified.passwords_missing > 0 {
        let count = things(verified.passwords_missing as u64, "backup password");
        tell(false, format!("{count} is kept that is not on it: print a new sheet"));
    }
    if !verified.locked.is_empty() {
        let count = things(verified.locked.len() as u64, "snapshot");
        tell(
            false,
            format!(
                "{count} cannot be opened with any password that is known: `lifeboat password test` tries others"
            ),
        );
    }
    out
}
