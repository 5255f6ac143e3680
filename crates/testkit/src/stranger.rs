//! Programs that we did not write.

use camino::{Utf8Path, Utf8PathBuf};

/// Returns a program that `./test` installs: from `PATH`, or from `target/tools` of this workspace.
pub fn stranger(name: &str) -> Utf8PathBuf {
    let tools = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/venv/bin");
    #[expect(clippy::disallowed_methods, reason = "tests look for programs where the shell does")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .filter_map(|folder| Utf8PathBuf::from_path_buf(folder).ok())
        .chain([tools])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    found.unwrap_or_else(|| {
        panic!("`{name}` is not installed: run `./test` once, it installs what is missing")
    })
}
