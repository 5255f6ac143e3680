//! What every command gets: how to talk, the settings, the machine, a way to be stopped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_doctor::Certainty;
use lifeboat_doctor::report::UNKNOWN;
use lifeboat_engine::jobs::backup::BackupSummary;
use lifeboat_engine::{Cause, Context, Event, EventSink, JobError, Note, Places};
use lifeboat_host::machine::Machine;
use lifeboat_host::{Host, Os, secret};
use lifeboat_repo::Location;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::passwords::OfPerson;
use crate::settings::{Environment, Flags, Settings};
use crate::ui::Ui;
use crate::ui::error::{Failure, Found};
use crate::ui::events;
use crate::ui::progress::Progress;
use crate::ui::text::{bytes, plain, things};

/// The name of the systemd credential that holds the repository's password.
const CREDENTIAL: &str = "lifeboat-repo-password";

/// The notes that a job told, for what a command prints as JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes them.
    pub(crate) fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.lock())
    }
}

/// What every command gets.
pub(crate) struct App {
    /// How to talk.
    pub(crate) ui: Ui,
    /// The machine.
    pub(crate) host: Arc<dyn Host>,
    /// Is set when a person or the system wants the program to stop.
    pub(crate) cancel: CancellationToken,
    flags: Flags,
    environment: Environment,
}

impl App {
    /// Puts together what every command gets.
    ///
    /// # Errors
    ///
    /// Where a variable is no text, or a machine is described in a file that cannot be used.
    pub(crate) fn new(
        ui: Ui,
        flags: Flags,
        machine: Option<&Utf8Path>,
        environment: Environment,
    ) -> Result<Self, Failure> {
        environment.check().map_err(|error| Failure::usage_of(&error))?;
        let user = environment
            .get("USER")
            .or_else(|| environment.get("USERNAME"))
            .unwrap_or("user")
            .to_owned();
        let proxies = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let proxy = proxies.iter().find_map(|name| environment.get(name)).map(str::to_owned);
        let mut host: Arc<dyn Host> = Arc::new(Os::new(user).with_proxy(proxy));
        if let Some(file) = machine {
            host = Arc::new(Machine::read(host, file).map_err(|error| {
                Failure::usage_of(&error).hint("docs/machine.md says what such a file may hold")
            })?);
        }
        Ok(Self { ui, host, cancel: CancellationToken::new(), flags, environment })
    }

