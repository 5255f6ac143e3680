//! What the tests share: a simulated phone, places in a throw-away folder, what was told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as a test does")]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_engine::jobs::backup::{self, BackupPlan, BackupSummary};
use lifeboat_engine::jobs::pair;
use lifeboat_engine::jobs::snapshots::{self, Look};
use lifeboat_engine::{Context, Event, EventSink, JobError, Mux, Places};
use lifeboat_host::Host as _;
use lifeboat_host::fake::FakeHost;
use lifeboat_sim::ctl::{self, Action, Reply};
use lifeboat_sim::{Listen, Options, PhoneSpec, Server, serve};
use sha2::{Digest as _, Sha256};

/// A simulated phone and a home for what is made of it.
pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub root: Utf8PathBuf,
    pub mux: Mux,
    server: Server,
    host: Arc<FakeHost>,
    told: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    /// Plugs a small phone in; `knobs` are lines of TOML.
    pub(crate) async fn new(knobs: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let host = Arc::new(FakeHost::default());
        let phone =
            PhoneSpec::from_toml(&format!("profile = \"tiny\"\nseed = 7\n[knobs]\n{knobs}\n"))
                .unwrap();
        let clock = host.clone();
        let options = Options {
            listen: Listen::loopback(),
            state: root.join("sim"),
            phones: vec![phone],
            clock: Arc::new(move || clock.now()),
            ask: false,
        };
        let server = serve(options).await.unwrap();
        let mux = Mux::Tcp(server.listening.parse().unwrap());
        Self { _dir: dir, root, mux, server, host, told: Arc::default() }
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            repository: self.root.join("repository"),
            password: None,
            key_file: self.root.join("config/key"),
            make_repository: true,
            working_area: self.root.join("work"),
            cache: self.root.join("cache"),
        }
    }

    pub(crate) fn context(&self) -> Context {
        let told = self.told.clone();
        let sink = EventSink::new(move |event| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        });
        Context::new(self.host.clone(), sink)
    }

    /// Returns a context that is cancelled at the first event that fits.
    pub(crate) fn context_that_cancels(
        &self,
        when: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Context {
        let mut ctx = Context::new(self.host.clone(), EventSink::silent());
        let (cancel, host) = (ctx.cancel.clone(), self.host.clone());
        ctx.events = EventSink::new(move |event| {
            // Progress is told ten times a second: the clock must go on for it.
            host.advance(1);
            if when(&event) {
                cancel.cancel();
            }
        });
        ctx
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn pair(&self) {
        pair::run(&self.context(), &self.mux, None, Duration::from_secs(20)).await.unwrap();
    }

    pub(crate) async fn backup(&self) -> Result<BackupSummary, JobError> {
        self.backup_with(|_| {}).await
    }

    pub(crate) async fn backup_with(
        &self,
        change: impl FnOnce(&mut BackupPlan),
    ) -> Result<BackupSummary, JobError> {
        self.backup_in(&self.context(), change).await
    }

    pub(crate) async fn backup_in(
        &self,
        ctx: &Context,
        change: impl FnOnce(&mut BackupPlan),
    ) -> Result<BackupSummary, JobError> {
        // Each backup is another moment.
        self.host.advance(3600);
        let mut plan = BackupPlan {
            places: self.places(),
            mux: self.mux.clone(),
            udid: None,
            full: false,
            wait: None,
        };
        change(&mut plan);
        backup::run(ctx, plan).await
    }

    async fn ctl(&self, action: Action) -> Reply {
        ctl::request(&self.root.join("sim"), None, &action).await.unwrap()
    }

    /// Returns what the phone would put into a backup: path and SHA-256.
    pub(crate) async fn oracle(&self) -> BTreeMap<String, String> {
        let reply = self.ctl(Action::Digest).await;
        let text = text_of(reply);
        text.lines()
            .map(|line| {
                // As `sha256sum` escapes it.
                let (line, escaped) =
                    line.strip_prefix('\\').map_or((line, false), |line| (line, true));
                let (digest, path) = line.split_once("  ").unwrap();
                let path = if escaped {
                    path.replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\")
                } else {
                    path.to_owned()
                };
                (path, digest.to_owned())
            })
            .collect()
    }

    pub(crate) async fn live(&self, days: u32) {
        self.ctl(Action::Live { days }).await;
    }

    pub(crate) fn traffic(&self) -> lifeboat_sim::traffic::Job {
        self.server.phones[0].traffic.job()
    }

    pub(crate) fn fault(&self, name: &str, values: &[(&str, &str)]) {
        let values =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.server.phones[0].faults.set(name, values).unwrap();
    }

    pub(crate) fn clear_faults(&self) {
        self.server.phones[0].faults.clear();
    }

    pub(crate) fn unlock(&self) {
        self.server.phones[0].unlock_screen().unwrap();
    }

    pub(crate) fn unplug(&self) {
        self.server.phones[0].pull_cable();
    }

    pub(crate) async fn cat(&self, look: Look, path: &str) -> Vec<u8> {
        let out = Shared::default();
        let count =
            snapshots::cat(&self.context(), look, path, Box::new(out.clone())).await.unwrap();
        let bytes = out.0.lock().unwrap().clone();
        assert_eq!(bytes.len() as u64, count);
        bytes
    }
}

fn text_of(reply: Reply) -> String {
    match reply {
        Reply::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns every file below a folder with its SHA-256.
pub(crate) fn tree(folder: &Utf8Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = next.read_dir_utf8() else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path().to_owned());
            } else if kind.is_file() {
                let path = entry.path().strip_prefix(folder).unwrap().to_string();
                found.insert(path, sha256(&fs_err::read(entry.path()).unwrap()));
            }
        }
    }
    found
}
