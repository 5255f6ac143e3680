//! The engine against a scripted phone made of nothing but `lifeboat-wire`, over a stream in memory.

mod choke;
mod ends;
mod memory;
mod password;
mod phone;

use std::{sync::Arc, time::Duration};

use lifeboat_wire::{
    devicelink::{FileErrors, Listing, PhoneMessage, Status, StatusResponse},
    files::{CHUNK_LIMIT, FilesError, HOST_CHUNK},
    plist_frame::FrameError,
    plist_guard::PlistError,
};
use plist::Value;
use proptest::prelude::*;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use self::{
    memory::{Log, Memory},
    phone::{Phone, file, response},
};
use super::{
    session::{Job, Patience, Request, run},
    side::Side,
    *,
};
use crate::{error::LinkError, sync::Notice};

use TransferStage as S;

const UDID: &str = "00008110-0011223344556677";

fn at(inside: &str) -> String {
    format!("{UDID}/{inside}")
}

fn job() -> Job {
    Job {
        udid: UDID.to_owned(),
        request: Request::Backup(BackupRequest { force_full: true }),
        patience: Patience {
            opening: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            writing: Duration::from_secs(20),
            files: Duration::from_secs(20),
            parting: Duration::from_millis(500),
            leaving: Duration::from_secs(20),
        },
    }
}

/// What is beside the stream when nothing is.
fn quiet() -> Side {
    Side { cancel: CancellationToken::new(), notices: None, gone: None, refused: false }
}

/// Plays `script` against the engine; the stream takes `step` bytes at a time.
async fn play<T>(
    step: usize,
    files: &Memory,
    side: Side,
    script: impl AsyncFnOnce(&mut Phone) -> T,
) -> (Result<BackupReply, BackupError>, T, Vec<TransferStage>) {
    play_job(&job(), tokio::io::duplex(step), files, side, script).await
}

/// Plays `script` against the engine over any stream, with another patience.
async fn play_job<S: AsyncRead + AsyncWrite + Unpin, T>(
    job: &Job,
    (near, far): (S, DuplexStream),
    files: &Memory,
    side: Side,
    script: impl AsyncFnOnce(&mut Phone) -> T,
) -> (Result<BackupReply, BackupError>, T, Vec<TransferStage>) {
    let log = Arc::new(Log::default());
    let mut phone = Phone::new(far);
    let engine = run(near, job, Box::new(files.clone()), Arc::clone(&log) as _, side);
    let (outcome, told) = tokio::join!(engine, async {
        let told = script(&mut phone).await;
        drop(phone);
        told
    });
    (outcome, told, log.stages())
}

/// Opens a session and plays `script` until the engine ends it.
async fn hostile(script: impl AsyncFnOnce(&mut Phone)) -> (BackupError, Memory) {
    let files = Memory::default();
    let (outcome, (), _) = play(1 << 20, &files, quiet(), async |phone| {
        phone.open(400).await;
        script(phone).await;
        phone.until_goodbye().await;
    })
    .await;
    (outcome.expect_err("hostile"), files)
}

#[tokio::test]
async fn a_whole_backup_over_any_stream() {
    for (step, large) in [(1, 10_000), (1000, 200_000), (1 << 20, 3 << 20)] {
        let files = Memory::default();
        let content: Vec<u8> = (0..large).map(|n: u32| n.to_le_bytes()[0]).collect();
        let (outcome, (), stages) = play(step, &files, quiet(), async |phone| {
            full_backup(phone, &content).await;
        })
        .await;
        let reply = outcome.unwrap();
        assert_eq!(reply.files_received, 4);
        assert_eq!(reply.devicelink, 400);
        assert_eq!(reply.problems.len(), 1);
        let problem = reply.problems.first().unwrap();
        assert_eq!((problem.by, problem.status), (ProblemSource::Phone, Status::IO));
        assert_eq!(
            files.content(),
            [
                (at("3d/large"), content),
                (at("3d/void"), Vec::new()),
                (at("Manifest.db"), b"manifest".to_vec()),
                (at("Status.plist"), b"status".to_vec()),
            ]
        );
        assert_eq!(
            stages,
            [S::Preparing, S::Receiving, S::Moving, S::Removing, S::Verifying, S::Closing,]
        );
    }
}

