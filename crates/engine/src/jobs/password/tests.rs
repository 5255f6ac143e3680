//! The order in which a password is changed, broken at every place, with a real repository on disk.

use std::collections::BTreeSet;
use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_device::mobilebackup2::{FileError, HostFiles as _, HostPath};
use lifeboat_host::fake::FakeHost;
use lifeboat_repo::Location;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::order::carry_out;
use super::*;
use crate::event::EventSink;
use crate::passwords::Passwords as _;
use crate::working_tree::area::Area;
use crate::working_tree::overlay::Settings;

const UDID: &str = "00008110-000A1B2C3D4E5F60";

/// Where a run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    /// Before the nth password is stored.
    BeforeStoring(usize),
    /// After it was stored, before anybody knows.
    AfterStoring(usize),
    /// Before the device hears the nth request.
    BeforeTelling(usize),
    /// After the device acted upon it, before its answer is heard.
    AfterTelling(usize),
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Deed {
    /// With this program, which may be killed on the way.
    Here(Wanted, Option<Crash>),
    /// With another one.
    Elsewhere(Option<u8>),
}

#[derive(Debug, Clone)]
enum Wanted {
    Set(u8),
    Change(Option<u8>, u8),
    Off(Option<u8>),
}

fn secret(word: u8) -> SecretString {
    SecretString::from(format!("word {word}"))
}

/// The device, as `docs/protocol.md` 8.3 has it.
struct Model<'a> {
    password: &'a mut Option<String>,
    /// Every password that passed through this program to the device.
    heard: &'a mut BTreeSet<String>,
    crash: Option<Crash>,
    requests: usize,
}

fn killed() -> JobError {
    JobError::new(Cause::ConnectionLost, "killed")
}

fn refusal(is_unchanged: bool, is_wrong: bool) -> Refusal {
    Refusal { is_unchanged, is_wrong, error: Box::new(killed()) }
}

impl Phone for Model<'_> {
    async fn change(&mut self, change: &PasswordChange) -> Result<(), Refusal> {
        let text = |secret: &SecretString| Some(secret.expose_secret().to_owned());
        let (old, new) = match change {
            PasswordChange::Set { new } => (None, text(new)),
            PasswordChange::Change { old, new } => (text(old), text(new)),
            PasswordChange::Off { old } => (text(old), None),
        };
        self.heard.extend(old.iter().chain(&new).cloned());
        let request = self.requests;
        self.requests += 1;
        if self.crash == Some(Crash::BeforeTelling(request)) {
            return Err(refusal(false, false));
        }
        if self.password.is_some() && *self.password != old {
            return Err(refusal(true, true));
        }
        *self.password = new;
        match self.crash {
            Some(Crash::AfterTelling(at)) if at == request => Err(refusal(false, false)),
            _ => Ok(()),
        }
    }
}

/// A repository on disk.
struct OnDisk<'a> {
    ctx: &'a Context,
    repository: &'a lifeboat_repo::Repository,
    udid: &'a str,
    crash: Option<Crash>,
    stored: usize,
}

impl Vault for OnDisk<'_> {
    async fn keep(&mut self, password: StoredPassword) -> Result<(), JobError> {
        let at = self.stored;
        self.stored += 1;
        if self.crash == Some(Crash::BeforeStoring(at)) {
            return Err(killed());
        }
        passwords::store(self.ctx, self.repository, &password)?;
        if self.crash == Some(Crash::AfterStoring(at)) { Err(killed()) } else { Ok(()) }
    }

    async fn kept(&self) -> Result<Vec<Candidate>, JobError> {
        passwords::Stored(self.repository).candidates(self.udid)
    }

    fn udid(&self) -> &str {
        self.udid
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let word = || 0_u8..4;
    let given = || prop::option::of(word());
    let wanted = prop_oneof![
        word().prop_map(Wanted::Set),
        (given(), word()).prop_map(|(old, new)| Wanted::Change(old, new)),
        given().prop_map(Wanted::Off),
    ];
    let crash = prop_oneof![
        (0_usize..2).prop_map(Crash::BeforeStoring),
        (0_usize..2).prop_map(Crash::AfterStoring),
        (0_usize..2).prop_map(Crash::BeforeTelling),
        (0_usize..2).prop_map(Crash::AfterTelling),
    ];
    prop_oneof![
        4 => (wanted, prop::option::weighted(0.6, crash)).prop_map(|(wanted, crash)| Deed::Here(wanted, crash)),
        1 => given().prop_map(Deed::Elsewhere),
    ]
}

