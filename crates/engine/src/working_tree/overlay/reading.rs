//! Reading files of the tree, wherever their bytes lie.

use std::io;

use camino::Utf8PathBuf;

use super::{Overlay, Trouble, last};
use crate::working_tree::area::private_file;
use crate::working_tree::segments;
use crate::working_tree::tree::{Origin, Refused};

impl Overlay {
    /// Opens a file.
    pub(crate) fn open(&self, path: &str) -> Result<(u64, Box<dyn io::Read + Send>), Trouble> {
        let file = self.tree.file(path)?;
        let reader: Box<dyn io::Read + Send> = match file.origin {
            Origin::Base(number) => {
                let base = self.base.as_ref().ok_or(Trouble::Refused(Refused::NotFound))?;
                base.open(number)
                    .map_err(|error| Trouble::Io(io::Error::other(error.to_string())))?
            }
            Origin::Received(number) => self.open_received(number)?,
        };
        Ok((file.size, reader))
    }

    pub(crate) fn open_received(&self, number: u64) -> Result<Box<dyn io::Read + Send>, Trouble> {
        let received = self.received.get(&number).ok_or(Trouble::Refused(Refused::NotFound))?;
        if let Some((span, _)) = received.local {
            return Ok(Box::new(
                segments::open(self.segments.folder(), span).map_err(Trouble::Io)?,
            ));
        }
        match (&received.content, &self.settings.repository) {
            (Some(content), Some(repository)) => {
                let reader = repository.reader(content);
                Ok(Box::new(
                    reader.map_err(|error| Trouble::Io(io::Error::other(error.to_string())))?,
                ))
            }
            _ => Err(Trouble::Refused(Refused::NotFound)),
        }
    }

    /// Returns the path of a file's bytes on the local disk; a file of the base is copied there.
    pub(crate) fn materialize(&self, path: &str) -> Result<Utf8PathBuf, Trouble> {
        if let Origin::Received(number) = self.tree.file(path)?.origin
            && let Some((span, _)) = self.received.get(&number).and_then(|received| received.local)
            && let Some(path) = self.segments.alone(span)
        {
            return Ok(path);
        }
        let (_, mut reader) = self.open(path)?;
        let target = self.area.scratch(last(path)).map_err(Trouble::Io)?;
        let mut file = private_file(&target).map_err(Trouble::Io)?;
        io::copy(&mut reader, &mut file).map_err(Trouble::Io)?;
        Ok(target)
    }

    /// Reads a small file.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Trouble> {
        let (_, reader) = self.open(path)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(reader, limit), &mut bytes)
            .map_err(Trouble::Io)?;
        Ok(bytes)
    }
}
