//! Passwords and keys. Key files are read by `rustic_core`, and written by it for a password that a person chose. One for a
//! password that this program generated is written here: its key derivation costs about what restic's does (docs/decisions/0011).

use std::sync::Arc;

use rustic_core::{
    ConfigOptions, Credentials, KeyOptions, OpenStatus, Repository as Engine, RepositoryBackends,
    RepositoryOptions, RusticError,
    repofile::{KeyFile, MasterKey},
};
use scrypt::Params;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{
    error::{Flaw, RepoError},
    format::{
        config::{self, Config},
        file,
        hash::sha256,
        random::random,
        seal::Key,
    },
    id::FileId,
    store::{CONFIG_ID, FileKind, MemoryStore, RusticStore, Store},
};

/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Groups of a generated password …
const GROUPS: usize = 8;
/// … of this many signs each: 160 bits.
const GROUP: usize = 4;

/// The format that this program writes.
const VERSION: u32 = 2;

/// What it costs to derive a key from a generated password: the logarithm of N, r and p of scrypt. A cost slows down who
/// guesses, and nobody guesses 160 random bits.
const LOG_N: u8 = 15;
const R: u32 = 8;
const P: u32 = 1;

/// Where a password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chooser {
    /// A person: it may be guessed, and every guess is to cost much.
    Person,
    /// This program, at random.
    Program,
}

/// Makes a repository password that can be read aloud: eight groups of four signs, 160 bits.
pub fn generate_password() -> SecretString {
    let signs = random::<{ GROUPS * GROUP }>()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    let groups: Vec<String> = signs.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.join("-").into()
}

/// What opens a repository, and what its configuration says.
pub(crate) struct Opened {
    pub(crate) key: Key,
    pub(crate) master: MasterKey,
    pub(crate) config: Config,
}

/// Makes a repository with one key. Of several who make it at once one succeeds, and the others find that it exists: the
/// configuration is written last, and only where none is.
pub(crate) fn init(
    store: &Arc<dyn Store>,
    password: &SecretString,
    chooser: Chooser,
) -> Result<Opened, RepoError> {
    find_room(store)?;
    let left = store.list(FileKind::Key)?;
    let draft: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = engine(&draft)?.init(
        &credentials(password),
        &KeyOptions::default(),
        &ConfigOptions::default(),
    )?;
    store.create()?;
    let mut keys = Vec::new();
    match chooser {
        Chooser::Person => {
            for (id, _) in draft.list(FileKind::Key)? {
                keys.push((id, draft.read(FileKind::Key, id)?));
            }
        }
        Chooser::Program => {
            let file = key_file(&engine.key(), password);
            keys.push((FileId::new(sha256(&file)), file));
        }
    }
    for (id, file) in &keys {
        store.write(FileKind::Key, *id, file)?;
    }
    let config = draft.read(FileKind::Config, CONFIG_ID)?;
    let first = store.write_first(FileKind::Config, CONFIG_ID, &config)?;
    // Keys without a configuration are what a broken `init` left, or one that was slower: they open to another master key.
    let left = left.into_iter().map(|(id, _)| id);
    let waste: Vec<FileId> =
        if first { left.collect() } else { keys.into_iter().map(|(id, _)| id).collect() };
    for id in waste {
        store.remove(FileKind::Key, id)?;
    }
    if !first {
        return Err(RepoError::AlreadyExists(store.location()));
    }
    opened(store, &engine)
}

/// Returns a key file, as restic has them, in which a generated password opens the master key.
fn key_file(master: &MasterKey, password: &SecretString) -> Vec<u8> {
    let salt = random::<64>();
    let params = Params::new(LOG_N, R, P).expect("scrypt takes these");
    let mut derived = Zeroizing::new([0; 64]);
    scrypt::scrypt(password.expose_secret().as_bytes(), &salt, &params, derived.as_mut_slice())
        .expect("scrypt makes 64 bytes");
    let (encrypt, mac) = derived.split_first_chunk::<32>().expect("64 bytes are more than 32");
    let (k, mac) = mac.split_first_chunk::<16>().expect("32 bytes are left");
    let r = mac.first_chunk::<16>().expect("16 bytes are left");
    let json = Zeroizing::new(serde_json::to_vec(master).expect("plain data becomes JSON"));
    let file = KeyFile {
        hostname: None,
        username: None,
        created: None,
        kdf: "scrypt".into(),
        n: 1 << LOG_N,
        r: R,
        p: P,
        data: Key::new(encrypt, k, r).seal(&json),
        salt: salt.into(),
    };
    serde_json::to_vec(&file).expect("plain data becomes JSON")
}

