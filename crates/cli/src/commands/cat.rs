//! `cat SNAP:PATH`: one file, as it is.

use std::io::ErrorKind;

use camino::Utf8PathBuf;
use clap::Args;
use lifeboat_engine::Cause;
use lifeboat_engine::jobs::snapshots;

use super::{Ended, look, snapshot_and_path};
use crate::app::App;
use crate::exit::Exit;
use crate::ui::error::Failure;
use crate::ui::{self, OutputLost};

/// Flags of `cat`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat cat latest:HomeDomain/Library/SMS/sms.db > sms.db\n  \
    lifeboat cat --folder ~/Backup/UDID HomeDomain/Library/SMS/sms.db > sms.db"
)]
pub(crate) struct CatArgs {
    /// The snapshot and the path in it; with `--folder` the path alone
    #[arg(value_name = "SNAP:PATH")]
    target: String,
    /// Look into a folder as Finder, iTunes and other tools make it
    #[arg(long, value_name = "DIR")]
    folder: Option<Utf8PathBuf>,
}

/// Prints a file.
pub(crate) async fn run(app: &App, args: CatArgs) -> Ended {
    let (snapshot, path) = if args.folder.is_some() {
        (None, args.target.trim_matches('/').to_owned())
    } else {
        let (snapshot, path) = snapshot_and_path(&args.target);
        (Some(snapshot), path)
    };
    if path.is_empty() {
        return Err(Failure::usage("which file? write `SNAP:DOMAIN/PATH`")
            .hint("`lifeboat ls SNAP` lists the domains"));
    }
    if app.ui.json {
        return Err(Failure::usage("a file has no JSON form: leave `--json` out"));
    }
    let look = look(app, snapshot, args.folder)?;
    let out = Box::new(Tap::default());
    let closed = out.closed.clone();
    let (ctx, _) = app.noting_context();
    let copied = snapshots::cat(&ctx, look, &path, out).await;
    if closed.is_cancelled() {
        return Ok(Exit::Done);
    }
    if app.ui.lost().is_some() {
        return Err(anyhow::Error::from(OutputLost).into());
    }
    if let Err(error) = copied {
        let lost = error.cause == Cause::NoSuchPath;
        let failure = Failure::from(error);
        return Err(if lost {
            failure.hint("paths begin with a domain: `HomeDomain/Library/…`")
        } else {
            failure
        });
    }
    app.ui.flush()?;
    Ok(Exit::Done)
}

/// Standard output that remembers when its reader is gone.
#[derive(Debug, Default)]
struct Tap {
    closed: tokio_util::sync::CancellationToken,
}

impl std::io::Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.noticing(std::io::stdout().lock().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.noticing(std::io::stdout().lock().flush())
    }
}

impl Tap {
    fn noticing<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        match &result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed.cancel(),
            Err(error) if error.kind() != ErrorKind::Interrupted => ui::lose(error),
            _ => {}
        }
        result
    }
}
