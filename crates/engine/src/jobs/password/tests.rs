//! The order in which a password is changed, broken at every place, with a real repository on disk.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_device::mobilebackup2::{FileError, HostFiles as _, HostPath};
use lifeboat_host::fake::FakeHost;
use lifeboat_repo::{Location, WriterOptions};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::order::carry_out;
use super::*;
use crate::event::EventSink;
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
    /// Before the nth note of what the device said.
    BeforeNoting(usize),
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Deed {
    /// With this program, which may be killed on the way, and beside which somebody else may act.
    Here(Wanted, Option<Crash>, Option<Beside>),
    /// With another one.
    Elsewhere(Option<u8>),
}

/// What somebody does elsewhere while a run goes on: when it tells its nth step, the device gets that password.
#[derive(Debug, Clone, Copy)]
struct Beside {
    step: usize,
    word: Option<u8>,
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

fn word(word: Option<u8>) -> Option<String> {
    word.map(|word| secret(word).expose_secret().to_owned())
}

/// What is true of the device.
#[derive(Debug, Default)]
struct World {
    password: Option<String>,
    /// Every password that passed through this program to the device.
    heard: BTreeSet<String>,
    /// The password that it had before the run of the moment, or that it was given elsewhere meanwhile.
    others: Option<String>,
    /// Who changed it last: this program, in the run of the moment.
    is_ours: bool,
    /// Who changed it last: this program, in whichever run.
    is_from_here: bool,
}

impl World {
    fn elsewhere(&mut self, chosen: Option<u8>) {
        self.password = word(chosen);
        self.others.clone_from(&self.password);
        (self.is_ours, self.is_from_here) = (false, false);
        // What is chosen elsewhere did not pass through here, even where it is the same word.
        self.heard.retain(|heard| Some(heard) != self.password.as_ref());
    }
}

fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device, as `docs/protocol.md` 8.3 has it.
struct Model<'a> {
    world: &'a Mutex<World>,
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
        let mut world = locked(self.world);
        world.heard.extend(old.iter().chain(&new).cloned());
        let request = self.requests;
        self.requests += 1;
        if self.crash == Some(Crash::BeforeTelling(request)) {
            return Err(refusal(false, false));
        }
        if world.password.is_some() && world.password != old {
            return Err(refusal(true, true));
        }
        (world.password, world.is_ours, world.is_from_here) = (new, true, true);
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
    noted: usize,
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

    async fn kept(&self) -> Result<Vec<Kept>, JobError> {
        word::that_it_may_have(self.repository, self.udid)
    }

    async fn note(&mut self, generation: &str, word: Word) -> Result<(), JobError> {
        let at = self.noted;
        self.noted += 1;
        // Nothing comes behind a crash.
        if matches!(self.crash, Some(Crash::BeforeNoting(crash)) if crash <= at) {
            return Err(killed());
        }
        let host = self.ctx.host.clone();
        let now = host.now();
        let options = WriterOptions::new(Arc::new(move || host.now()));
        let told = passwords::Told::new(self.udid, generation, word, now);
        passwords::note(&self.repository.writer(&options)?, &told).map(drop)
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
        (0_usize..2).prop_map(Crash::BeforeNoting),
    ];
    let beside = (0_usize..8, given()).prop_map(|(step, word)| Beside { step, word });
    let here = (wanted, prop::option::weighted(0.6, crash), prop::option::weighted(0.3, beside));
    prop_oneof![
        4 => here.prop_map(|(wanted, crash, beside)| Deed::Here(wanted, crash, beside)),
        1 => given().prop_map(Deed::Elsewhere),
    ]
}

fn repository(root: &Utf8Path) -> lifeboat_repo::Repository {
    let place = Location::from(root.join("repository"));
    let secret = "a password".to_owned().into();
    lifeboat_repo::Repository::init(&place, &secret, &root.join("cache")).unwrap()
}