async fn full_backup(phone: &mut Phone, content: &[u8]) {
    let request = phone.open(400).await;
    assert_eq!(request.get("TargetIdentifier").and_then(Value::as_string), Some(UDID));
    assert!(request.contains_key("Options"));

    let (files, status) = phone.download(&[&at("Status.plist")]).await;
    assert_eq!(
        files,
        [(at("Status.plist"), Vec::new(), 6, "No such file or directory".to_owned())]
    );
    assert_eq!(status.status, Status::MULTI);
    let errors = status.object.and_then(Value::into_dictionary).unwrap();
    let errors = FileErrors::from_dictionary(&errors);
    assert_eq!(errors.0[&at("Status.plist")].status, Status::NOT_FOUND);

    assert_eq!(phone.ask(PhoneMessage::GetFreeDiskSpace).await.as_bytes(), Some(1 << 40));
    let purge = PhoneMessage::PurgeDiskSpace { amount: 5, urgency: 4 };
    assert_eq!(phone.ask(purge).await.status, Status::GENERIC);
    let unknown = PhoneMessage::Unknown { name: "DLMessageAcquireLock".into(), raw: Vec::new() };
    assert_eq!(phone.ask(unknown).await.status, Status::UNIMPLEMENTED);
    phone.send(&PhoneMessage::Ping).await;
    for path in [UDID.to_owned(), at("3d"), at("Snapshot"), at("Snapshot/3d")] {
        let create = PhoneMessage::CreateDirectory { path, progress: None };
        assert_eq!(phone.ask(create).await, StatusResponse::ok());
    }

    let status = phone.upload(&[file(&at("Status.plist"), b"status")]).await;
    assert_eq!(status, StatusResponse::ok());
    let broken = phone::File { code: 0x0b, ..file(&at("Snapshot/3d/broken"), b"half") };
    let status = phone
        .upload(&[
            file(&at("Snapshot/3d/large"), content),
            broken,
            file(&at("Snapshot/3d/void"), b""),
            file(&at("Snapshot/Manifest.db"), b"manifest"),
        ])
        .await;
    assert_eq!(status, StatusResponse::ok());

    let moves = ["3d/large", "3d/void", "Manifest.db", "Manifest.plist"]
        .map(|inside| (at(&format!("Snapshot/{inside}")), at(inside)));
    let moves =
        PhoneMessage::MoveItems { items: moves.to_vec(), progress: Some(97.5), old_name: false };
    let status = phone.ask(moves).await;
    assert_eq!(status.status, Status::MULTI);
    let remove = PhoneMessage::RemoveItems {
        paths: vec![at("Snapshot"), at("Manifest.mbdx")],
        progress: None,
        old_name: false,
    };
    assert_eq!(phone.ask(remove).await, StatusResponse::ok());

    let list =
        |path: &str| PhoneMessage::ContentsOfDirectory { path: path.to_owned(), progress: None };
    let listed = phone.ask(list(&at("3d"))).await;
    let listing = Listing::from_dictionary(listed.object.unwrap().as_dictionary().unwrap());
    assert_eq!(listing.0.keys().collect::<Vec<_>>(), ["large", "void"]);
    assert_eq!(phone.ask(list(&at("absent"))).await.status, Status::NOT_FOUND);
    let (files, status) = phone.download(&[&at("3d/large"), &at("3d/void"), &at("x")]).await;
    assert_eq!(status.status, Status::MULTI);
    let sent: Vec<_> = files.iter().map(|(_, content, code, _)| (content.len(), *code)).collect();
    assert_eq!(sent, [(content.len(), 0), (0, 0), (0, 6)]);
    assert_eq!(files.first().unwrap().1, content);
    assert!(phone.longest_chunk <= HOST_CHUNK + 1);
    phone.send(&response(0, None)).await;
    phone.until_goodbye().await;
}

#[tokio::test]
async fn an_empty_batch_is_answered_and_old_phones_are_served() {
    let files = Memory::default();
    let (outcome, (), _) = play(64, &files, quiet(), async |phone| {
        phone.open(300).await;
        let (sent, status) = phone.download(&[]).await;
        assert_eq!((sent.len(), status), (0, StatusResponse::ok()));
        assert_eq!(phone.upload(&[]).await, StatusResponse::ok());
        phone.send(&response(0, None)).await;
        phone.until_goodbye().await;
    })
    .await;
    assert_eq!(outcome.unwrap().devicelink, 300);
}

