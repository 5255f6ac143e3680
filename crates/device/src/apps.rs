//! The apps of the device and what they take (`docs/protocol.md` 10.3).

use lifeboat_wire::lockdown::service;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::LinkError;
use crate::link::Link;
use crate::service::PlistService;

/// More apps than anybody has.
const MANY: usize = 20_000;

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct App {
    /// Its identifier.
    pub bundle: String,
    /// Its name.
    pub name: String,
    /// Bytes of the app and of its data; nothing where the device does not say.
    pub bytes: Option<u64>,
    /// It is a placeholder: being downloaded or updated.
    pub placeholder: bool,
}

/// Lists the apps that a person installed; `heard` gets each as soon as it is told, for the device may take long.
///
/// Sizes take the device much longer: ask for them only where they are wanted.
pub async fn list(
    link: &Link,
    sizes: bool,
    heard: impl FnMut(App) + Send,
) -> Result<(), LinkError> {
    let stream = link.start_service(service::INSTALLATION_PROXY).await?;
    browse(&mut PlistService::new(stream), sizes, heard).await
}

async fn browse<S: AsyncRead + AsyncWrite + Unpin>(
    service: &mut PlistService<S>,
    sizes: bool,
    mut heard: impl FnMut(App) + Send,
) -> Result<(), LinkError> {
    const DOING: &str = "listing the apps";
    let mut wanted = vec!["CFBundleIdentifier", "CFBundleDisplayName", "IsPlaceholder"];
    if sizes {
        wanted.extend(["StaticDiskUsage", "DynamicDiskUsage"]);
    }
    let options = Dictionary::from_iter([
        ("ApplicationType", Value::from("User")),
        ("ReturnAttributes", Value::Array(wanted.into_iter().map(Value::from).collect())),
    ]);
    let request = Dictionary::from_iter([
        ("Command", Value::from("Browse")),
        ("ClientOptions", Value::Dictionary(options)),
    ]);
    service.tell(DOING, &request).await?;
    let mut count = 0;
    loop {
        let answer = service.next(DOING).await?;
        if let Some(word) = answer.get("Error").and_then(Value::as_string) {
            return Err(LinkError::from_word(word));
        }
        for app in answer.get("CurrentList").and_then(Value::as_array).into_iter().flatten() {
            count += 1;
            if let Some(app) = app.as_dictionary().and_then(app_of) {
                heard(app);
            }
        }
        match answer.get("Status").and_then(Value::as_string) {
            Some("Complete") => return Ok(()),
            Some(_) if count < MANY => {}
            _ => return Err(LinkError::Malformed("a list of apps without an end".to_owned())),
        }
    }
}

/// Reads what the device says of an app; nothing where it does not name it.
fn app_of(keys: &Dictionary) -> Option<App> {
    let text = |key: &str| {
        let text = keys.get(key).and_then(Value::as_string)?;
        Some(text.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
    };
    let size = |key: &str| keys.get(key).and_then(Value::as_unsigned_integer);
    let bundle = text("CFBundleIdentifier")?;
    Some(App {
        name: text("CFBundleDisplayName").unwrap_or_else(|| bundle.clone()),
        bytes: match (size("StaticDiskUsage"), size("DynamicDiskUsage")) {
            (None, None) => None,
            (app, data) => Some(app.unwrap_or(0).saturating_add(data.unwrap_or(0))),
        },
        placeholder: keys.get("IsPlaceholder").and_then(Value::as_boolean).unwrap_or(false),
        bundle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(bundle: &str, size: i64) -> Value {
        Value::Dictionary(Dictionary::from_iter([
            ("CFBundleIdentifier", Value::from(bundle)),
            ("StaticDiskUsage", Value::from(size)),
            ("DynamicDiskUsage", Value::from(5)),
        ]))
    }

    fn part(status: &str, apps: Vec<Value>) -> Dictionary {
        Dictionary::from_iter([
            ("Status", Value::from(status)),
            ("CurrentList", Value::Array(apps)),
        ])
    }

    async fn listed(answers: Vec<Dictionary>) -> (Result<(), LinkError>, Vec<App>) {
        let (ours, theirs) = tokio::io::duplex(8192);
        let (mut service, mut device) = (PlistService::new(ours), PlistService::new(theirs));
        let mut apps = Vec::new();
        let (ended, ()) =
            tokio::join!(browse(&mut service, true, |app| apps.push(app)), async move {
                device.next("waiting").await.unwrap();
                for answer in answers {
                    device.tell("answering", &answer).await.unwrap();
                }
            });
        (ended, apps)
    }

    #[tokio::test]
    async fn apps_come_in_parts() {
        let parts = vec![
            part("BrowsingApplications", vec![app("a", 10), Value::from(3)]),
            part("BrowsingApplications", vec![app("b", -1)]),
            part("Complete", Vec::new()),
        ];
        let (ended, apps) = listed(parts).await;
        ended.unwrap();
        let sizes: Vec<_> = apps.iter().map(|app| (app.bundle.as_str(), app.bytes)).collect();
        assert_eq!(sizes, [("a", Some(15)), ("b", Some(5))], "a negative size is none");
    }

    #[tokio::test]
    async fn what_was_heard_before_the_link_broke_stays() {
        let (ended, apps) = listed(vec![part("BrowsingApplications", vec![app("a", 1)])]).await;
        assert!(matches!(ended, Err(LinkError::Lost(_))));
        assert_eq!(apps.len(), 1);
    }
}