fn repository(root: &Utf8Path) -> lifeboat_repo::Repository {
    let place = Location::from(root.join("repository"));
    let secret = "a password".to_owned().into();
    lifeboat_repo::Repository::init(&place, &secret, &root.join("cache")).unwrap()
}

/// Does one deed after the other and says, after each, whether the invariant holds: a device never has a password that passed
/// through this program and that the repository does not keep.
async fn live(
    ctx: &Context,
    repository: &lifeboat_repo::Repository,
    udid: &str,
    deeds: Vec<Deed>,
) -> Result<(), TestCaseError> {
    let (mut password, mut heard) = (None::<String>, BTreeSet::new());
    for (minute, deed) in (0..).step_by(60).zip(deeds) {
        let before = password.clone();
        match &deed {
            Deed::Elsewhere(word) => {
                password = word.map(|word| secret(word).expose_secret().to_owned());
                // What is chosen elsewhere did not pass through here, even where it is the same word.
                heard.retain(|heard| Some(heard) != password.as_ref());
            }
            Deed::Here(wanted, crash) => {
                let order = match *wanted {
                    Wanted::Set(new) => Order::Set { new: secret(new) },
                    Wanted::Change(old, new) => {
                        Order::Change { old: old.map(secret), new: secret(new) }
                    }
                    Wanted::Off(old) => Order::Off { old: old.map(secret) },
                };
                let now = jiff::Timestamp::from_second(1_700_000_000 + minute).unwrap();
                let mut vault = OnDisk { ctx, repository, udid, crash: *crash, stored: 0 };
                let mut phone = Model {
                    password: &mut password,
                    heard: &mut heard,
                    crash: *crash,
                    requests: 0,
                };
                let done = carry_out(&mut vault, &mut phone, &order, None, now).await;
                match &done {
                    Ok(generation) => {
                        let new = order.new_password().map(|new| new.expose_secret().to_owned());
                        prop_assert_eq!(&password, &new, "{:?}", &deed);
                        prop_assert_eq!(generation.is_some(), new.is_some());
                    }
                    Err(error) if error.message.contains("that it had") => {
                        prop_assert_eq!(&password, &before, "it says so: {:?}", &deed);
                    }
                    Err(_) => {}
                }
            }
        }
        // The disk is asked, not what a run remembers.
        let kept: BTreeSet<String> = passwords::stored(repository, udid)
            .unwrap()
            .into_iter()
            .map(|(_, kept)| kept.password.expose_secret().to_owned())
            .collect();
        let is_safe =
            password.as_ref().is_none_or(|now| !heard.contains(now) || kept.contains(now));
        prop_assert!(is_safe, "{:?} is stored nowhere after {:?}", password, deed);
    }
    Ok(())
}

