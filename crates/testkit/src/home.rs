//! A home folder of its own for every test.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::run::Invocation;

/// A throw-away home: nothing of the real one is seen, nothing is left behind.
#[derive(Debug)]
pub struct Home {
    /// Removed at the end; must live as long as the home.
    _folder: tempfile::TempDir,
    path: Utf8PathBuf,
    program: Utf8PathBuf,
    variables: BTreeMap<String, String>,
}

impl Home {
    /// Makes a home for a program: in tests `env!("CARGO_BIN_EXE_lifeboat")`.
    pub fn new(program: &str) -> Self {
        let folder =
            tempfile::Builder::new().prefix("lifeboat-").tempdir().expect("a temporary folder");
        let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().expect("it exists"))
            .expect("UTF-8");
        let mut variables = BTreeMap::new();
        for (name, below) in [
            ("HOME", ""),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "runtime"),
            ("TMPDIR", "tmp"),
        ] {
            let folder = path.join(below);
            fs_err::create_dir_all(&folder).expect("a folder in the home");
            variables.insert(name.to_owned(), folder.to_string());
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "programs are found where the shell finds them"
        )]
        let programs = std::env::var_os("PATH").unwrap_or_default();
        variables.insert("PATH".to_owned(), programs.to_string_lossy().into_owned());
        variables.insert("USER".to_owned(), "sailor".to_owned());
        variables.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        variables.insert("TZ".to_owned(), "UTC".to_owned());
        // Nothing may find a real phone by accident.
        variables.insert(
            "USBMUXD_SOCKET_ADDRESS".to_owned(),
            format!("UNIX:{}", path.join("no-usbmuxd")),
        );
        Self { _folder: folder, path, program: program.into(), variables }
    }

    /// Makes another home with the same files and the same environment; what lies in the variables as a path of the home is one of
    /// the new home.
    #[cfg(unix)]
    #[must_use]
    pub fn twin(&self) -> Self {
        let mut twin = Self::new(self.program.as_str());
        copy(&self.path, &twin.path);
        for (name, value) in &self.variables {
            let value = value.replace(self.path.as_str(), twin.path.as_str());
            twin.variables.insert(name.clone(), value);
        }
        twin
    }

    /// Returns the home's folder.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Returns the program under test.
    pub fn program(&self) -> &Utf8Path {
        &self.program
    }

    /// Returns the default repository of this home.
    pub fn repository(&self) -> Utf8PathBuf {
        self.path.join("data/lifeboat/repository")
    }

    /// Returns the key file of the default repository of this home.
    pub fn key_file(&self) -> Utf8PathBuf {
        self.path.join("config/lifeboat/repository.key")
    }

    /// Sets a variable for all programs of this home.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// The environment of all programs of this home.
    #[cfg(target_os = "linux")]
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Lets the programs of this home see the phones of a simulator.
    pub fn connect(&mut self, address: &str) {
        self.set("USBMUXD_SOCKET_ADDRESS", address);
    }

    /// Starts to put together a run of any program.
    pub fn command(&self, program: impl AsRef<str>) -> Invocation {
        Invocation::new(program.as_ref(), &self.variables, &self.path)
    }

    /// Starts to put together a run of the program under test.
    pub fn lifeboat<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.command(&self.program).args(arguments)
    }
}

/// Copies a folder, with times and permissions; sockets stay behind.
#[cfg(unix)]
fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs_err::create_dir_all(to).expect("a folder");
    for entry in from.read_dir_utf8().expect("a folder") {
        let entry = entry.expect("a folder's entry");
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() {
            copy(entry.path(), &target);
        } else if kind.is_symlink() {
            let link = entry.path().read_link_utf8().expect("a link's target");
            fs_err::os::unix::fs::symlink(link, target).expect("a link");
        } else if kind.is_file() {
            fs_err::copy(entry.path(), &target).expect("a file");
            let times = fs_err::metadata(entry.path()).and_then(|data| data.modified());
            let file = fs_err::OpenOptions::new().append(true).open(&target).expect("a file");
            file.file().set_modified(times.expect("a time")).expect("its time");
        }
    }
    let permissions = fs_err::metadata(from).expect("a folder").permissions();
    fs_err::set_permissions(to, permissions).expect("its permissions");
}
