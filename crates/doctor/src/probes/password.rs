//! P31: the backup password of the device, as far as it is known here.

use lifeboat_device::lockdown::domain;

use super::{existing, nothing, stored, values};
use crate::fact::{Facts, Why};
use crate::probe::{BackupPassword, ProbeContext};

pub(crate) const TELLS: &[&str] = &["backup.password"];

/// P31. It proves passwords against a backup, without the device; each costs seconds.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let Some(backups) = context.backups.clone() else {
        return nothing(TELLS, &Why::NotThere("no place for backups is set".to_owned()));
    };
    let udid = match existing::udid(context).await {
        Ok(udid) => udid,
        Err(why) => return nothing(TELLS, &why),
    };
    // A device that cannot be asked is judged by its backups.
    let encrypts = match context.domain(domain::BACKUP).await {
        Ok(found) => values::encrypts(&found),
        Err(_) => None,
    };
    match stored(move || backups.password(&udid, encrypts)).await {
        Ok(password) => told(password),
        Err(why) => nothing(TELLS, &why),
    }
}

fn told(password: BackupPassword) -> Facts {
    let mut facts = Facts::new();
    facts.tell("backup.password", password.word());
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_has_a_word_each() {
        for (password, word) in [
            (BackupPassword::None, "none"),
            (BackupPassword::Known, "known"),
            (BackupPassword::NotProved, "not-proved"),
            (BackupPassword::Unknown, "unknown"),
            (BackupPassword::Differs, "stored-differs"),
            (BackupPassword::Damaged, "damaged"),
        ] {
            assert!(told(password).is("backup.password", word), "{password:?}");
        }
    }
}
