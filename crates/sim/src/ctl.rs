//! The control socket: acts on the phones of a running server, as `sim ctl` does.
//!
//! It is a UNIX socket in the state folder. A connection carries one JSON line from the client, an
//! [`Order`], and one back, a [`Reply`].

use std::collections::BTreeMap;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

mod obey;
#[cfg(unix)]
mod socket;

pub(crate) use obey::obey;
#[cfg(unix)]
pub(crate) use socket::{bind, serve};

/// The name of the socket in the state folder.
pub const SOCKET: &str = "ctl.sock";

/// What somebody does to a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Enter the passcode that the phone asks for, or send the sheet away.
    Passcode {
        /// Entered, rather than cancelled.
        enter: bool,
    },
    /// Lock the screen.
    Lock,
    /// Unlock it with the passcode.
    Unlock,
    /// Plug the cable in.
    Plug,
    /// Pull the cable out.
    Unplug,
    /// Answer the trust dialog. After "Trust" the phone asks for the passcode.
    Trust {
        /// Trust, rather than Don't Trust.
        trust: bool,
    },
    /// Let time pass: the content changes as in so many days that end now.
    Live {
        /// How many days.
        days: u32,
    },
    /// Set one key of the phone's state.
    Set {
        /// Its name, with dots.
        key: String,
        /// What it becomes; nothing sets it back to that of a healthy phone.
        value: String,
    },
    /// Tap the X that cancels what a computer does.
    Cancel,
    /// Restart the phone.
    Restart,
    /// Let a process write a line into the log.
    Log {
        /// `PROCESS: TEXT`
        text: String,
    },
    /// Switch a fault on.
    Fault {
        /// Its name.
        name: String,
        /// Values of its keys.
        #[serde(default)]
        values: BTreeMap<String, String>,
    },
    /// Switch all faults off.
    ClearFaults,
    /// List the faults there are, and which are on.
    ListFaults,
    /// What went over the wire in the last job, as JSON.
    Traffic,
    /// What the phone would put into an unencrypted backup now, a line a file.
    Digest,
    /// Who the phone is and what is on its screen, as JSON.
    State,
}

impl Action {
    /// Reads an action as it is typed: `passcode enter`, `fault drop after=3`, `live --days 2` …
    pub fn parse(words: &[&str]) -> Result<Self, CtlError> {
        let action = match words {
            ["passcode", "enter"] => Self::Passcode { enter: true },
            ["passcode", "cancel"] => Self::Passcode { enter: false },
            ["lock"] => Self::Lock,
            ["unlock"] => Self::Unlock,
            ["plug"] => Self::Plug,
            ["unplug"] => Self::Unplug,
            ["trust"] => Self::Trust { trust: true },
            ["trust", "deny"] => Self::Trust { trust: false },
            ["live"] => Self::Live { days: 1 },
            ["live", "--days", days] => {
                Self::Live { days: days.parse().map_err(|_| CtlError::words(words))? }
            }
            ["cancel"] => Self::Cancel,
            ["restart"] => Self::Restart,
            ["log", text @ ..] if !text.is_empty() => Self::Log { text: text.join(" ") },
            ["set", pair] => {
                let (key, value) = pair.split_once('=').ok_or_else(|| CtlError::words(words))?;
                Self::Set { key: key.to_owned(), value: value.to_owned() }
            }
            ["fault", "--list"] => Self::ListFaults,
            ["fault", "--clear"] => Self::ClearFaults,
            ["fault", name, values @ ..] if !name.starts_with('-') => {
                let pairs = values.iter().map(|pair| {
                    let (key, value) =
                        pair.split_once('=').ok_or_else(|| CtlError::words(words))?;
                    Ok((key.to_owned(), value.to_owned()))
                });
                Self::Fault {
                    name: (*name).to_owned(),
                    values: pairs.collect::<Result<_, CtlError>>()?,
                }
            }
            ["traffic"] => Self::Traffic,
            ["digest"] => Self::Digest,
            ["state"] => Self::State,
            _ => return Err(CtlError::words(words)),
        };
        Ok(action)
    }
}

/// An action on a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which phone; may be absent when there is only one.
    #[serde(default)]
    pub udid: Option<String>,
    /// What to do to it.
    #[serde(flatten)]
    pub action: Action,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done,
    /// The answer is a JSON value.
    Json(serde_json::Value),
    /// The answer is text of many lines.
    Text(String),
    /// It was not done, and why.
    Refused(String),
    /// There is no such fault, key or phone: whoever ordered it made a mistake.
    Wrong(String),
}

/// Sends an action to the phones whose server has this state folder. A refusal is an error, and so is a mistake.
#[cfg(unix)]
pub async fn request(
    state: &Utf8Path,
    udid: Option<&str>,
    action: &Action,
) -> Result<Reply, CtlError> {
    let order = Order { udid: udid.map(str::to_owned), action: action.clone() };
    match socket::send(&state.join(SOCKET), &order).await? {
        Reply::Refused(why) => Err(CtlError::Refused { why }),
        Reply::Wrong(why) => Err(CtlError::Wrong { why }),
        reply => Ok(reply),
    }
}

/// The control socket is a UNIX socket, which this system does not have.
#[cfg(not(unix))]
pub async fn request(_: &Utf8Path, _: Option<&str>, _: &Action) -> Result<Reply, CtlError> {
    Err(CtlError::Io(io::ErrorKind::Unsupported.into()))
}

