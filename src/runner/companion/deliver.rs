//! The end of a run: what the main container did, reported until the operator has it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::{
        client::CallError,
        protocol::{DeliveryReport, MAX_TEXT},
        snapshot,
        step::{OUTPUT, RECORD},
    },
    Companion, evidence, output,
    submit::SubmitError,
};
use crate::{
    text::cut,
    {api::agent_task::Role, review::bounded_delivery},
};

/// Longest time for the logs, when everything else is done.
const LOGS: Duration = Duration::from_secs(6);
/// Time kept for the report to the operator, whatever the push does.
const REPORT: Duration = Duration::from_secs(12);

/// Delivers. An error means that the operator could not be told in time.
pub(super) async fn deliver(companion: &Companion, deadline: Instant) -> Result<(), CallError> {
    let out = &companion.places.out;
    let record = output::record(out);
    let tail = output::tail(out);
    let mut delivery = DeliveryReport {
        exit_code: record.as_ref().map(|record| record.exit_code),
        timed_out: record.as_ref().is_some_and(|record| record.timed_out),
        message: tail,
        ..DeliveryReport::default()
    };
    match companion.assignment.role {
        Role::Developer => {
            let well = record.as_ref().is_some_and(|record| record.exit_code == 0);
            work(companion, well, deadline, &mut delivery).await;
        }
        Role::Check => reports(companion, deadline, &mut delivery).await,
        // Waits for a review that is being submitted: an end without one is a failure.
        Role::Reviewer => drop(companion.review.lock().await),
        Role::Sync => {}
    }
    delivery.message = cut(&delivery.message, MAX_TEXT);
    companion.client.deliver(&delivery, deadline.saturating_duration_since(Instant::now())).await?;
    tracing::info!(exit_code = delivery.exit_code, changed = delivery.changed, commit = delivery.commit, "delivered");
    Ok(())
}

/// A developer's work tree: submitted before, submitted now, or saved.
async fn work(companion: &Companion, well: bool, deadline: Instant, delivery: &mut DeliveryReport) {
    // Waits for a submission that is under way.
    let submitted = companion.submitted.lock().await;
    if submitted.is_some() {
        delivery.changed = true;
        return;
    }
    let left = || (deadline - REPORT).saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    let snapshot = match companion.snapshot(left()).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            // Not the same as no work: somebody has to read this.
            delivery.changed = true;
            delivery.refused = error.is_refusal();
            let words = error.to_string();
            return blame(
                delivery,
                &if delivery.refused { words } else { format!("failed to take the work tree: {words}") },
            );
        }
    };
    delivery.changed = match companion.has_work(&snapshot).await {
        Ok(changed) => changed,
        Err(error) => {
            blame(delivery, &format!("failed to look at the work tree: {error}"));
            true
        }
    };
    if !delivery.changed {
        return;
    }
    let mut refused = None;
    if well {
        let delivered = match companion.is_resolved(&snapshot).await {
            Ok(()) => companion.push_branch(&snapshot.commit, left()).await.map_err(|error| error.to_string()),
            Err(error) => {
                delivery.refused = matches!(error, SubmitError::Unresolved(_));
                Err(error.to_string())
            }
        };
        match delivered {
            Ok(()) => {
                delivery.commit = Some(snapshot.commit);
                return;
            }
            // It is saved all the same: somebody may want to see it.
            Err(words) => refused = Some(words),
        }
    }
    let wip = companion.corner("wip");
    match companion.repository.push(&[format!("{}:{wip}", snapshot.commit)], left()).await {
        Ok(()) => blame(delivery, &format!("the work tree is saved as {wip}")),
        Err(error) => blame(delivery, &format!("failed to save the work tree as {wip}: {error}")),
    }
    if let Some(words) = refused {
        blame(delivery, &words);
    }
}

/// Says it before the output, which may be long.
fn blame(delivery: &mut DeliveryReport, words: &str) {
    tracing::warn!("{words}");
    let words = cut(words, 900);
    delivery.message = if delivery.message.is_empty() { words } else { format!("{words}\n\n{}", delivery.message) };
}

/// The facts of a check's reports. Without them the operator counts each report as missing.
async fn reports(companion: &Companion, deadline: Instant, delivery: &mut DeliveryReport) {
    let reading = evidence::read(&companion.repository, &companion.places.workspace, &companion.assignment);
    match tokio::time::timeout_at(deadline - REPORT, reading).await {
        Ok(facts) => delivery.reports = bounded_delivery(facts),
        Err(_) => blame(delivery, "reading the reports took too long; let the tools report less"),
    }
}

/// Keeps output, record and reports as a commit of the task's own corner. Best effort: nothing depends on it.
pub(super) async fn logs(companion: &Companion) {
    let kept = tokio::time::timeout(LOGS, keep_logs(companion)).await;
    match kept {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error, "failed to keep the logs"),
        Err(_) => tracing::warn!("keeping the logs took too long"),
    }
}

async fn keep_logs(companion: &Companion) -> Result<(), String> {
    let out = &companion.places.out;
    let mut files = Vec::new();
    files.extend(output::output(out).map(|bytes| (OUTPUT.to_owned(), bytes)));
    let record = output::record(out).and_then(|record| serde_json::to_vec(&record).ok());
    files.extend(record.map(|bytes| (RECORD.to_owned(), bytes)));
    if let Some(check) = companion.assignment.check.clone() {
        let workspace = companion.places.workspace.clone();
        let kept = tokio::task::spawn_blocking(move || evidence::kept(&workspace, &check.reports)).await;
        files.extend(kept.map_err(|error| error.to_string())?);
    }
    if files.is_empty() {
        return Ok(());
    }
    let reference = companion.corner("logs");
    let made = snapshot::files(&companion.repository, &reference, &companion.authorship(), files).await;
    made.map_err(|error| error.to_string())?;
    companion.repository.push(&[format!("{reference}:{reference}")], LOGS).await.map_err(|error| error.to_string())
}