    /// Returns the settings; not every command needs them.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Settings::new(&self.flags, &self.environment).map_err(|error| {
            Failure::usage_of(&error)
                .hint("`lifeboat --help` lists the flags; docs/cli.md lists the variables and the keys of the file")
        })
    }

    /// Returns the device that the person means, where one is named.
    pub(crate) fn udid(&self) -> Option<&str> {
        self.flags.udid.as_deref()
    }

    /// Makes what a job gets, and what shows how far it is.
    pub(crate) fn context(&self) -> (Context, Arc<Progress>) {
        let progress = Arc::new(Progress::new(self.ui));
        let sink = events::sink(self.ui, Arc::clone(&progress));
        (self.context_with(sink), progress)
    }

    /// Makes what a job gets that tells nothing.
    pub(crate) fn silent_context(&self) -> Context {
        self.context_with(EventSink::silent())
    }

    /// Makes what a job gets of which only the notes matter: people read them at once, programs as part of what the command
    /// prints at its end.
    pub(crate) fn noting_context(&self) -> (Context, Notes) {
        let notes = Notes::default();
        let (ui, kept) = (self.ui, notes.clone());
        let sink = EventSink::new(move |event| match event {
            Event::Note(note) if ui.json => kept.lock().push(note),
            Event::Note(note) => ui.note(plain(&note.message)),
            _ => {}
        });
        (self.context_with(sink), notes)
    }

    /// Makes what a job gets, with a listener of the caller's.
    pub(crate) fn context_with(&self, events: EventSink) -> Context {
        let ctx =
            Context { cancel: self.cancel.clone(), ..Context::new(Arc::clone(&self.host), events) };
        // Who has no settings is told so where they are wanted.
        match self.settings() {
            Ok(settings) => {
                let passwords = OfPerson::new(settings.backup_password, self.ui);
                ctx.with_passwords(Arc::new(passwords))
            }
            Err(_) => ctx,
        }
    }

    /// Returns where the things of a job lie; asks for the password where nothing else can tell it.
    pub(crate) fn places(&self, settings: &Settings) -> Result<Places, Failure> {
        let places = self.bare_places(settings)?;
        let password = self.password(settings, &places.repository)?;
        Ok(Places { password, ..places })
    }

    /// Returns where the things of a job lie, without the repository's password.
    #[expect(clippy::unused_self, reason = "beside the one with the password")]
    pub(crate) fn bare_places(&self, settings: &Settings) -> Result<Places, Failure> {
        Ok(Places {
            repository: local(settings)?,
            password: None,
            key_file: settings.key_file.clone(),
            make_repository: settings.repository_is_default,
            working_area: settings.working_area.clone(),
            cache: settings.cache.clone(),
        })
    }

    /// Returns the password that a file or a credential gives.
    pub(crate) fn given_password(
        &self,
        settings: &Settings,
    ) -> Result<Option<SecretString>, Failure> {
        let credential = settings
            .credentials
            .as_ref()
            .and_then(|folder| secret::systemd_credential(folder, CREDENTIAL));
        let Some(path) = settings.password_file.clone().or(credential) else { return Ok(None) };
        let file = secret::read_password_file(&path)
            .map_err(|error| Failure::of(Exit::WrongPassword, "no-password", &error))?;
        if file.readable_by_others {
            self.ui.note(format!(
                "other users can read the password file {path} (`chmod 600` prevents it)"
            ));
        }
        Ok(Some(file.password))
    }

    fn password(
        &self,
        settings: &Settings,
        repository: &Utf8Path,
    ) -> Result<Option<SecretString>, Failure> {
        if let Some(password) = self.given_password(settings)? {
            return Ok(Some(password));
        }
        // With a key file, or with nothing to open, there is nothing to ask.
        if settings.key_file.exists() || !repository.join("config").exists() || !self.ui.can_ask {
            return Ok(None);
        }
        let password =
            rpassword::prompt_password(format!("password of the repository {repository}: "))
                .map_err(|error| Failure::of(Exit::WrongPassword, "no-password", &error))?;
        Ok(Some(SecretString::from(password)))
    }
}

/// Returns the repository's folder; storage that is not built yet is refused by name.
pub(crate) fn local(settings: &Settings) -> Result<Utf8PathBuf, Failure> {
    let place = settings
        .repository
        .parse::<Location>()
        .map_err(|error| Failure::usage_of(&error).hint("give the path of a folder"))?;
    let Location::Local(path) = place else {
        return Err(Failure::usage(format!("a repository at `{place}` is not supported")));
    };
    camino::absolute_utf8(&path)
        .map_err(|error| Failure::usage_of(&error).context("the repository's path makes no sense"))
}

/// Returns what the doctor found, where it found something, and where to read more.
fn found(summary: &BackupSummary) -> Option<Box<Found>> {
    let id = summary.finding.as_ref().filter(|id| *id != UNKNOWN)?;
    let title = summary.finding_title.as_ref()?;
    Some(Box::new(Found {
        confirmed: summary.certainty == Some(Certainty::Confirmed),
        title: format!("{title} (`lifeboat explain {id}`)"),
        unknown: summary.unknown.clone(),
    }))
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let mut failure = Self::new(error.exit(), error.cause.id(), error.message.clone());
        if let Some(summary) = &error.summary {
            failure.told = true;
            if error.cause == Cause::Interrupted && summary.files_kept == 0 {
                let nothing = match summary.files_received {
                    0 => "nothing of this run, for no file had arrived",
                    _ => "nothing of this run",
                };
                failure.kept = Some(nothing.to_owned());
            }
            if summary.files_kept > 0 {
                let (files, size) = (things(summary.files_kept, "file"), bytes(summary.bytes_kept));
                failure.kept = Some(format!(
                    "{files}, {size}; what of it the device sends again is not stored twice"
                ));
            }
            failure.found = found(summary);
        }
        let step = error.summary.as_ref().and_then(|summary| summary.next_step_alone.as_deref());
        failure.hint(step.unwrap_or_else(|| error.next_step()))
    }
}
