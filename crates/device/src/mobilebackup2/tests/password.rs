//! `ChangePassword`: the same session with another request.

use secrecy::SecretString;

use super::*;

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn change() -> PasswordChange {
    PasswordChange::Change { old: secret("old"), new: secret("new") }
}

async fn play_change<T>(
    files: &Memory,
    script: impl AsyncFnOnce(&mut Phone) -> T,
) -> (Result<BackupReply, BackupError>, T, Vec<TransferStage>) {
    let job = Job { request: Request::Password(change()), ..job() };
    play_job(&job, tokio::io::duplex(1 << 16), files, quiet(), script).await
}

#[tokio::test]
async fn a_change_gives_the_keys_and_takes_the_manifest_that_was_wrapped_anew() {
    let files = Memory::default();
    files.put(&at("Manifest.plist"), b"wrapped for old");
    let (outcome, (), _) = play_change(&files, async |phone| {
        let request = phone.open(400).await;
        let text = |key: &str| request.get(key).and_then(Value::as_string);
        assert_eq!(text("MessageName"), Some("ChangePassword"));
        assert_eq!(text("TargetIdentifier"), Some(UDID));
        assert_eq!((text("OldPassword"), text("NewPassword")), (Some("old"), Some("new")));
        assert!(!request.contains_key("SourceIdentifier") && !request.contains_key("Options"));
        let (snapshot, _) = phone.download(&[&at("Snapshot/Manifest.plist")]).await;
        assert_eq!(snapshot.first().unwrap().2, 6, "there is none");
        let (manifest, _) = phone.download(&[&at("Manifest.plist")]).await;
        assert_eq!(manifest.first().unwrap().1, b"wrapped for old");
        let status = phone.upload(&[file(&at("Manifest.plist"), b"wrapped for new")]).await;
        assert_eq!(status, StatusResponse::ok());
        phone.send(&response(0, None)).await;
        phone.until_goodbye().await;
    })
    .await;
    outcome.unwrap();
    assert_eq!(files.content(), [(at("Manifest.plist"), b"wrapped for new".to_vec())]);
}

#[tokio::test]
async fn every_refusal_keeps_its_number() {
    for code in [207, 208, 22, 103, 205] {
        let (outcome, (), _) = play_change(&Memory::default(), async |phone| {
            phone.open(400).await;
            phone.send(&response(code, Some("said so"))).await;
            phone.until_goodbye().await;
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(matches!(&error, BackupError::Device(device) if device.code == code), "{error}");
        assert_eq!(change().is_unchanged(&error), matches!(code, 207 | 208 | 22), "{code}");
    }
}
