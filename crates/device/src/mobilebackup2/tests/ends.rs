//! How a session ends when something hangs, breaks or is cut: in bounded time, and in words that the phone can tell apart.

use std::io;

use lifeboat_wire::files::GENERIC_FAILURE;

use super::{choke::Choke, *};

/// No session of these tests may last as long.
const BOUND: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(100);

/// A job with a phone that needs a while for its part of the end.
fn calm() -> Job {
    let job = job();
    Job { patience: Patience { parting: Duration::from_secs(10), ..job.patience }, ..job }
}

/// What the phone does when the disk hangs.
#[derive(Clone, Copy)]
enum Doing {
    /// It asks for a directory.
    Asking,
    /// It sends a batch that all fits into what waits for the thread.
    SendingLittle,
    /// It sends more than may wait.
    SendingMuch,
}

impl Doing {
    const ALL: [Self; 3] = [Self::Asking, Self::SendingLittle, Self::SendingMuch];

    async fn play(self, phone: &mut Phone) {
        let content = match self {
            Self::Asking => {
                let path = at("3d");
                return phone.send(&PhoneMessage::CreateDirectory { path, progress: None }).await;
            }
            Self::SendingLittle => vec![1; 100],
            Self::SendingMuch => vec![1; 8 << 20],
        };
        phone.send(&PhoneMessage::UploadFiles { progress: None, size: 0 }).await;
        phone.send_files(&[file(&at("Snapshot/a"), &content)]).await;
    }
}

/// Plays a session in which the disk hangs; the phone is answered and hears a goodbye.
async fn hanging(job: &Job, doing: Doing, cancel: bool) -> BackupError {
    let files = Memory::default();
    let (reached, release) = files.hang();
    let side = quiet();
    let token = side.cancel.clone();
    let played = play_job(job, tokio::io::duplex(1 << 16), &files, side, async |phone| {
        phone.open(400).await;
        let cancelling = async {
            reached.cancelled().await;
            if cancel {
                token.cancel();
            }
        };
        tokio::join!(doing.play(phone), cancelling);
        assert_eq!(phone.status().await.status, Status::GENERIC);
        phone.send(&response(104, None)).await;
        phone.until_goodbye().await;
    });
    let played = tokio::time::timeout(BOUND, played).await;
    let kept = files.content();
    drop(release);
    let (outcome, (), _) = played.expect("in bounded time");
    assert_eq!(kept, []);
    outcome.expect_err("the disk hangs")
}

