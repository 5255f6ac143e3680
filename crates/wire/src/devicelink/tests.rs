use proptest::prelude::*;

use super::*;

const VERSION: &str = "62706c6973743030a30102035f1018444c4d65737361676556657273696f6e45786368616e676511012c1000080c272a000000000000010100000000000000040000000000000000000000000000002c";
const VERSIONS_OK: &str = "62706c6973743030a30102035f1018444c4d65737361676556657273696f6e45786368616e67655c444c56657273696f6e734f6b110190080c27340000000000000101000000000000000400000000000000000000000000000037";
const READY: &str = "62706c6973743030a1015f1014444c4d6573736167654465766963655265616479080a0000000000000101000000000000000200000000000000000000000000000021";
const STATUS: &str = "62706c6973743030a4010203045f1017444c4d657373616765537461747573526573706f6e736510005f101a5f5f5f456d707479506172616d65746572537472696e675f5f5fd0080d2729460000000000000101000000000000000500000000000000000000000000000047";

fn phone(unit: &[u8]) -> PhoneMessage {
    PhoneMessage::decode(unit, &Limits::MESSAGE).unwrap()
}

fn host(unit: &[u8]) -> HostMessage {
    HostMessage::decode(unit, &Limits::MESSAGE).unwrap()
}

fn array(elements: Vec<Value>) -> Vec<u8> {
    plist_guard::to_xml(&Value::Array(elements))
}

#[test]
fn messages_are_as_written_down_in_both_directions() {
    let version = PhoneMessage::VersionExchange { major: 300, minor: 0 };
    assert_eq!(phone(&hex::decode(VERSION).unwrap()), version);
    assert_eq!(hex::encode(version.encode()), VERSION);
    let ok = HostMessage::VersionExchange { answer: VersionAnswer::Ok, version: Some(400) };
    assert_eq!(host(&hex::decode(VERSIONS_OK).unwrap()), ok);
    assert_eq!(hex::encode(ok.encode()), VERSIONS_OK);
    assert_eq!(phone(&hex::decode(READY).unwrap()), PhoneMessage::DeviceReady);
    assert_eq!(hex::encode(PhoneMessage::DeviceReady.encode()), READY);
    let status = HostMessage::Status(StatusResponse::ok());
    assert_eq!(host(&hex::decode(STATUS).unwrap()), status);
    assert_eq!(hex::encode(status.encode()), STATUS);
}

#[test]
fn a_negative_status_is_sent_as_eight_signed_bytes() {
    let encoded = HostMessage::Status(StatusResponse::error(Status::MULTI, "x")).encode();
    let number = [0x13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf3];
    assert!(encoded.windows(9).any(|window| window == number));
}

#[test]
fn a_negative_status_is_read_in_three_encodings() {
    let codes: [Value; 3] =
        [(-13_i64).into(), 18_446_744_073_709_551_603_u64.into(), 4_294_967_283_u64.into()];
    for code in codes {
        let unit = array(vec![name::STATUS_RESPONSE.into(), code, EMPTY.into(), EMPTY.into()]);
        let HostMessage::Status(response) = host(&unit) else {
            panic!("no status");
        };
        assert_eq!(response.status, Status::MULTI);
        assert_eq!((response.text, response.object), (None, None));
    }
    // The sixteen-byte form in a binary property list.
    let mut unit = plist_guard::to_binary(&Value::Array(vec![
        name::STATUS_RESPONSE.into(),
        18_446_744_073_709_551_603_u64.into(),
        EMPTY.into(),
        EMPTY.into(),
    ]));
    assert!(
        matches!(host(&unit), HostMessage::Status(response) if response.status == Status::MULTI)
    );
    unit.truncate(20);
    assert!(HostMessage::decode(&unit, &Limits::MESSAGE).is_err());
}

#[test]
fn a_status_of_another_length_is_an_error() {
    let unit = array(vec![name::STATUS_RESPONSE.into(), 0.into(), EMPTY.into()]);
    assert!(HostMessage::decode(&unit, &Limits::MESSAGE).is_err());
}

#[test]
fn numbers_come_as_integers_or_reals() {
    let options =
        || Value::Dictionary(Dictionary::from_iter([("DLDeviceIOCallbacks", 400_508_120)]));
    let upload = |progress: Value, size: Value| {
        phone(&array(vec![name::UPLOAD_FILES.into(), options(), progress, size]))
    };
    assert_eq!(
        upload(13.06.into(), 6_878_833.into()),
        PhoneMessage::UploadFiles { progress: Some(13.06), size: 6_878_833 }
    );
    assert_eq!(
        upload(0.into(), Value::Real(2048.0)),
        PhoneMessage::UploadFiles { progress: Some(0.0), size: 2048 }
    );
    assert_eq!(
        upload(EMPTY.into(), (-1).into()),
        PhoneMessage::UploadFiles { progress: None, size: 0 }
    );
}

#[test]
fn nothing_may_stand_for_an_empty_list() {
    let unit = array(vec![name::DOWNLOAD_FILES.into(), EMPTY.into(), EMPTY.into()]);
    assert_eq!(
        phone(&unit),
        PhoneMessage::DownloadFiles { paths: Vec::new(), progress: None, size: 0 }
    );
    assert_eq!(
        phone(&array(vec![name::DISCONNECT.into(), EMPTY.into()])),
        PhoneMessage::Disconnect { reason: None }
    );
}

