//! `--fix`, where the backup password is what is wrong.

use lifeboat_doctor::Action;
use lifeboat_engine::jobs::mend::{self, MendPlan};
use lifeboat_engine::{Context, JobError};

use super::Examiner;
use crate::commands::password;
use crate::ui::error::Failure;

/// Does it; both what was done and why not are words.
pub(super) async fn act(
    examiner: &Examiner<'_>,
    ctx: &Context,
    plan: &MendPlan,
    action: Action,
) -> Result<String, String> {
    match action {
        Action::SetBackupPassword => set(examiner, ctx, plan).await,
        Action::CleanBackupPassword => clean(examiner, ctx, plan).await,
        _ => password::try_remembered(examiner.app, &examiner.settings)
            .await
            .map_err(|failure| words(&failure)),
    }
}

fn words(failure: &Failure) -> String {
    let hint = failure.hints.first().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{failure}{hint}")
}

fn of_job(error: &JobError) -> String {
    format!("{error}; {}", error.next_step())
}

async fn set(examiner: &Examiner<'_>, ctx: &Context, plan: &MendPlan) -> Result<String, String> {
    let new = password::new_or_made(examiner.app, &examiner.settings, true)
        .map_err(|failure| words(&failure))?;
    mend::set_backup_password(ctx, plan, new).await.map_err(|error| of_job(&error))
}

async fn clean(examiner: &Examiner<'_>, ctx: &Context, plan: &MendPlan) -> Result<String, String> {
    let unchosen = mend::keep_unchosen_password(ctx, plan).await.map_err(|error| of_job(&error))?;
    let new = match &unchosen.meant {
        Some(meant) => meant.clone(),
        None => password::new_or_made(examiner.app, &examiner.settings, false)
            .map_err(|failure| words(&failure))?,
    };
    mend::replace_unchosen_password(ctx, plan, unchosen, new).await.map_err(|error| of_job(&error))
}