/// Fails unless a repository can be made there: in a folder that is absent or empty, or where an `init` broke off.
pub(crate) fn find_room(store: &Arc<dyn Store>) -> Result<(), RepoError> {
    if !store.list(FileKind::Config)?.is_empty() {
        return Err(RepoError::AlreadyExists(store.location()));
    }
    if holds_data(store)? {
        return Err(RepoError::NoConfig(store.location()));
    }
    match store.stranger()? {
        Some(found) => Err(RepoError::NotEmpty { place: store.location(), found }),
        None => Ok(()),
    }
}

/// Whether something lies there that a snapshot may need.
fn holds_data(store: &Arc<dyn Store>) -> Result<bool, RepoError> {
    Ok(!store.list(FileKind::Pack)?.is_empty() || !store.list(FileKind::Snapshot)?.is_empty())
}

/// Fails unless there is a repository.
pub(crate) fn find(store: &Arc<dyn Store>) -> Result<(), RepoError> {
    if !store.list(FileKind::Config)?.is_empty() {
        return Ok(());
    }
    let error = if holds_data(store)? { RepoError::NoConfig } else { RepoError::Missing };
    Err(error(store.location()))
}

/// Opens a repository with a password.
pub(crate) fn open(store: &Arc<dyn Store>, password: &SecretString) -> Result<Opened, RepoError> {
    find(store)?;
    if store.list(FileKind::Key)?.is_empty() {
        return Err(RepoError::NoKey);
    }
    let engine = engine(store)?.open(&credentials(password)).map_err(not_opened)?;
    opened(store, &engine)
}

/// With the key at hand there is only the configuration left to read.
fn not_opened(error: Box<RusticError>) -> RepoError {
    match error.into() {
        RepoError::Engine { source } => {
            tracing::debug!(error = %source, "the configuration cannot be read");
            RepoError::damaged(FileKind::Config, CONFIG_ID, Flaw::Unauthentic)
        }
        other => other,
    }
}

/// Opens the part of a repository that is `rustic_core`'s.
pub(crate) fn open_engine(
    store: &Arc<dyn Store>,
    master: &MasterKey,
) -> Result<Engine<OpenStatus>, RepoError> {
    Ok(engine(store)?.open(&Credentials::Masterkey(master.clone()))?)
}

/// Adds a key file that opens with another password.
pub(crate) fn add(
    store: &Arc<dyn Store>,
    master: &MasterKey,
    password: &SecretString,
) -> Result<(), RepoError> {
    open_engine(store, master)?.add_key(password.expose_secret(), &KeyOptions::default())?;
    Ok(())
}

fn engine(store: &Arc<dyn Store>) -> Result<Engine<()>, RepoError> {
    let backends = RepositoryBackends::new(Arc::new(RusticStore(Arc::clone(store))), None);
    let options = RepositoryOptions::default().no_cache(true);
    Ok(Engine::new(&options, &backends)?)
}

fn credentials(password: &SecretString) -> Credentials {
    Credentials::password(password.expose_secret())
}

fn opened(store: &Arc<dyn Store>, engine: &Engine<OpenStatus>) -> Result<Opened, RepoError> {
    with_master(&**store, engine.key())
}

/// Opens a repository whose master key is known.
pub(crate) fn with_master(store: &dyn Store, master: MasterKey) -> Result<Opened, RepoError> {
    let damaged = |why| RepoError::damaged(FileKind::Config, CONFIG_ID, why);
    let key = key(&master).ok_or_else(|| damaged(Flaw::Syntax))?;
    let mut sealed = store.read(FileKind::Config, CONFIG_ID)?;
    let json = file::open(&key, &mut sealed).map_err(damaged)?;
    let config = config::decode(&json).map_err(damaged)?;
    if config.version != VERSION {
        return Err(RepoError::Format { version: config.version });
    }
    Ok(Opened { key, master, config })
}

fn key(master: &MasterKey) -> Option<Key> {
    let encrypt = master.encrypt.as_slice().try_into().ok()?;
    Some(Key::new(
        encrypt,
        master.mac.k.as_slice().try_into().ok()?,
        master.mac.r.as_slice().try_into().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_can_be_read_aloud() {
        let password = generate_password();
        let text = password.expose_secret();
        assert_eq!(text.len(), GROUPS * (GROUP + 1) - 1);
        assert!(text.split('-').all(
            |group| group.len() == GROUP && group.bytes().all(|sign| ALPHABET.contains(&sign))
        ));
        assert_ne!(text, generate_password().expose_secret());
    }
}