#[tokio::test]
async fn a_version_nobody_speaks_is_named() {
    let files = Memory::default();
    let (outcome, (), _) = play(64, &files, quiet(), async |phone| {
        phone.send(&PhoneMessage::VersionExchange { major: 100, minor: 0 }).await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::NoCommonVersion { protocol: "DeviceLink", .. })));
    let (outcome, (), _) = play(64, &files, quiet(), async |phone| {
        phone.shake_hands(400).await;
        phone.send(&response(1, Some("No common supported protocol version"))).await;
        phone.until_goodbye().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::NoCommonVersion { protocol: "MobileBackup2", .. })));
}

#[tokio::test]
async fn paths_that_lead_elsewhere_end_the_job() {
    for path in ["../evil", "/etc/passwd", "other/x", &at("../../x"), &at("a\\b")] {
        let (error, files) = hostile(async |phone| {
            phone.send(&PhoneMessage::UploadFiles { progress: None, size: 0 }).await;
            phone.send_files(&[file(path, b"x"), file(&at("Snapshot/ok"), b"y")]).await;
            assert_eq!(phone.status().await.status, Status::GENERIC);
            phone.send(&response(104, None)).await;
        })
        .await;
        let path = path.to_owned();
        assert!(
            matches!(error, BackupError::Protocol(ProtocolError::Path { path: p, .. }) if p == path)
        );
        assert_eq!(files.content(), []);

        for message in [
            PhoneMessage::CreateDirectory { path: path.clone(), progress: None },
            PhoneMessage::ContentsOfDirectory { path: path.clone(), progress: None },
            PhoneMessage::RemoveItems { paths: vec![path.clone()], progress: None, old_name: true },
            PhoneMessage::MoveItems {
                items: vec![(at("a"), path.clone())],
                progress: None,
                old_name: false,
            },
            PhoneMessage::CopyItem { from: path.clone(), to: at("a"), progress: None, size: 0 },
        ] {
            let (error, files) = hostile(async |phone| {
                assert_eq!(phone.ask(message).await.status, Status::GENERIC);
                phone.send(&response(104, None)).await;
            })
            .await;
            assert!(matches!(error, BackupError::Protocol(ProtocolError::Path { .. })));
            assert_eq!(files.content(), []);
        }

        let (error, _) = hostile(async |phone| {
            let (files, status) = phone.download(&[&path]).await;
            assert_eq!((files.len(), status.status), (0, Status::GENERIC));
            phone.send(&response(205, None)).await;
        })
        .await;
        assert!(matches!(error, BackupError::Protocol(ProtocolError::Path { .. })));
    }
}

#[tokio::test]
async fn bombs_and_huge_units_end_the_job() {
    let (error, _) = hostile(async |phone| {
        phone.send_unit(&bomb()).await;
        assert_eq!(phone.status().await.status, Status::GENERIC);
        phone.send(&response(0, None)).await;
    })
    .await;
    let BackupError::Protocol(ProtocolError::Message(error)) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(
        error,
        lifeboat_wire::devicelink::MessageError::Plist(PlistError::TooManyObjects { .. })
    ));

    let (error, _) = hostile(async |phone| phone.raw(&[0xff; 4]).await).await;
    assert!(matches!(
        error,
        BackupError::Protocol(ProtocolError::Frame(FrameError::TooLong {
            announced: u32::MAX,
            ..
        }))
    ));

    let (error, files) = hostile(async |phone| {
        phone.send(&PhoneMessage::UploadFiles { progress: None, size: 0 }).await;
        let mut stream = Vec::new();
        lifeboat_wire::files::encode_upload("/x", &at("Snapshot/x"), &mut stream);
        stream.extend_from_slice(&u32::MAX.to_be_bytes());
        phone.raw(&stream).await;
    })
    .await;
    assert!(u32::try_from(CHUNK_LIMIT).unwrap() < u32::MAX);
    assert!(matches!(
        error,
        BackupError::Protocol(ProtocolError::Files(FilesError::ChunkTooLong {
            announced: u32::MAX
        }))
    ));
    assert_eq!(files.content(), []);
    assert_eq!(files.open_files(), 0);
}

