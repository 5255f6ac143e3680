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
