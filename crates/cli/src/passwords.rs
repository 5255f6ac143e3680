//! Backup passwords that a person gives to a job: in a file, as a credential, in a variable, or on a terminal.

use lifeboat_engine::passwords::{Candidate, Passwords, Question};
use lifeboat_engine::{Cause, JobError};
use lifeboat_host::secret;
use secrecy::SecretString;

use crate::settings::BackupPassword;
use crate::ui::Ui;
use crate::ui::text::plain;

/// What a person gives.
pub(crate) struct OfPerson {
    given: BackupPassword,
    ui: Ui,
}

impl OfPerson {
    /// Takes what was given; asks on a terminal where there is one.
    pub(crate) fn new(given: BackupPassword, ui: Ui) -> Self {
        Self { given, ui }
    }
}

impl Passwords for OfPerson {
    fn candidates(&self, _udid: &str) -> Result<Vec<Candidate>, JobError> {
        let Some(path) = &self.given.file else {
            return Ok(self.given.value.iter().cloned().map(Candidate::given).collect());
        };
        let file = secret::read_password_file(path).map_err(|error| {
            JobError::of(Cause::NoBackupPassword, "the backup password", &error)
        })?;
        if file.readable_by_others {
            self.ui.note(format!(
                "other users can read the password file {path} (`chmod 600` prevents it)"
            ));
        }
        Ok(vec![Candidate::given(file.password)])
    }

    fn ask(&self, question: &Question<'_>) -> Option<SecretString> {
        if !self.ui.can_ask {
            return None;
        }
        let of = plain(question.of);
        let text = if question.was_wrong {
            format!("it is not the one; the backup password of {of} (nothing leaves it sealed): ")
        } else {
            format!("the backup password of {of} (nothing leaves it sealed): ")
        };
        let typed = rpassword::prompt_password(text).ok()?;
        (!typed.is_empty()).then(|| SecretString::from(typed))
    }
}
