//! What a backup does beside a repository that is damaged: it goes on where that is safe, has lost files sent again, and says so.

use lifeboat_repo::{Damage, Healing, PackId, Writer};

use crate::event::Note;
use crate::words::first;

/// How many packs a note names.
const NAMED: usize = 5;
/// Who says more.
const CHECK: &str = "`lifeboat check` says more";

/// Says what of the repository cannot be read, before anything is asked of the device.
pub(super) fn notes(writer: &Writer, snapshots: &[Damage]) -> Vec<Note> {
    let mut notes = Vec::new();
    for damage in snapshots {
        let message = format!("{damage}: the backup is not built upon it; {CHECK}");
        notes.push(Note::new("snapshot-unreadable", message));
    }
    for damage in writer.unread_indexes() {
        let message = format!(
            "{damage}: the packs that no other index has were read and put into a new one; {CHECK}"
        );
        notes.push(Note::new("index-unreadable", message));
    }
    notes.extend(packs(&writer.healing()));
    notes
}

fn packs(healing: &Healing) -> Option<Note> {
    if healing.packs.is_empty() {
        return None;
    }
    let message = format!(
        "packs are missing or damaged ({}): of their pieces {} were stored again, and {} cannot be read; the device is \
         asked for what they belong to",
        first(healing.packs.iter().map(PackId::short), NAMED),
        healing.stored_again,
        healing.lost
    );
    Some(Note::new("packs-damaged", message))
}

/// Says how that ended, once the snapshot stands.
pub(super) fn healed(healing: &Healing) -> Option<Note> {
    if healing.packs.is_empty() {
        return None;
    }
    if healing.lost == 0 {
        let message = "everything that lay in the missing or damaged packs is stored again";
        return Some(Note::new("packs-healed", message));
    }
    let message = format!(
        "{} pieces of the missing or damaged packs did not come again: they belong to earlier snapshots; \
         `lifeboat check --read-data` names them",
        healing.lost
    );
    Some(Note::new("packs-not-healed", message))
}