#[test]
fn wrong_types_are_errors_and_unknown_names_are_kept() {
    let wrong = array(vec![name::CREATE_DIRECTORY.into(), 5.into()]);
    assert!(matches!(
        PhoneMessage::decode(&wrong, &Limits::MESSAGE),
        Err(MessageError::Element { index: 1, .. })
    ));
    for unit in [array(vec![]), array(vec![1.into()]), plist_guard::to_xml(&1.into())] {
        assert!(matches!(PhoneMessage::decode(&unit, &Limits::MESSAGE), Err(MessageError::NoName)));
    }
    let unknown =
        PhoneMessage::Unknown { name: "DLMessageAcquireLock".into(), raw: vec![3.into()] };
    assert_eq!(phone(&unknown.encode()), unknown);
}

#[test]
fn listings_and_multi_status_survive() {
    let mut listing = Listing::default();
    listing.0.insert(
        "Snapshot".into(),
        ListingEntry { kind: EntryKind::Directory, size: 0, modified: 1_700_000_000 },
    );
    listing.0.insert(
        "Status.plist".into(),
        ListingEntry { kind: EntryKind::Regular, size: 189, modified: -5 },
    );
    let unit = HostMessage::Status(StatusResponse::listing(&listing)).encode();
    let HostMessage::Status(response) = host(&unit) else {
        panic!("no status");
    };
    let object = response.object.and_then(Value::into_dictionary).unwrap();
    assert_eq!(Listing::from_dictionary(&object), listing);

    let mut errors = FileErrors::default();
    assert_eq!(StatusResponse::multi(&errors), StatusResponse::ok());
    errors.insert("U/x", Status::NOT_FOUND, "No such file or directory");
    assert_eq!(FileErrors::from_dictionary(&errors.to_dictionary()), errors);
    assert_eq!(StatusResponse::multi(&errors).status, Status::MULTI);
    assert_eq!(StatusResponse::bytes(5).as_bytes(), Some(5));
}

#[test]
fn end_codes_are_negated_status_numbers() {
    for status in [Status::GENERIC, Status::NOT_FOUND, Status::IO, Status::NO_SPACE] {
        assert_eq!(Status::from_end_code(status.end_code()), status);
    }
    assert_eq!(Status(-12).end_code(), crate::files::GENERIC_FAILURE);
    assert_eq!(Status(-900).end_code(), crate::files::GENERIC_FAILURE);
}

fn any_phone_message() -> impl Strategy<Value = PhoneMessage> {
    let path = || "[ -~]{0,30}".prop_filter("means nothing", |text| text != EMPTY);
    let progress = || (0_u32..10_000).prop_map(|n| Some(f64::from(n) / 100.0));
    let size = || 0..=i64::MAX.cast_unsigned();
    let paths = || prop::collection::vec(path(), 0..5);
    prop_oneof![
        (any::<i64>(), any::<i64>())
            .prop_map(|(major, minor)| PhoneMessage::VersionExchange { major, minor }),
        Just(PhoneMessage::DeviceReady),
        Just(PhoneMessage::GetFreeDiskSpace),
        Just(PhoneMessage::Ping),
        (paths(), progress(), size()).prop_map(|(paths, progress, size)| {
            PhoneMessage::DownloadFiles { paths, progress, size }
        }),
        (progress(), size())
            .prop_map(|(progress, size)| PhoneMessage::UploadFiles { progress, size }),
        (size(), any::<i64>())
            .prop_map(|(amount, urgency)| PhoneMessage::PurgeDiskSpace { amount, urgency }),
        (path(), progress())
            .prop_map(|(path, progress)| PhoneMessage::ContentsOfDirectory { path, progress }),
        (path(), progress())
            .prop_map(|(path, progress)| PhoneMessage::CreateDirectory { path, progress }),
        (prop::collection::btree_map(path(), path(), 0..5), progress(), any::<bool>()).prop_map(
            |(items, progress, old_name)| PhoneMessage::MoveItems {
                items: items.into_iter().collect(),
                progress,
                old_name
            }
        ),
        (paths(), progress(), any::<bool>()).prop_map(|(paths, progress, old_name)| {
            PhoneMessage::RemoveItems { paths, progress, old_name }
        }),
        (path(), path(), progress(), size()).prop_map(|(from, to, progress, size)| {
            PhoneMessage::CopyItem { from, to, progress, size }
        }),
        path().prop_map(|path| PhoneMessage::RemoveDirectory { path }),
        path().prop_map(|reason| PhoneMessage::Disconnect { reason: Some(reason) }),
    ]
}

proptest! {
    #[test]
    fn any_message_survives(message in any_phone_message()) {
        prop_assert_eq!(phone(&message.encode()), message);
    }

    #[test]
    fn noise_never_panics(bytes in any::<Vec<u8>>(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        drop(PhoneMessage::decode(&bytes, &Limits::MESSAGE));
        drop(HostMessage::decode(&bytes, &Limits::MESSAGE));
        for vector in [VERSION, VERSIONS_OK, READY, STATUS] {
            let mut unit = hex::decode(vector).unwrap();
            let place = place.index(unit.len());
            if let Some(target) = unit.get_mut(place) {
                *target = byte;
            }
            drop(PhoneMessage::decode(&unit, &Limits::MESSAGE));
            drop(HostMessage::decode(&unit, &Limits::MESSAGE));
        }
    }
}
