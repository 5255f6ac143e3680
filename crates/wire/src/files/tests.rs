use proptest::prelude::*;

use super::*;
use crate::devicelink::Status;

/// Feeds a stream in pieces of `step` bytes and joins neighbouring data.
fn read(mut decoder: Decoder, stream: &[u8], step: usize) -> Result<Vec<Event>, FilesError> {
    let mut buffer = BytesMut::new();
    let mut events: Vec<Event> = Vec::new();
    for piece in stream.chunks(step) {
        buffer.extend_from_slice(piece);
        while let Some(event) = decoder.next(&mut buffer)? {
            let over = event == Event::Terminator;
            match (events.last_mut(), event) {
                (Some(Event::Data(before)), Event::Data(more)) => {
                    *before = [before.as_ref(), more.as_ref()].concat().into();
                }
                (_, event) => events.push(event),
            }
            if over {
                return Ok(events);
            }
        }
    }
    Ok(events)
}

#[test]
fn an_upload_is_read_in_any_fragmentation() {
    let mut stream = Vec::new();
    encode_upload("/var/tmp/tmp.2.5YnM5D", "U/Status.plist", &mut stream);
    encode_chunk(&[7; 1000], &mut stream);
    encode_chunk(&[8; 24], &mut stream);
    encode_end(SUCCESS, "", &mut stream);
    encode_upload("/.ba/x", "U/Snapshot/00/empty", &mut stream);
    encode_end(SUCCESS, "", &mut stream);
    encode_upload("/.ba/y", "U/Snapshot/00/broken", &mut stream);
    encode_chunk(b"half", &mut stream);
    encode_end(Status::IO.end_code(), "Input/output error (5)", &mut stream);
    encode_terminator(&mut stream);
    let file = |device: &str, host: &str| Event::File {
        device_path: device.into(),
        host_path: host.into(),
    };
    let end = |code, text: &str| Event::End { code, text: text.into() };
    let expected = vec![
        file("/var/tmp/tmp.2.5YnM5D", "U/Status.plist"),
        Event::Data([[7; 1000].as_slice(), &[8; 24]].concat().into()),
        end(SUCCESS, ""),
        file("/.ba/x", "U/Snapshot/00/empty"),
        end(SUCCESS, ""),
        file("/.ba/y", "U/Snapshot/00/broken"),
        Event::Data(Bytes::from_static(b"half")),
        end(0x0b, "Input/output error (5)"),
        Event::Terminator,
    ];
    for step in [1, 2, 3, 7, 1024, stream.len()] {
        assert_eq!(read(Decoder::upload(), &stream, step).unwrap(), expected);
    }
}

#[test]
fn answers_are_as_written_down() {
    let mut missing = Vec::new();
    encode_end(Status::NOT_FOUND.end_code(), "No such file or directory", &mut missing);
    assert_eq!(
        hex::encode(&missing),
        "0000001a064e6f20737563682066696c65206f72206469726563746f7279"
    );
    let mut success = Vec::new();
    encode_end(SUCCESS, "", &mut success);
    encode_terminator(&mut success);
    assert_eq!(hex::encode(&success), "000000010000000000");
    assert_eq!(hex::encode(chunk_head(HOST_CHUNK)), "000080010c");
}

#[test]
fn announced_lengths_are_never_trusted() {
    let announced = u32::MAX;
    let huge = announced.to_be_bytes();
    assert_eq!(read(Decoder::upload(), &huge, 4), Err(FilesError::NameTooLong { announced }));
    let mut stream = Vec::new();
    encode_upload("a", "b", &mut stream);
    stream.extend_from_slice(&huge);
    assert_eq!(read(Decoder::upload(), &stream, 4), Err(FilesError::ChunkTooLong { announced }));
    let mut stream = Vec::new();
    encode_upload("a", "b", &mut stream);
    encode_terminator(&mut stream);
    assert_eq!(read(Decoder::upload(), &stream, 4), Err(FilesError::EmptyUnit));
    let mut stream = Vec::new();
    encode_upload("a", "b", &mut stream);
    let long = u32::try_from(TEXT_LIMIT + 2).unwrap();
    stream.extend_from_slice(&long.to_be_bytes());
    stream.push(6);
    assert!(matches!(read(Decoder::upload(), &stream, 4), Err(FilesError::TextTooLong { .. })));
}

#[test]
fn data_is_a_slice_of_the_readers_buffer() {
    let mut buffer = BytesMut::new();
    let mut stream = Vec::new();
    encode_download("x", &mut stream);
    encode_chunk(&[1; 64], &mut stream);
    buffer.extend_from_slice(&stream);
    let place = buffer.as_ptr().addr();
    let mut decoder = Decoder::download();
    assert!(matches!(decoder.next(&mut buffer), Ok(Some(Event::File { .. }))));
    let Ok(Some(Event::Data(data))) = decoder.next(&mut buffer) else {
        panic!("no data");
    };
    assert_eq!(data.as_ptr().addr(), place + stream.len() - 64);
    assert!(decoder.in_file());
}

proptest! {
    #[test]
    fn any_stream_survives(
        files in prop::collection::vec(
            ("[a-z/]{1,20}", "[a-z/]{1,20}", prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4), 0_u8..32, "[ -~]{0,9}"),
            0..4,
        ),
        step in 1_usize..50,
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (device, host, chunks, code, text) in files {
            let code = if code == DATA { SUCCESS } else { code };
            encode_upload(&device, &host, &mut stream);
            expected.push(Event::File { device_path: device, host_path: host });
            for chunk in &chunks {
                encode_chunk(chunk, &mut stream);
            }
            if !chunks.is_empty() {
                expected.push(Event::Data(chunks.concat().into()));
            }
            encode_end(code, &text, &mut stream);
            expected.push(Event::End { code, text });
        }
        encode_terminator(&mut stream);
        expected.push(Event::Terminator);
        prop_assert_eq!(read(Decoder::upload(), &stream, step).unwrap(), expected);
    }

    #[test]
    fn noise_never_panics(bytes in any::<Vec<u8>>(), step in 1_usize..9) {
        drop(read(Decoder::upload(), &bytes, step));
        drop(read(Decoder::download(), &bytes, step));
    }
}