/// An order cannot be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CtlError {
    /// The words are no action.
    #[error("`{words}` is not something to do to a phone")]
    Words {
        /// What was typed.
        words: String,
    },
    /// Nobody serves phones from this folder.
    #[error("no simulated phone is served from {path}")]
    NotServed {
        /// The socket that nobody answers.
        path: Utf8PathBuf,
    },
    /// The server did not do it.
    #[error("the simulated phone did not do it: {why}")]
    Refused {
        /// Its reason.
        why: String,
    },
    /// What was ordered does not exist.
    #[error("{why}")]
    Wrong {
        /// What is wrong with it.
        why: String,
    },
    /// What came is not an order or a reply.
    #[error("the control socket carries something else")]
    Json(#[from] serde_json::Error),
    /// The connection broke.
    #[error("the control socket broke")]
    Io(#[from] io::Error),
}

impl CtlError {
    fn words(words: &[&str]) -> Self {
        Self::Words { words: words.join(" ") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_action() -> impl Strategy<Value = Action> {
        let values = prop::collection::btree_map("[a-z-]{1,8}", any::<String>(), 0..4);
        prop_oneof![
            any::<bool>().prop_map(|enter| Action::Passcode { enter }),
            any::<bool>().prop_map(|trust| Action::Trust { trust }),
            any::<u32>().prop_map(|days| Action::Live { days }),
            ("[a-z][a-z-]{0,12}", values).prop_map(|(name, values)| Action::Fault { name, values }),
            ("[a-z][a-z.-]{0,12}", any::<String>())
                .prop_map(|(key, value)| Action::Set { key, value }),
            any::<String>().prop_map(|text| Action::Log { text }),
            prop::sample::select(vec![
                Action::Cancel,
                Action::Restart,
                Action::Lock,
                Action::Unlock,
                Action::Plug,
                Action::Unplug,
                Action::ClearFaults,
                Action::ListFaults,
                Action::Traffic,
                Action::Digest,
                Action::State,
            ]),
        ]
    }

    /// An action as somebody types it.
    fn words(action: &Action) -> Vec<String> {
        let plain = |text: &str| text.split(' ').map(str::to_owned).collect();
        match action {
            Action::Passcode { enter: true } => plain("passcode enter"),
            Action::Passcode { enter: false } => plain("passcode cancel"),
            Action::Trust { trust: true } => plain("trust"),
            Action::Trust { trust: false } => plain("trust deny"),
            Action::Live { days } => plain(&format!("live --days {days}")),
            Action::Fault { name, values } => ["fault".to_owned(), name.clone()]
                .into_iter()
                .chain(values.iter().map(|(key, value)| format!("{key}={value}")))
                .collect(),
            Action::Set { key, value } => vec!["set".to_owned(), format!("{key}={value}")],
            Action::Log { text } => vec!["log".to_owned(), text.clone()],
            Action::Cancel => plain("cancel"),
            Action::Restart => plain("restart"),
            Action::Lock => plain("lock"),
            Action::Unlock => plain("unlock"),
            Action::Plug => plain("plug"),
            Action::Unplug => plain("unplug"),
            Action::ClearFaults => plain("fault --clear"),
            Action::ListFaults => plain("fault --list"),
            Action::Traffic => plain("traffic"),
            Action::Digest => plain("digest"),
            Action::State => plain("state"),
        }
    }

    proptest! {
        #[test]
        fn orders_come_back(action in any_action(), udid in prop::option::of(any::<String>())) {
            let typed = words(&action);
            let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
            prop_assert_eq!(Action::parse(&typed).unwrap(), action.clone());
            let order = Order { udid, action };
            let line = serde_json::to_string(&order).unwrap();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
        }

        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(any::<u8>(), 0..100),
            typed in prop::collection::vec("[a-z=-]{0,8}|[0-9]{1,12}", 0..4),
            action in any_action(),
            at: prop::sample::Index,
            to: u8,
        ) {
            drop(serde_json::from_slice::<Order>(&noise));
            drop(serde_json::from_slice::<Reply>(&noise));
            drop(Action::parse(&typed.iter().map(String::as_str).collect::<Vec<_>>()));
            let mut line = serde_json::to_vec(&Order { udid: None, action }).unwrap();
            *at.get_mut(&mut line) = to;
            drop(serde_json::from_slice::<Order>(&line));
        }
    }

    #[test]
    fn actions_are_read_as_they_are_typed() {
        let parse = |line: &str| Action::parse(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(parse("passcode cancel").unwrap(), Action::Passcode { enter: false });
        assert_eq!(parse("live --days 3").unwrap(), Action::Live { days: 3 });
        let Action::Fault { name, values } = parse("fault error code=105 at=space").unwrap() else {
            panic!("not a fault")
        };
        assert_eq!((name.as_str(), values["code"].as_str()), ("error", "105"));
        assert_eq!(
            parse("set battery.level=15").unwrap(),
            Action::Set { key: "battery.level".to_owned(), value: "15".to_owned() }
        );
        let line = "kernel: AppleUSBDeviceMux: detected duplicate packet";
        let log = Action::Log { text: line.to_owned() };
        assert_eq!(parse(&format!("log {line}")).unwrap(), log);
        assert_eq!(parse("cancel").unwrap(), Action::Cancel);
        for wrong in
            ["", "dance", "set battery", "log", "live --days soon", "fault drop after", "passcode"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn orders_survive_the_wire() {
        let order = Order { udid: Some("X".to_owned()), action: Action::Live { days: 2 } };
        let line = serde_json::to_string(&order).unwrap();
        assert_eq!(line, r#"{"udid":"X","action":"live","days":2}"#);
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
    }
}
