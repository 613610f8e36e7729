//! Rebooting: record, answer, ask login1; and, after it, find out what became of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use usher_common::chain;

use super::{
    record::{Failure, FailureKind, Progress},
    run::{Begin, Outcome, Run, failure},
};

/// Between the answer to the caller and the request to login1: enough for the answer to leave the machine.
const ANSWER_FIRST: Duration = Duration::from_millis(200);

/// How often is looked whether the shutdown is under way.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long the same boot may go on with no shutdown under way. logind begins one within a second, and says that it is under
/// way for as long as delay inhibitors (kubelet's graceful shutdown among them) hold it up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(run: &Run, begin: Begin) -> Outcome {
    match (begin, run.operation().progress) {
        (Begin::Fresh, _) => ask(run).await?,
        (Begin::Resumed, _) if booted_anew(run)?.is_some() => {}
        (Begin::Resumed, Progress::RebootAsked) => {
            let words = "the agent was restarted, and the boot is still the same";
            run.note(|operation| operation.step("resumed", words)).await;
        }
        (Begin::Resumed, _) => {
            let words = "the agent was restarted before it had asked for the reboot: nothing happened, ask again";
            return Err(failure(FailureKind::Interrupted, words));
        }
    }
    until_booted(run).await
}

async fn ask(run: &Run) -> Outcome {
    sleep(ANSWER_FIRST).await;
    // On disk first: whoever finds this record must know that the reboot may have been asked for.
    let recorded = run.try_note(|operation| {
        operation.progress = Progress::RebootAsked;
        operation.step("reboot", "asking login1 to reboot");
    });
    if let Err(error) = recorded.await {
        let words = format!("the reboot could not be recorded, so it was not asked for: {}", chain(&error));
        return Err(failure(FailureKind::Interrupted, words));
    }
    let words = match run.machine.login.reboot().await {
        Ok(()) => "login1 has taken the request".to_owned(),
        Err(error) if error.perhaps_taken() => {
            format!("login1's answer was lost ({}); it may be rebooting all the same", chain(&error))
        }
        Err(error) => {
            let words = format!("login1 did not take the request: {}", chain(&error));
            return Err(failure(FailureKind::Systemd, words));
        }
    };
    run.note(|operation| operation.step("reboot", words)).await;
    Ok(())
}

/// Waits for the end of this boot, and with it of the agent; or finds that another has begun.
async fn until_booted(run: &Run) -> Outcome {
    let mut quiet_since = Instant::now();
    loop {
        if let Some(boot_id) = booted_anew(run)? {
            run.note(|operation| {
                operation.step("booted", format!("the node runs under boot id {boot_id}"));
                operation.evidence.boot_id_after = boot_id;
            })
            .await;
            return Ok(());
        }
        // An error tells nothing: in a shutdown login1 may go before the agent.
        if run.machine.login.shutting_down().await.unwrap_or(false) {
            quiet_since = Instant::now();
        }
        if quiet_since.elapsed() >= PATIENCE {
            let words = format!(
                "the node was told to reboot, but the same boot runs and no shutdown has been under way for {} s; \
                 `journalctl -u systemd-logind` on it says why",
                PATIENCE.as_secs()
            );
            return Err(failure(FailureKind::NotRebooted, words));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The boot id, if it is not the one in which the operation began.
fn booted_anew(run: &Run) -> Result<Option<String>, Failure> {
    let boot_id = run.machine.boot_id().map_err(|error| {
        let words = format!("whether the node rebooted is unknown: its boot id cannot be read: {error}");
        failure(FailureKind::Systemd, words)
    })?;
    Ok((boot_id != run.operation().evidence.boot_id_before).then_some(boot_id))
}
