//! What this program can do about a cause, one action at a time. Whoever asks for it looks again afterwards: an action that is done
//! has not helped yet.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat_device::link::Link;
use lifeboat_device::mobilebackup2::switch_cloud_backup;
use lifeboat_device::{diagnostics, pairing};
use lifeboat_host::Command;
use lifeboat_host::secret::{create_private_folder, write_private_file};
use secrecy::SecretString;

use crate::error::{Cause, JobError};
use crate::event::Wait;
use crate::job::{Context, Places, blocking};
use crate::jobs::password::{self, Order, PasswordPlan, sight, trial};
use crate::jobs::{open, pair};
use crate::last_run::LastRun;
use crate::link;
use crate::mux::{Mux, choose, client};
use crate::working_tree::area::Area;

/// How long a service may take to answer after it was started.
const SERVICE: Duration = Duration::from_secs(15);
/// How long a time server may take to answer.
const SERVER: Duration = Duration::from_secs(3);
/// How often is looked whether something is there again.
const PAUSE: Duration = Duration::from_millis(500);

/// For which device, and how long a person is waited for.
#[derive(Debug, Clone)]
pub struct MendPlan {
    /// Where things lie.
    pub places: Places,
    /// Where the devices are.
    pub mux: Mux,
    /// Which device; `None` when there is only one.
    pub udid: Option<String>,
    /// How long somebody may take to unlock the device or to tap Trust, and a device to start.
    pub patience: Duration,
    /// Time servers, `host:port`; none where nothing outside the local network may be asked.
    pub time_servers: Vec<String>,
}

impl MendPlan {
    async fn link(&self) -> Result<Link, JobError> {
        let mux = client(&self.mux);
        let device = choose(mux.devices().await?, self.udid.as_deref())?;
        Ok(Link::open(&mux, &device).await?)
    }

    fn password(&self, order: Order) -> PasswordPlan {
        PasswordPlan {
            places: self.places.clone(),
            mux: self.mux.clone(),
            udid: self.udid.clone(),
            wait: Some(self.patience),
            order,
        }
    }
}

