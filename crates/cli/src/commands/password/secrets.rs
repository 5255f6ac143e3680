//! Where backup passwords come from: a terminal, a file, a credential, or a variable as other programs have it.

use lifeboat_engine::Cause;
use lifeboat_host::secret;
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::exit::Exit;
use crate::settings::{BackupPassword, Settings};
use crate::ui::error::Failure;

/// Groups of four letters and digits in a generated password: 120 bits.
const GROUPS: usize = 6;

/// A new password.
pub(super) struct New {
    /// The password.
    pub(super) password: SecretString,
    /// It was made here, and nobody has seen it.
    pub(super) is_generated: bool,
}

/// Returns the password that a file, a credential or a variable gives.
pub(super) fn given(app: &App, from: &BackupPassword) -> Result<Option<SecretString>, Failure> {
    if let Some(path) = &from.file {
        let file = secret::read_password_file(path).map_err(|error| {
            Failure::of(Exit::WrongPassword, Cause::NoBackupPassword.id(), &error)
        })?;
        if file.readable_by_others {
            app.ui.note(format!(
                "other users can read the password file {path} (`chmod 600` prevents it)"
            ));
        }
        return Ok(Some(file.password));
    }
    let Some(value) = &from.value else { return Ok(None) };
    app.ui.note(format!(
        "other programs of this user can read the variable {}: a file named in {}_FILE is better",
        from.name, from.name
    ));
    Ok(Some(value.clone()))
}

/// Returns the password that the device has, where somebody gives it without being asked.
pub(super) fn old(app: &App, settings: &Settings) -> Result<Option<SecretString>, Failure> {
    given(app, &settings.backup_password)
}

/// Asks for the password that the device has.
pub(super) fn ask_old(app: &App, question: &str) -> Result<SecretString, Failure> {
    if !app.ui.can_ask {
        return Err(none("there is no terminal to ask for the backup password on"));
    }
    let typed = prompt(question)?;
    if typed.expose_secret().is_empty() {
        return Err(none("no backup password was typed"));
    }
    Ok(typed)
}

/// Returns a new password: made here, given, or typed twice.
pub(super) fn new(
    app: &App,
    settings: &Settings,
    generate: bool,
    is_first: bool,
) -> Result<New, Failure> {
    if generate {
        let password = secret::generate_groups(&*app.host, GROUPS);
        return Ok(New { password, is_generated: true });
    }
    let mut found = given(app, &settings.backup_password_new)?;
    if found.is_none() && is_first {
        // Other programs take the first password from here.
        found = given(app, &settings.backup_password)?;
    }
    let password = match found {
        Some(password) => password,
        None if app.ui.can_ask => typed_twice()?,
        None => return Err(none("no new backup password was given")),
    };
    check(&password)?;
    Ok(New { password, is_generated: false })
}

fn none(what: &str) -> Failure {
    Failure::new(Exit::WrongPassword, Cause::NoBackupPassword.id(), what)
        .hint(Cause::NoBackupPassword.next_step())
}

fn prompt(question: &str) -> Result<SecretString, Failure> {
    rpassword::prompt_password(question)
        .map(SecretString::from)
        .map_err(|error| Failure::of(Exit::WrongPassword, Cause::NoBackupPassword.id(), &error))
}

fn typed_twice() -> Result<SecretString, Failure> {
    let first = prompt("new backup password: ")?;
    check(&first)?;
    let second = prompt("once more: ")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(Failure::usage("the two passwords are not the same")
            .hint("nothing was changed: try again, or let one be made with `--generate`"));
    }
    Ok(first)
}

/// Refuses what nobody types again as it is: a device takes every text, and then only that one opens its backups.
fn check(password: &SecretString) -> Result<(), Failure> {
    let text = password.expose_secret();
    let why = if text.is_empty() {
        "is empty"
    } else if text.chars().any(char::is_control) {
        "has a character that no keyboard types (a tab, a line end)"
    } else if text.trim() != text {
        "begins or ends with a space"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("the new backup password {why}")).hint(
        "nothing was changed: choose one that somebody can type again on a phone and a computer",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_types_again_is_no_new_password() {
        for (text, fits) in [
            ("correct horse", true),
            ("ü 🐎", true),
            ("", false),
            (" x", false),
            ("x ", false),
            ("x\u{a0}", false),
            ("x\ty", false),
            ("x\n", false),
        ] {
            assert_eq!(check(&SecretString::from(text.to_owned())).is_ok(), fits, "{text:?}");
        }
    }
}