/// Does one deed after the other and says, after each, whether the invariant holds: a device never has a password that passed
/// through this program and that the repository does not keep, and none that it took from this program counts as refused.
async fn live(
    ctx: &Context,
    repository: &lifeboat_repo::Repository,
    udid: &str,
    deeds: Vec<Deed>,
) -> Result<(), TestCaseError> {
    let world = Mutex::new(World::default());
    for (minute, deed) in (0..).step_by(60).zip(deeds) {
        match &deed {
            Deed::Elsewhere(word) => locked(&world).elsewhere(*word),
            Deed::Here(wanted, crash, beside) => {
                let order = match *wanted {
                    Wanted::Set(new) => Order::Set { new: secret(new) },
                    Wanted::Change(old, new) => {
                        Order::Change { old: old.map(secret), new: secret(new) }
                    }
                    Wanted::Off(old) => Order::Off { old: old.map(secret) },
                };
                let now = jiff::Timestamp::from_second(1_700_000_000 + minute).unwrap();
                let mut vault =
                    OnDisk { ctx, repository, udid, crash: *crash, stored: 0, noted: 0 };
                let mut phone = Model { world: &world, crash: *crash, requests: 0 };
                {
                    let mut world = locked(&world);
                    (world.others, world.is_ours) = (world.password.clone(), false);
                }
                let steps = Mutex::new(0);
                let tell = |_| {
                    let mut step = steps.lock().unwrap();
                    if let Some(beside) = beside.filter(|beside| beside.step == *step) {
                        locked(&world).elsewhere(beside.word);
                    }
                    *step += 1;
                };
                let done = carry_out(&mut vault, &mut phone, &order, None, now, &tell).await;
                let world = locked(&world);
                let new = order.new_password().map(|new| new.expose_secret().to_owned());
                match &done {
                    Ok(generation) => {
                        let wanted = if world.is_ours { &new } else { &world.others };
                        prop_assert_eq!(&world.password, wanted, "{:?}", &deed);
                        prop_assert!(world.is_ours || beside.is_some(), "{:?}", &deed);
                        prop_assert_eq!(generation.is_some(), new.is_some());
                    }
                    Err(error) if error.message.contains("that it had") => {
                        prop_assert_eq!(&world.password, &world.others, "it says so: {:?}", &deed);
                        prop_assert!(!world.is_ours, "{:?}", &deed);
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
        let world = locked(&world);
        let is_safe = |now: &String| !world.heard.contains(now) || kept.contains(now);
        let told = (&world.password, &deed);
        prop_assert!(world.password.as_ref().is_none_or(is_safe), "is stored nowhere: {:?}", told);
        let may_have = passwords::kept(repository, udid).unwrap();
        let counts = |now: &String| {
            may_have
                .iter()
                .any(|kept| !kept.is_refused() && kept.password.password.expose_secret() == now)
        };
        let is_told = world.password.as_ref().filter(|_| world.is_from_here);
        prop_assert!(is_told.is_none_or(counts), "counts as refused: {:?}", told);
    }
    Ok(())
}

#[test]
fn no_crash_leaves_a_device_with_a_password_that_passed_through_here_and_is_stored_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(Utf8Path::from_path(dir.path()).unwrap());
    let ctx = Context::new(Arc::new(FakeHost::default()), EventSink::silent());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
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
    noted: Vec<(String, Word)>,
    requests: Vec<String>,
    right: Option<String>,
}

impl Vault for Asked {
    async fn keep(&mut self, password: StoredPassword) -> Result<(), JobError> {
        self.kept.insert(0, password);
        Ok(())
    }

    async fn kept(&self) -> Result<Vec<Kept>, JobError> {
        let word = |kept: &StoredPassword| {
            let mut noted = self.noted.iter().rev();
            noted.find(|(of, _)| *of == kept.generation).map(|(_, word)| *word)
        };
        let with = |kept: &StoredPassword| Kept { password: kept.clone(), word: word(kept) };
        Ok(self.kept.iter().map(with).collect())
    }

    async fn note(&mut self, generation: &str, word: Word) -> Result<(), JobError> {
        self.noted.push((generation.to_owned(), word));
        Ok(())
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
        let told = Mutex::new(Vec::new());
        let tell = |step| told.lock().unwrap().push(step);
        let done = carry_out(&mut vault, &mut phone, &order, presented.as_ref(), now, &tell).await;
        // Each is told before it begins; that of the device once for each old password.
        let mut steps = vec![PasswordStep::LookUp, PasswordStep::StoreNew];
        steps.extend(asked.iter().flat_map(|_| [PasswordStep::Tell, PasswordStep::Heard]));
        steps.extend(right.is_none().then_some(PasswordStep::Note));
        assert_eq!(told.into_inner().unwrap(), steps);
        assert_eq!(phone.requests, asked);
        assert_eq!(vault.kept.len(), 4, "the new one is stored, nothing is replaced");
        let new = &vault.kept[0].generation;
        match done {
            Ok(generation) => {
                assert_eq!(generation.as_ref(), Some(new));
                assert_eq!(vault.noted, []);
            }
            Err(error) => {
                assert_eq!((error.cause, right), (Cause::BackupPasswordWrong, None));
                // That the device has another one is noted beside it.
                assert_eq!(vault.noted, [(new.clone(), Word::Refused)]);
            }
        }
    }
    let mut nobody = (Asked::default(), Asked::default());
    let order = Order::Off { old: None };
    let done = carry_out(&mut nobody.0, &mut nobody.1, &order, None, now, &|_| {}).await;
    let error = done.unwrap_err();
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
    let mut files = GuardedFiles::new(inside.clone(), EventSink::silent());
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
        let mut files = GuardedFiles::new(tree, EventSink::silent());
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

/// A device that ends every request in one way.
struct Ends {
    is_unchanged: bool,
    is_wrong: bool,
}

impl Phone for Ends {
    async fn change(&mut self, _change: &PasswordChange) -> Result<(), Refusal> {
        Err(refusal(self.is_unchanged, self.is_wrong))
    }
}

#[tokio::test]
async fn only_what_was_surely_refused_is_remembered_as_that() {
    let now = jiff::Timestamp::from_second(9).unwrap();
    let change = |old: Option<u8>, new| Order::Change { old: old.map(secret), new: secret(new) };
    for (order, is_unchanged, is_wrong, refused) in [
        (Order::Set { new: secret(7) }, true, false, vec!["word 7"]),
        (Order::Set { new: secret(7) }, false, false, vec![]),
        (change(Some(5), 7), true, true, vec!["word 5", "word 7"]),
        // Nothing was said of the old one.
        (change(Some(5), 7), true, false, vec!["word 7"]),
        (change(Some(5), 7), false, false, vec![]),
        // These were kept before: the answer to one may have been lost, and the device has it.
        (change(Some(1), 2), true, true, vec![]),
        (Order::Off { old: Some(secret(1)) }, true, true, vec![]),
    ] {
        let mut vault = Asked::default();
        for word in [1, 2] {
            vault.keep(StoredPassword::new(UDID, secret(word), now)).await.unwrap();
        }
        let mut phone = Ends { is_unchanged, is_wrong };
        carry_out(&mut vault, &mut phone, &order, None, now, &|_| {}).await.unwrap_err();
        let text = |(of, word): &(String, Word)| {
            assert_eq!(*word, Word::Refused);
            let mut kept = vault.kept.iter();
            kept.find(|kept| kept.generation == *of).unwrap().password.expose_secret()
        };
        assert_eq!(vault.noted.iter().map(text).collect::<Vec<_>>(), refused, "{order:?}");
    }
    // One that comes again after it was refused is stored again: it may be taken now.
    let mut vault = Asked::default();
    let refused = StoredPassword::new(UDID, secret(7), now);
    vault.note(&refused.generation, Word::Refused).await.unwrap();
    vault.keep(refused).await.unwrap();
    let mut phone = Ends { is_unchanged: false, is_wrong: false };
    let order = Order::Set { new: secret(7) };
    carry_out(&mut vault, &mut phone, &order, None, now, &|_| {}).await.unwrap_err();
    let known = vault.kept().await.unwrap();
    assert_eq!(known.iter().map(Kept::is_refused).collect::<Vec<_>>(), [false, true]);
}

/// What a log, a panic or an error could print of what holds a password.
#[test]
fn nothing_that_holds_a_password_shows_it() {
    let canary = || SecretString::from("canary-7d1e".to_owned());
    let orders = [
        Order::Set { new: canary() },
        Order::Change { old: Some(canary()), new: canary() },
        Order::Off { old: Some(canary()) },
    ];
    let stored = StoredPassword::new(UDID, canary(), jiff::Timestamp::UNIX_EPOCH);
    let places = Places {
        repository: "/r".into(),
        password: Some(canary()),
        key_file: "/k".into(),
        make_repository: false,
        working_area: "/w".into(),
        cache: "/c".into(),
    };
    let shown = [
        format!("{orders:?}"),
        format!("{stored:?} {:?}", passwords::Candidate::given(canary())),
        format!("{:?} {places:?}", passwords::Given(vec![canary()])),
        format!("{:?}", PasswordChange::Change { old: canary(), new: canary() }),
        format!("{:?}", mistakes::of(&[canary()])),
    ];
    for shown in shown {
        assert!(!shown.contains("canary") && !shown.is_empty(), "{shown}");
    }
}