/// Thirty arrays, each naming the next one four times.
fn bomb() -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for next in 1..=30_u8 {
        offsets.push(u8::try_from(bytes.len()).unwrap());
        bytes.extend_from_slice(&[0xa4, next, next, next, next]);
    }
    offsets.push(u8::try_from(bytes.len()).unwrap());
    bytes.push(0x09);
    let table = u64::try_from(bytes.len()).unwrap();
    bytes.extend_from_slice(&offsets);
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 1]);
    for number in [31, 0, table] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes
}

#[tokio::test]
async fn a_link_lost_in_a_file_keeps_what_was_whole() {
    let files = Memory::default();
    let (outcome, (), _) = play(1 << 16, &files, quiet(), async |phone| {
        phone.open(400).await;
        phone.send(&PhoneMessage::UploadFiles { progress: None, size: 0 }).await;
        let mut stream = Vec::new();
        file(&at("Snapshot/whole"), b"whole").encode(&mut stream);
        let whole = stream.len();
        file(&at("Snapshot/half"), &[7; 5000]).encode(&mut stream);
        phone.raw(&stream[..whole + 1000]).await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Link(LinkError::Lost(_)))));
    assert_eq!(files.content(), [(at("Snapshot/whole"), b"whole".to_vec())]);
    assert_eq!(files.open_files(), 0);
}

#[tokio::test]
async fn a_full_disk_is_answered_after_the_batch_was_read() {
    let files = Memory::default();
    files.fill_after(60_000);
    let (outcome, (), _) = play(1 << 16, &files, quiet(), async |phone| {
        phone.open(400).await;
        let answer = phone
            .upload(&[
                file(&at("Snapshot/a"), &vec![1; 50_000]),
                file(&at("Snapshot/b"), &vec![2; 50_000]),
            ])
            .await;
        assert_eq!(answer.status, Status::NO_SPACE);
        let errors = FileErrors::from_dictionary(answer.object.unwrap().as_dictionary().unwrap());
        assert_eq!(errors.0.keys().collect::<Vec<_>>(), [&at("Snapshot/b")]);
        phone.send(&response(105, Some("No space left (MBErrorDomain/105)"))).await;
        phone.until_goodbye().await;
    })
    .await;
    let Err(BackupError::Host { failure, device }) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(failure.is_full());
    assert_eq!(failure.path, at("Snapshot/b"));
    assert_eq!(device.unwrap().code, DeviceError::NO_SPACE_ON_HOST);
    assert_eq!(files.content().len(), 1);
}

#[tokio::test]
async fn the_phones_error_and_its_silence_are_told_apart() {
    let (error, _) = hostile(async |phone| {
        phone.send(&response(208, Some("Device locked (MBErrorDomain/208)"))).await;
    })
    .await;
    assert_eq!(error.fault(), crate::Fault::Person);
    assert!(matches!(error, BackupError::Device(DeviceError { code: DeviceError::LOCKED, .. })));
    let (error, _) = hostile(async |phone| {
        phone.send(&PhoneMessage::Disconnect { reason: Some("over".into()) }).await;
    })
    .await;
    assert!(matches!(error, BackupError::NoAnswer { reason: Some(reason) } if reason == "over"));
    let (error, _) = hostile(async |phone| {
        let empty = plist::Dictionary::new();
        phone.send(&PhoneMessage::ProcessMessage(empty)).await;
    })
    .await;
    assert!(matches!(error, BackupError::Protocol(ProtocolError::NoErrorCode)));
}

#[tokio::test]
async fn cancelling_answers_what_is_outstanding_and_says_goodbye() {
    let files = Memory::default();
    let cancel = CancellationToken::new();
    let side = Side { cancel: cancel.clone(), ..quiet() };
    let (outcome, (), _) = play(1 << 16, &files, side, async |phone| {
        phone.open(400).await;
        phone.send(&PhoneMessage::UploadFiles { progress: None, size: 0 }).await;
        let mut stream = Vec::new();
        file(&at("Snapshot/a"), &[1; 9000]).encode(&mut stream);
        phone.raw(&stream[..5000]).await;
        cancel.cancel();
        tokio::task::yield_now().await;
        stream.extend_from_slice(&lifeboat_wire::files::TERMINATOR);
        phone.raw(&stream[5000..]).await;
        assert_eq!(phone.status().await.status, Status::GENERIC);
        // The phone tries something else before it ends.
        assert_eq!(phone.ask(PhoneMessage::GetFreeDiskSpace).await.status, Status::GENERIC);
        let (sent, status) = phone.download(&[&at("x")]).await;
        assert_eq!((sent.len(), status.status), (0, Status::GENERIC));
        phone.send(&response(104, None)).await;
        phone.until_goodbye().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Cancelled(CancelledBy::Host))));
    assert_eq!(files.content(), []);
    assert_eq!(files.open_files(), 0);
}

