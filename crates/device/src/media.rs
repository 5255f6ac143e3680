//! The photos and videos of the device, counted over its file service.

use lifeboat_wire::afc::ErrorCode;
use lifeboat_wire::lockdown::service;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::afc::{Afc, AfcError};
use crate::error::LinkError;
use crate::link::Link;

/// The folder of photos and videos.
const FOLDER: &str = "/DCIM";
/// What iCloud Photos keeps beside them.
const CLOUD_LIBRARY: &str = "/PhotoData/CPL";
/// Folders in folders, at most; a device that has more is not believed.
const DEPTH: usize = 6;
/// Names that are looked at, at most.
const MANY: u64 = 2_000_000;

/// Counts the photos and videos as they lie on the device; `heard` gets the size of each as soon as it is known.
pub async fn count(link: &Link, heard: impl FnMut(u64) + Send) -> Result<(), LinkError> {
    let mut afc = Afc::new(link.start_service(service::AFC).await?);
    walk(&mut afc, heard).await
}

/// Says whether the device has the folder of the library that iCloud Photos keeps.
pub async fn has_cloud_library(link: &Link) -> Result<bool, LinkError> {
    let mut afc = Afc::new(link.start_service(service::AFC).await?);
    match afc.facts(CLOUD_LIBRARY).await {
        Ok(facts) => Ok(facts.folder),
        Err(AfcError::Refused(ErrorCode::NotFound)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn walk<S: AsyncRead + AsyncWrite + Unpin>(
    afc: &mut Afc<S>,
    mut heard: impl FnMut(u64) + Send,
) -> Result<(), LinkError> {
    let mut folders = vec![(FOLDER.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let names = match afc.names(&folder).await {
            Ok(names) => names,
            // A device without a camera roll, or a folder that went while we looked.
            Err(AfcError::Refused(ErrorCode::NotFound | ErrorCode::PermissionDenied)) => continue,
            Err(error) => return Err(error.into()),
        };
        for name in names {
            seen += 1;
            if seen > MANY {
                return Err(LinkError::Malformed("a media folder without an end".to_owned()));
            }
            let path = format!("{folder}/{name}");
            match afc.facts(&path).await {
                Ok(facts) if facts.folder && depth < DEPTH => folders.push((path, depth + 1)),
                Ok(facts) if facts.folder => {}
                Ok(facts) => heard(facts.size),
                Err(AfcError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lifeboat_wire::afc::{Answer, Request};

    use super::*;
    use crate::afc::tests::Peer;

    #[tokio::test]
    async fn files_in_folders_are_counted() {
        let (stream, mut peer) = Peer::pair();
        let mut afc = Afc::new(stream);
        let (mut sizes, folder) = (Vec::new(), ["st_size", "0", "st_ifmt", "S_IFDIR"]);
        let (ended, ()) = tokio::join!(walk(&mut afc, |size| sizes.push(size)), async {
            let list = |path: &str| Request::ReadDirectory(path.to_owned());
            let facts = |path: &str| Request::FileInfo(path.to_owned());
            let file = |size| Answer::strings(["st_size", size, "st_ifmt", "S_IFREG"]);
            let names = Answer::strings([".", "..", "100APPLE", "IMG_1.JPG"]);
            peer.turn(&list("/DCIM"), names).await;
            peer.turn(&facts("/DCIM/100APPLE"), Answer::strings(folder)).await;
            peer.turn(&facts("/DCIM/IMG_1.JPG"), file("7")).await;
            peer.turn(&list("/DCIM/100APPLE"), Answer::strings([".", "..", "a", "b"])).await;
            peer.turn(&facts("/DCIM/100APPLE/a"), file("30")).await;
            let gone = Answer::Status(ErrorCode::NotFound);
            peer.turn(&facts("/DCIM/100APPLE/b"), gone).await;
        });
        ended.unwrap();
        assert_eq!(sizes, [7, 30]);
    }

    #[tokio::test]
    async fn folders_in_folders_without_end_are_not_followed() {
        let (stream, mut peer) = Peer::pair();
        let mut afc = Afc::new(stream);
        let (ended, asked) = tokio::join!(walk(&mut afc, |_| ()), async {
            let mut asked = 0;
            while asked < 2 * (DEPTH + 1) {
                let (number, request) = peer.asked().await.unwrap();
                asked += 1;
                let answer = match request {
                    Request::ReadDirectory(_) => Answer::strings(["again"]),
                    _ => Answer::strings(["st_ifmt", "S_IFDIR", "st_size", "0"]),
                };
                peer.send(&answer.to_packet(number)).await;
            }
            asked
        });
        ended.unwrap();
        assert_eq!(asked, 14);
    }
}