#[tokio::test]
async fn a_disk_that_hangs_ends_the_job_in_bounded_time() {
    let job = calm();
    let patience = Patience { files: SHORT, leaving: SHORT, ..job.patience };
    let job = Job { patience, ..job };
    for doing in Doing::ALL {
        let error = hanging(&job, doing, false).await;
        let BackupError::Host { failure, device: None } = &error else { panic!("{error:?}") };
        assert!(failure.text.contains("did not end within"), "{failure}");
        assert_eq!(error.fault(), crate::Fault::Person);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_keep_a_cancel_waiting() {
    let job = calm();
    let forever = Duration::from_hours(1);
    let job = Job { patience: Patience { files: forever, leaving: SHORT, ..job.patience }, ..job };
    for doing in Doing::ALL {
        let error = hanging(&job, doing, true).await;
        assert!(matches!(error, BackupError::Cancelled(CancelledBy::Host)), "{error:?}");
    }
}

#[tokio::test]
async fn nothing_is_said_inside_a_message_that_was_cut() {
    const ROOM: usize = 50_000;
    for cancel in [false, true] {
        let job = job();
        let writing = if cancel { Duration::from_hours(1) } else { SHORT };
        let job = Job { patience: Patience { writing, ..job.patience }, ..job };
        let files = Memory::default();
        files.put(&at("3d/large"), &vec![1; 100_000]);
        let side = quiet();
        let token = side.cancel.clone();
        let (near, far) = tokio::io::duplex(1 << 20);
        let (near, throat) = Choke::new(near);
        let played = play_job(&job, (near, far), &files, side, async |phone| {
            phone.open(400).await;
            throat.narrow(ROOM);
            phone.want(&[&at("3d/large")]).await;
            throat.chokes.cancelled().await;
            if cancel {
                token.cancel();
            }
            phone.rest().await
        });
        let (outcome, rest, _) = tokio::time::timeout(BOUND, played).await.unwrap();
        assert_eq!(rest.len(), ROOM, "{:?}", &rest[ROOM.min(rest.len())..]);
        if cancel {
            assert!(matches!(outcome, Err(BackupError::Cancelled(_))), "{outcome:?}");
        } else {
            let Err(BackupError::Link(LinkError::Timeout { doing, .. })) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(doing, "sending to the device");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_being_sent_is_ended_before_the_goodbye() {
    let files = Memory::default();
    files.put(&at("3d/large"), &vec![7; 5 << 20]);
    for by in [CancelledBy::Host, CancelledBy::Phone] {
        let (notices, heard) = mpsc::channel(1);
        let side = Side { notices: Some(heard), ..quiet() };
        let token = side.cancel.clone();
        let duplex = tokio::io::duplex(1000);
        let (outcome, (), _) = play_job(&calm(), duplex, &files, side, async |phone| {
            phone.open(400).await;
            phone.want(&[&at("3d/large"), &at("3d/next")]).await;
            // The host stands in the middle of a block.
            phone.hear().await;
            match by {
                CancelledBy::Host => token.cancel(),
                CancelledBy::Phone => notices.send(Notice::CancelRequested).await.unwrap(),
            }
            let received = phone.receive_files().await;
            let [(name, content, GENERIC_FAILURE, text)] = received.as_slice() else {
                panic!("{} files", received.len());
            };
            assert_eq!((name, text.as_str()), (&at("3d/large"), "Cancelled by host"));
            assert!(content.len() < 5 << 20 && content.iter().all(|byte| *byte == 7));
            assert_eq!(phone.status().await.status, Status::GENERIC);
            phone.send(&response(205, None)).await;
            phone.until_goodbye().await;
        })
        .await;
        assert!(matches!(outcome, Err(BackupError::Cancelled(who)) if who == by), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_defect_inside_a_file_ends_that_file_for_the_phone() {
    let files = Memory::default();
    files.put(&at("3d/large"), &vec![7; 3 << 20]);
    // The first block is sent whole.
    files.break_after(1 << 20);
    let (outcome, (), _) =
        play_job(&calm(), tokio::io::duplex(1 << 16), &files, quiet(), async |phone| {
            phone.open(400).await;
            let (received, status) = phone.download(&[&at("3d/large")]).await;
            let [(_, content, GENERIC_FAILURE, _)] = received.as_slice() else {
                panic!("{} files", received.len());
            };
            assert_eq!((content.len(), status.status), (1 << 20, Status::GENERIC));
            phone.send(&response(205, None)).await;
            phone.until_goodbye().await;
        })
        .await;
    assert!(matches!(outcome, Err(BackupError::WorkerEnded)), "{outcome:?}");
}

#[tokio::test]
async fn a_phone_that_is_silent_too_long_hears_a_goodbye() {
    let job = job();
    let job = Job { patience: Patience { idle: SHORT, ..job.patience }, ..job };
    let files = Memory::default();
    let (outcome, (), _) =
        play_job(&job, tokio::io::duplex(1 << 16), &files, quiet(), async |phone| {
            phone.open(400).await;
            phone.until_goodbye().await;
        })
        .await;
    let Err(BackupError::Link(LinkError::Timeout { doing, .. })) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(doing, "waiting for the device");
}

#[tokio::test]
async fn a_failed_upload_is_answered_with_one_of_three_numbers() {
    let cases: [(fn() -> FileError, Status); 8] = [
        (|| FileError::NotFound, Status::GENERIC),
        (|| FileError::Exists, Status::GENERIC),
        (|| FileError::NotADirectory, Status::GENERIC),
        (|| FileError::IsADirectory, Status::GENERIC),
        (|| FileError::Loop, Status::GENERIC),
        (|| FileError::Unsupported, Status::GENERIC),
        (|| FileError::Io(io::ErrorKind::Other.into()), Status::IO),
        (|| FileError::NoSpace, Status::NO_SPACE),
    ];
    for (refusal, wanted) in cases {
        let files = Memory::default();
        files.refuse(refusal);
        let (outcome, (), _) = play(1 << 16, &files, quiet(), async |phone| {
            phone.open(400).await;
            let answer = phone.upload(&[file(&at("Status.plist"), b"status")]).await;
            let errors = answer.object.and_then(Value::into_dictionary).unwrap();
            let errors = FileErrors::from_dictionary(&errors);
            assert_eq!((answer.status, errors.0[&at("Status.plist")].status), (wanted, wanted));
            phone.send(&response(104, None)).await;
            phone.until_goodbye().await;
        })
        .await;
        let Err(BackupError::Host { failure, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.status, wanted);
    }
}

#[tokio::test]
async fn the_number_of_the_answer_may_be_a_real_one() {
    let answers = [(0.0, Some(0)), (208.0, Some(208)), (0.5, None), (f64::NAN, None)];
    for (number, wanted) in answers {
        let files = Memory::default();
        let (outcome, (), _) = play(1 << 16, &files, quiet(), async |phone| {
            phone.open(400).await;
            let PhoneMessage::ProcessMessage(mut answer) = response(0, None) else {
                unreachable!("it is one");
            };
            answer.insert("ErrorCode".into(), Value::Real(number));
            phone.send(&PhoneMessage::ProcessMessage(answer)).await;
            phone.until_goodbye().await;
        })
        .await;
        let code = match outcome {
            Ok(_) => Some(0),
            Err(BackupError::Device(error)) => Some(error.code),
            Err(BackupError::Protocol(ProtocolError::NoErrorCode)) => None,
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(code, wanted);
    }
}

#[tokio::test]
async fn an_unknown_message_behind_which_nothing_comes_is_the_cause() {
    let laundry = || PhoneMessage::Unknown { name: "DLMessageFoldLaundry".into(), raw: Vec::new() };
    for end in 0..4 {
        let files = Memory::default();
        let (outcome, (), _) = play(1 << 16, &files, quiet(), async |phone| {
            phone.open(400).await;
            assert_eq!(phone.ask(laundry()).await.status, Status::UNIMPLEMENTED);
            match end {
                0 => {}
                1 => phone.send(&PhoneMessage::Disconnect { reason: None }).await,
                2 => phone.send(&response(100, None)).await,
                // What works after it shows that the link broke for another reason.
                _ => {
                    let path = at("3d");
                    phone.ask(PhoneMessage::CreateDirectory { path, progress: None }).await;
                }
            }
            if end == 2 {
                phone.until_goodbye().await;
            }
        })
        .await;
        match (end, outcome) {
            (3, Err(BackupError::Link(LinkError::Lost(_)))) => {}
            (0..3, Err(error @ BackupError::UnknownMessage { .. })) => {
                assert!(error.to_string().contains("DLMessageFoldLaundry"), "{error}");
                assert_eq!(error.fault(), crate::Fault::Device);
            }
            (_, other) => panic!("{end}: {other:?}"),
        }
    }
}