#[test]
fn no_crash_leaves_a_device_with_a_password_that_passed_through_here_and_is_stored_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(Utf8Path::from_path(dir.path()).unwrap());
    let ctx = Context::new(Arc::new(FakeHost::default()), EventSink::silent());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let cases = std::cell::Cell::new(0);
    // Every case is a device of its own in one repository.
    let deeds = prop::collection::vec(deed(), 1..7);
    let outcome = runner.run(&deeds, |deeds| {
        cases.set(cases.get() + 1);
        let udid = format!("{:016}", cases.get());
        runtime.block_on(live(&ctx, &repository, &udid, deeds))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// A vault in memory and a device that knows one password, to see what is asked of them.
#[derive(Default)]
struct Asked {
    kept: Vec<StoredPassword>,
    requests: Vec<String>,
    right: Option<String>,
}

impl Vault for Asked {
    async fn keep(&mut self, password: StoredPassword) -> Result<(), JobError> {
        self.kept.insert(0, password);
        Ok(())
    }

    async fn kept(&self) -> Result<Vec<Candidate>, JobError> {
        let candidate = |kept: &StoredPassword| Candidate {
            password: kept.password.clone(),
            generation: Some(kept.generation.clone()),
        };
        Ok(self.kept.iter().map(candidate).collect())
    }

    fn udid(&self) -> &str {
        UDID
    }
}

impl Phone for Asked {
    async fn change(&mut self, change: &PasswordChange) -> Result<(), Refusal> {
        let PasswordChange::Change { old, .. } = change else { panic!("{change:?}") };
        self.requests.push(old.expose_secret().to_owned());
        if self.right.as_deref() == Some(old.expose_secret()) {
            Ok(())
        } else {
            Err(refusal(true, true))
        }
    }
}

fn bag(password: &str) -> Keybag {
    let mut bag = Keybag {
        salt: vec![1; 20],
        rounds: 1,
        first_rounds: Some(10),
        first_salt: Some(vec![2; 20]),
        ..Keybag::default()
    };
    let key = bag.derivation().unwrap().derive(password.as_bytes()).unwrap();
    bag.classes.push(lifeboat_mobilesync::keybag::ClassKey {
        class: 3,
        wrap: 2,
        wrapped: Some(lifeboat_mobilesync::crypto::wrap(&key, &[3; 32].into()).to_vec()),
        ..lifeboat_mobilesync::keybag::ClassKey::default()
    });
    bag
}

#[tokio::test]
async fn the_old_password_is_the_one_that_opens_the_backup_then_the_newest_until_one_is_right() {
    let now = jiff::Timestamp::from_second(9).unwrap();
    for (opens, right, asked) in [
        (Some(1), Some(1), vec!["word 1"]),
        (None, Some(1), vec!["word 3", "word 2", "word 1"]),
        (Some(1), Some(3), vec!["word 1", "word 3"]),
        (Some(2), None, vec!["word 2", "word 3", "word 1"]),
    ] {
        let mut vault = Asked::default();
        for word in [1, 2, 3] {
            vault.keep(StoredPassword::new(UDID, secret(word), now)).await.unwrap();
        }
        let mut phone =
            Asked { right: right.map(|word: u8| format!("word {word}")), ..Asked::default() };
        let order = Order::Change { old: None, new: secret(9) };
        let presented = opens.map(|word: u8| bag(&format!("word {word}")));
        let done = carry_out(&mut vault, &mut phone, &order, presented.as_ref(), now).await;
        assert_eq!(phone.requests, asked);
        assert_eq!(vault.kept.len(), 4, "the new one is stored, nothing is replaced");
        match done {
            Ok(generation) => assert_eq!(generation.as_ref(), Some(&vault.kept[0].generation)),
            Err(error) => assert_eq!((error.cause, right), (Cause::BackupPasswordWrong, None)),
        }
    }
    let mut nobody = (Asked::default(), Asked::default());
    let order = Order::Off { old: None };
    let error = carry_out(&mut nobody.0, &mut nobody.1, &order, None, now).await.unwrap_err();
    assert_eq!(error.cause, Cause::NoBackupPassword);
    assert!(nobody.0.kept.is_empty() && nobody.1.requests.is_empty());
}

fn tree(root: &Utf8Path) -> WorkingTree {
    let settings = Settings {
        host: Arc::new(FakeHost::default()),
        writer: None,
        repository: None,
        repository_place: "/".into(),
        checkpoint: 1 << 20,
        reserve: 1000,
        area_minimum: 0,
        hold: false,
    };
    WorkingTree::open(Area::take(root, UDID).unwrap(), settings, UDID, None, false).unwrap().0
}

fn path(inside: &str) -> HostPath {
    HostPath::parse(&format!("{UDID}/{inside}"), UDID).unwrap()
}

#[test]
fn a_device_writes_the_manifest_over_the_one_that_is_there_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    let inside = tree(&root);
    let mut files = GuardedFiles::new(inside.clone());
    assert!(matches!(files.begin(&path("Manifest.plist")), Err(FileError::NotFound)));
    inside.state().write_own(&format!("{UDID}/Manifest.plist"), b"wrapped for the old").unwrap();
    for other in ["Status.plist", "Manifest.db", "Snapshot/Manifest.plist", "00/x"] {
        assert!(files.begin(&path(other)).is_err(), "{other}");
    }
    let manifest = path("Manifest.plist");
    assert!(files.remove(&manifest).is_err());
    assert!(files.rename(&manifest, &path("x")).is_err());
    assert!(files.copy(&manifest, &path("x")).is_err());
    assert!(files.create_directory(&path("Snapshot")).is_err());
    files.begin(&manifest).unwrap();
    files.write(b"wrapped for the new").unwrap();
    files.finish().unwrap();
    files.sync().unwrap();
    drop((files, inside));
    // The next run presents what the device wrote, and nobody takes it for a backup that broke.
    assert!(!Area::is_left(&root, UDID) && !Area::is_kept(&root, UDID));
}

#[test]
fn what_the_device_wrote_is_presented_by_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    {
        let tree = tree(&root);
        tree.state().write_own(&format!("{UDID}/Manifest.plist"), b"wrapped for the old").unwrap();
        let mut files = GuardedFiles::new(tree);
        files.begin(&path("Manifest.plist")).unwrap();
        files.write(b"wrapped for the new").unwrap();
        files.finish().unwrap();
        files.sync().unwrap();
    }
    let mut next = tree(&root);
    let source = next.open(&path("Manifest.plist")).unwrap();
    let mut bytes = Vec::new();
    let mut reader = source.reader;
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"wrapped for the new");
}