#[tokio::test]
async fn a_phone_that_thinks_is_left_in_bounded_time() {
    let files = Memory::default();
    let cancel = CancellationToken::new();
    let side = Side { cancel: cancel.clone(), ..quiet() };
    let (outcome, (), _) = play(1 << 16, &files, side, async |phone| {
        phone.open(400).await;
        cancel.cancel();
        phone.until_goodbye().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Cancelled(CancelledBy::Host))));
}

#[tokio::test]
async fn notices_of_the_device_become_stages_and_the_end() {
    let (notices, heard) = mpsc::channel(4);
    let side = Side { notices: Some(heard), ..quiet() };
    let files = Memory::default();
    let (outcome, (), stages) = play(1 << 16, &files, side, async |phone| {
        phone.open(400).await;
        notices.send(Notice::PasscodeShown).await.unwrap();
        notices.send(Notice::PasscodeGone).await.unwrap();
        notices.send(Notice::CancelRequested).await.unwrap();
        phone.until_goodbye().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Cancelled(CancelledBy::Phone))));
    assert_eq!(stages, [S::Preparing, S::WaitingForPasscode, S::Preparing]);
}

#[tokio::test]
async fn a_passcode_sheet_that_is_told_after_the_answer_is_heard() {
    let (notices, heard) = mpsc::channel(4);
    let side = Side { notices: Some(heard), ..quiet() };
    let files = Memory::default();
    let (outcome, (), stages) = play(1 << 16, &files, side, async |phone| {
        phone.open(400).await;
        phone.send(&response(208, Some("Device locked (MBErrorDomain/208)"))).await;
        // The answer is read meanwhile.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        notices.send(Notice::PasscodeShown).await.unwrap();
        phone.until_goodbye().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Device(_))));
    assert_eq!(stages, [S::Preparing, S::WaitingForPasscode, S::Closing]);
}

#[tokio::test]
async fn a_device_that_is_gone_ends_the_wait() {
    let side = Side { gone: Some(Box::pin(async { Ok(()) })), ..quiet() };
    let files = Memory::default();
    let (outcome, (), _) = play(1 << 16, &files, side, async |phone| {
        phone.open(400).await;
        // It sends nothing and does not close either.
        phone.until_closed().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Link(LinkError::Lost(_)))));
}

#[tokio::test]
async fn what_a_gone_device_sent_before_is_still_heard() {
    let side = Side { gone: Some(Box::pin(async { Ok(()) })), ..quiet() };
    let files = Memory::default();
    let (outcome, (), _) = play(1 << 16, &files, side, async |phone| {
        phone.open(400).await;
        phone.send(&response(0, None)).await;
        phone.until_goodbye().await;
    })
    .await;
    assert!(outcome.is_ok());
}

#[tokio::test]
async fn a_file_that_shrinks_is_ended_with_an_error() {
    let files = Memory::default();
    files.put(&at("3d/short"), &vec![1; 100_000]);
    files.claim(200_000);
    let (outcome, (), _) = play(1 << 16, &files, quiet(), async |phone| {
        phone.open(400).await;
        let (sent, status) = phone.download(&[&at("3d/short")]).await;
        let (_, content, code, _) = sent.first().unwrap();
        assert_eq!((content.len(), *code), (100_000, 0x0b));
        assert_eq!(status.status, Status::MULTI);
        phone.send(&response(205, None)).await;
        phone.until_goodbye().await;
    })
    .await;
    assert!(matches!(outcome, Err(BackupError::Device(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn noise_ends_the_job_and_never_panics(noise in any::<Vec<u8>>(), inside in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let files = Memory::default();
        let played = play(1 << 16, &files, quiet(), async |phone| {
            phone.open(400).await;
            if inside {
                phone.send(&PhoneMessage::UploadFiles { progress: None, size: 0 }).await;
            }
            phone.raw(&noise).await;
        });
        let (outcome, (), _) = runtime.block_on(played);
        prop_assert!(outcome.is_err());
        prop_assert_eq!(files.content(), []);
    }
}
