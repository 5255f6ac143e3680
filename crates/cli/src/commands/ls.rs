//! `ls SNAP[:PATH]`: the files of a snapshot.

use camino::Utf8PathBuf;
use clap::Args;
use lifeboat_engine::Note;
use lifeboat_engine::jobs::snapshots::{self, FileKind, Listed};
use serde::Serialize;

use super::{Ended, look, snapshot_and_path};
use crate::app::App;
use crate::exit::Exit;
use crate::ui::text::{bytes, plain};
use crate::ui::tree::Tree;

/// Flags of `ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat ls latest\n  lifeboat ls latest:HomeDomain/Library/SMS\n  \
    lifeboat ls -R latest:CameraRollDomain\n  lifeboat ls --folder ~/Backup/UDID HomeDomain"
)]
pub(crate) struct LsArgs {
    /// The snapshot and a path in it; with `--folder` the path alone
    #[arg(value_name = "SNAP[:PATH]", required_unless_present = "folder")]
    target: Option<String>,
    /// List all that is below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Print modes, sizes and times
    #[arg(short, long)]
    long: bool,
    /// Look into a folder as Finder, iTunes and other tools make it
    #[arg(long, value_name = "DIR")]
    folder: Option<Utf8PathBuf>,
}

#[derive(Serialize)]
struct Listing<'a> {
    format: u32,
    path: &'a str,
    entries: &'a [Listed],
    notes: Vec<Note>,
}

/// Lists files.
pub(crate) async fn run(app: &App, args: LsArgs) -> Ended {
    let (snapshot, path) = match (&args.target, &args.folder) {
        (Some(target), None) => {
            let (snapshot, path) = snapshot_and_path(target);
            (Some(snapshot), path)
        }
        (target, _) => (None, target.clone().unwrap_or_default().trim_matches('/').to_owned()),
    };
    let look = look(app, snapshot, args.folder)?;
    let (ctx, notes) = app.noting_context();
    let entries = snapshots::ls(&ctx, look, &path, args.recursive).await?;
    if app.ui.json {
        let listing = Listing { format: 1, path: &path, entries: &entries, notes: notes.take() };
        app.ui.object(&listing)?;
    } else if args.long {
        app.ui.text(lines(&entries, long))?;
    } else if app.ui.stdout_is_terminal {
        app.ui.text(tree(&path, &entries))?;
    } else {
        app.ui.text(lines(&entries, name))?;
    }
    Ok(Exit::Done)
}

/// Puts all lines into one text: a line that is printed by itself is written by itself.
fn lines(entries: &[Listed], line: impl Fn(&Listed) -> String) -> String {
    entries.iter().flat_map(|entry| [line(entry), "\n".to_owned()]).collect()
}

fn name(entry: &Listed) -> String {
    let slash = if entry.kind == FileKind::Directory { "/" } else { "" };
    format!("{}{slash}", plain(&entry.path))
}

fn tree(path: &str, entries: &[Listed]) -> String {
    let mut tree = Tree::default();
    for entry in entries {
        let below = entry.path.strip_prefix(path).unwrap_or(&entry.path);
        // A file that was asked for by its own name is shown by it.
        let below = if below.is_empty() { entry.path.as_str() } else { below };
        tree.insert(below, label(entry));
    }
    tree.render()
}

fn label(entry: &Listed) -> String {
    match entry.kind {
        FileKind::File => bytes(entry.size),
        FileKind::Directory => String::new(),
        FileKind::Symlink => format!("-> {}", plain(entry.target.as_deref().unwrap_or("?"))),
    }
}

fn long(entry: &Listed) -> String {
    let kind = match entry.kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
    };
    let mut mode = String::from(kind);
    for shift in [6, 3, 0] {
        let bits = entry.mode >> shift;
        mode.push(if bits & 4 == 0 { '-' } else { 'r' });
        mode.push(if bits & 2 == 0 { '-' } else { 'w' });
        mode.push(if bits & 1 == 0 { '-' } else { 'x' });
    }
    let time = entry.modified.map_or_else(|| "-".to_owned(), crate::ui::text::time);
    let target =
        entry.target.as_deref().map(|target| format!(" -> {}", plain(target))).unwrap_or_default();
    format!("{mode} {:>12} {time:19} {}{target}", entry.size, plain(&entry.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str, kind: FileKind) -> Listed {
        Listed { path: path.into(), kind, size: 1500, mode: 0o640, modified: None, target: None }
    }

    #[test]
    fn long_lines_show_mode_size_and_name() {
        let line = long(&listed("HomeDomain/a\u{7}b", FileKind::File));
        assert_eq!(line, "-rw-r-----         1500 -                   HomeDomain/a\\u{7}b");
    }

    #[test]
    fn the_tree_starts_below_the_path() {
        let entries = [
            listed("HomeDomain/Library", FileKind::Directory),
            listed("HomeDomain/x", FileKind::File),
        ];
        assert_eq!(tree("HomeDomain", &entries), "├── Library\n└── x  1.5 kB\n");
    }
}