/// Restarts the device and waits until it is there again; it must be unlocked then.
pub async fn restart_device(ctx: &Context, plan: &MendPlan) -> Result<String, JobError> {
    let link = plan.link().await?;
    diagnostics::restart(&link).await?;
    let device = link.device().clone();
    let gone_and_back = async {
        let mux = client(&plan.mux);
        // A device that is too quick to be missed has another number when it is back.
        loop {
            let there = mux.devices().await.unwrap_or_default();
            let same = there.iter().find(|other| other.udid == device.udid);
            if same.is_some_and(|other| other.mux_id != device.mux_id) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    if waited(ctx, plan.patience, gone_and_back).await? {
        Ok("the device was restarted and is there again; unlock it with its passcode".to_owned())
    } else {
        let message = "the device was asked to restart and is not there again yet";
        Err(JobError::new(Cause::TimedOut, message))
    }
}

/// Starts usbmuxd, or restarts it, with the means of this operating system, and waits until it answers.
pub async fn start_usbmuxd(
    ctx: &Context,
    plan: &MendPlan,
    restart: bool,
) -> Result<String, JobError> {
    let mut said = None;
    for command in usbmuxd_commands(restart) {
        let host = ctx.host.clone();
        let ran = blocking(move || Ok(host.run(&command))).await?;
        match ran {
            Ok(output) if output.status == Some(0) => {
                let answers = async {
                    while client(&plan.mux).devices().await.is_err() {
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                if waited(ctx, SERVICE, answers).await? {
                    return Ok("usbmuxd answers".to_owned());
                }
                said = Some("it was started and does not answer".to_owned());
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                said = said.or(Some(text).filter(|text| !text.is_empty()));
            }
            Err(error) => said = said.or(Some(error.to_string())),
        }
    }
    let why = said.unwrap_or_else(|| "this system has no way to start it".to_owned());
    Err(JobError::new(Cause::MuxUnreachable, format!("usbmuxd could not be started: {why}")))
}

/// What starts the service here; the first that works is enough.
fn usbmuxd_commands(restart: bool) -> Vec<Command> {
    let verb = if restart { "restart" } else { "start" };
    let limited = |command: Command| command.limit(SERVICE);
    if cfg!(windows) {
        let service = "Apple Mobile Device Service";
        return vec![limited(Command::new("net").argument("start").argument(service))];
    }
    if cfg!(target_os = "macos") {
        let kick = Command::new("launchctl").argument("kickstart").argument("-k");
        return vec![limited(kick.argument("system/com.apple.usbmuxd"))];
    }
    vec![
        limited(Command::new("systemctl").argument(verb).argument("usbmuxd")),
        limited(Command::new("service").argument("usbmuxd").argument(verb)),
    ]
}

/// Asks the device for trust and waits for the answer.
pub async fn pair_again(ctx: &Context, plan: &MendPlan) -> Result<String, JobError> {
    let paired = pair::run(ctx, &plan.mux, plan.udid.as_deref(), plan.patience).await?;
    Ok(match paired.state.as_str() {
        "already-paired" => "the device trusts this computer already".to_owned(),
        _ => "the device trusts this computer now".to_owned(),
    })
}

/// Takes the pairing record out of use. A copy stays in the folder `set-aside` of the working area, for its owner only.
pub async fn forget_pairing(ctx: &Context, plan: &MendPlan) -> Result<String, JobError> {
    let mux = client(&plan.mux);
    let device = choose(mux.devices().await?, plan.udid.as_deref())?;
    let Some(record) = mux.read_record(&device.udid).await? else {
        return Ok("there is no pairing record".to_owned());
    };
    let folder = plan.places.working_area.join("set-aside");
    let copy = folder.join(format!("pairing-{}.plist", stamp(ctx.host.now())));
    let told = format!("the pairing record was set aside as {copy}");
    blocking(move || {
        let kept = create_private_folder(&folder).and_then(|()| write_private_file(&copy, &record));
        kept.map_err(|error| JobError::of(Cause::Disk, "the record cannot be copied", &error))
    })
    .await?;
    match pairing::forget(&mux, &device).await {
        Ok(()) => {}
        // A device that does not know the record any more cannot be told; the record goes all the same.
        Err(_) => mux.delete_record(&device.udid).await?,
    }
    Ok(told)
}

/// Waits until the device was unlocked.
pub async fn wait_for_unlock(ctx: &Context, plan: &MendPlan) -> Result<String, JobError> {
    link::tell(&ctx.events, Wait::Unlock);
    let unlocked = Box::pin(async {
        loop {
            if let Ok(link) = plan.link().await
                && let Ok(mut session) = link.session().await
            {
                let locked = session.value(None, Some("PasswordProtected")).await;
                session.close().await;
                if matches!(locked, Ok(Some(plist::Value::Boolean(false)) | None)) {
                    return;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    if waited(ctx, plan.patience, unlocked).await? {
        Ok("the device is unlocked".to_owned())
    } else {
        Err(JobError::new(Cause::DeviceLocked, "the device was not unlocked in time"))
    }
}

/// Lets the device be reached over Wi-Fi.
pub async fn set_wifi_sync(plan: &MendPlan) -> Result<String, JobError> {
    let mut session = plan.link().await?.session().await?;
    let on = plist::Value::Boolean(true);
    let domain = Some("com.apple.mobile.wireless_lockdown");
    let set = session.set(domain, "EnableWifiConnections", on).await;
    session.close().await;
    set?;
    Ok("the device can be reached over Wi-Fi from now on, in the same network".to_owned())
}

/// Switches iCloud Backup on.
pub async fn switch_icloud_backup_on(plan: &MendPlan) -> Result<String, JobError> {
    switch_cloud_backup(&plan.link().await?, true).await?;
    Ok("the device was told to switch iCloud Backup on".to_owned())
}

/// Sets the device's clock to true time, as a time server tells it. This computer's own clock proves nothing: where no server
/// answers, the device's clock stays as it is.
pub async fn set_device_clock(ctx: &Context, plan: &MendPlan) -> Result<String, JobError> {
    let (server, ahead) = true_time(ctx, &plan.time_servers).await?;
    let mut session = plan.link().await?.session().await?;
    let now = ctx.host.now().checked_add(ahead).unwrap_or_else(|_| ctx.host.now());
    let seconds = plist::Value::Real(now.as_duration().as_secs_f64());
    let set = session.set(None, "TimeIntervalSince1970", seconds).await;
    session.close().await;
    set?;
    Ok(format!("the device's clock was set to the time that {server} tells"))
}

/// Returns the first time server that answers, and how far true time is ahead of this computer's clock.
async fn true_time<'a>(
    ctx: &Context,
    servers: &'a [String],
) -> Result<(&'a str, SignedDuration), JobError> {
    let mut why = "none may be asked".to_owned();
    for server in servers {
        match ctx.host.network().time(server, SERVER).await {
            Ok(time) => return Ok((server, time.now.duration_since(ctx.host.now()))),
            Err(error) => why = format!("{server}: {error}"),
        }
    }
    let message = format!(
        "no time server tells the true time, and this computer's clock may be wrong ({why})"
    );
    Err(JobError::new(Cause::TrueTimeUnknown, message))
}

/// Sets what is left of a broken backup aside, deleting nothing: the next run begins anew.
pub async fn set_aside_backup(ctx: &Context, plan: &MendPlan) -> Result<String, JobError> {
    let udid = match &plan.udid {
        Some(udid) => LastRun::spelled(&plan.places.working_area, udid),
        None => choose(client(&plan.mux).devices().await?, None)?.udid,
    };
    let (area, stamp) = (plan.places.working_area.clone(), stamp(ctx.host.now()));
    let moved = blocking(move || {
        let to = area.join("set-aside").join(format!("run-{stamp}"));
        Area::set_aside(&area, &udid, &to)
    });
    Ok(match moved.await? {
        Some(to) => {
            format!("what the last run left was set aside in {to}; snapshots stay as they are")
        }
        None => "no broken run has left anything; snapshots stay as they are".to_owned(),
    })
}

/// Gives the device a backup password; it is stored before the device hears of it.
pub async fn set_backup_password(
    ctx: &Context,
    plan: &MendPlan,
    new: SecretString,
) -> Result<String, JobError> {
    password::run(ctx, plan.password(Order::Set { new })).await?;
    Ok("the device has a backup password now; it is kept in the repository, and `lifeboat repo sheet` prints it".to_owned())
}

/// The text that nobody chose as a backup password and that the device has.
#[derive(Debug, Clone)]
pub struct Unchosen {
    /// The device.
    udid: String,
    /// The text.
    text: SecretString,
    /// The password that was meant, where that can be told.
    pub meant: Option<SecretString>,
}

/// Finds the text that a script or a program set by mistake, keeps it, and opens the backups that it locks.
pub async fn keep_unchosen_password(ctx: &Context, plan: &MendPlan) -> Result<Unchosen, JobError> {
    let udid = match &plan.udid {
        Some(udid) => udid.clone(),
        None => choose(client(&plan.mux).devices().await?, None)?.udid,
    };
    let found = sight::mistake(ctx, plan.places.clone(), udid.clone()).await?;
    trial::remember(ctx, plan.places.clone(), udid.clone(), found.set.clone()).await?;
    open::run(ctx, plan.places.clone(), &udid).await?;
    Ok(Unchosen { udid, text: found.set, meant: found.meant })
}

/// Gives the device a clean password in place of the one that nobody chose.
pub async fn replace_unchosen_password(
    ctx: &Context,
    plan: &MendPlan,
    unchosen: Unchosen,
    new: SecretString,
) -> Result<String, JobError> {
    let plan = MendPlan { udid: Some(unchosen.udid), ..plan.clone() };
    let order = Order::Change { old: Some(unchosen.text), new };
    password::run(ctx, plan.password(order)).await?;
    Ok("the device has a clean backup password now; both are kept in the repository, and `lifeboat repo sheet` prints them".to_owned())
}

fn stamp(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Waits for something, for a limited time, and for no longer than the person wants.
async fn waited(
    ctx: &Context,
    limit: Duration,
    future: impl Future<Output = ()>,
) -> Result<bool, JobError> {
    tokio::select! {
        () = ctx.cancel.cancelled() => Err(JobError::interrupted()),
        ended = tokio::time::timeout(limit, future) => Ok(ended.is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_way_to_start_the_service() {
        assert!(!usbmuxd_commands(false).is_empty() && !usbmuxd_commands(true).is_empty());
    }

    #[test]
    fn a_stamp_is_a_name_for_a_file() {
        assert_eq!(stamp(Timestamp::UNIX_EPOCH), "19700101T000000Z");
    }
}
