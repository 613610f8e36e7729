//! Rebooting: record it, answer the caller, look again, ask login1, and find out after the boot what became of it.

mod forbidden;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;
use usher_common::chain;

pub(super) use forbidden::{LoginSays, boot_id, not_held, not_shutting_down, same_boot};

use forbidden::Overridden;

use super::{
    record::{Change, Failure, FailureKind, Progress},
    run::{Begin, Outcome, Run, failure},
};
use crate::{machine::login::Login, refusal::Refusal};

/// The delay between the answer to the caller and the request to login1, for the answer to leave the machine.
const ANSWER_FIRST: Duration = Duration::from_millis(200);

/// How often to check whether the shutdown is in progress.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long the same boot may continue without a shutdown in progress. logind starts one within a second, and reports it as
/// in progress while delay inhibitors (kubelet's graceful shutdown among them) hold it up.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(60);

/// The step of a reboot that another shutdown has overtaken. Whether that is a reboot as well, the boot id will tell.
const WAITS_FOR_OTHER: &str = "another shutdown of the node is under way already; waiting for what comes of it";

pub(super) async fn run(run: &Run, begin: Begin) -> Outcome {
    match (begin, run.operation().progress) {
        (Begin::Fresh, _) => ask(run).await?,
        (Begin::Resumed, _) if new_boot_id(run)?.is_some() => {}
        (Begin::Resumed, Progress::RebootAsked) => {
            let message = "the agent was restarted, and the boot is still the same";
            run.record(|operation| operation.step("resumed", message)).await;
        }
        (Begin::Resumed, _) => {
            let message = "the agent was restarted before it had asked for the reboot: nothing happened, ask again";
            return Err(failure(FailureKind::Interrupted, message));
        }
    }
    run.waiting(until_booted(run)).await?
}

async fn ask(run: &Run) -> Outcome {
    sleep(ANSWER_FIRST).await;
    // On disk first: an agent that finds this record must know that login1 may have been asked.
    let recorded = run.try_record(|operation| {
        operation.progress = Progress::RebootAsked;
        operation.step("reboot", "asking login1 to reboot");
    });
    if let Err(error) = recorded.await {
        let message = format!("the reboot could not be recorded, so it was not asked for: {}", chain(&error));
        return Err(failure(FailureKind::Interrupted, message));
    }
    let overridden = match look_again(run).await {
        Ok(LastLook::Clear(overridden)) => overridden,
        Ok(LastLook::GoesDownAlready) => {
            run.record(|operation| operation.step("reboot", WAITS_FOR_OTHER)).await;
            return Ok(());
        }
        Err(refusal) => {
            // login1 was not asked, so this is none of the day's reboots.
            run.record(|operation| operation.progress = Progress::Accepted).await;
            let message = format!("nothing happened, login1 was not asked to reboot: {refusal} ({})", refusal.reason);
            return Err(failure(FailureKind::Interrupted, message));
        }
    };
    if overridden.users {
        tell_users(run).await;
    }
    let message = match run.machine.login.reboot(overridden.inhibitors).await {
        Ok(()) => "login1 has taken the request".to_owned(),
        Err(error) if Login::is_in_progress(&error) => WAITS_FOR_OTHER.to_owned(),
        Err(error) if error.outcome_unknown() => {
            format!("login1's answer was lost ({}); it may be rebooting anyway", chain(&error))
        }
        Err(error) => {
            if overridden.users {
                // Another's reboot must not be announced as this one.
                let _ = run.machine.login.tell_users(None).await;
            }
            let message = format!("login1 did not take the request: {}", chain(&error));
            return Err(failure(FailureKind::Refused, message));
        }
    };
    run.record(|operation| operation.step("reboot", message)).await;
    Ok(())
}

/// What the machine is like right before login1 is asked.
enum LastLook {
    /// Nothing forbids the reboot that was not overridden.
    Clear(Overridden),
    /// Somebody else's shutdown is under way.
    GoesDownAlready,
}

/// Looks again at everything that forbids a reboot: the disk, or the bus, may have taken its time since the admission, and
/// polkit lets the agent ignore all of it, so nobody looks after this.
async fn look_again(run: &Run) -> Result<LastLook, Refusal> {
    let operation = run.operation();
    let Change::RebootNode { expected_boot_id, override_blockers } = &operation.change else {
        return Ok(LastLook::Clear(Overridden::default()));
    };
    let held = not_held(&run.machine, &run.store).await;
    let same = boot_id(&run.machine).and_then(|boot_id| same_boot(&boot_id, expected_boot_id));
    // login1 is asked last, since the disk may take its time, and judged first: usher waits for a machine that goes down anyway, held or not.
    let login = LoginSays::now(&run.machine).await;
    if login.as_ref().is_ok_and(LoginSays::goes_down) {
        return Ok(LastLook::GoesDownAlready);
    }
    held?;
    same?;
    Ok(LastLook::Clear(login?.nothing_forbids(override_blockers)?))
}

/// Lets login1 tell the users who were overridden who reboots the machine under them, and why. The reboot does not hang on it.
async fn tell_users(run: &Run) {
    let operation = run.operation();
    let (by, reason) = (operation.requested_by(), &operation.order.reason);
    let message = format!("usher reboots this machine now: {reason} (by {by}, operation {})", operation.id);
    if let Err(error) = run.machine.login.tell_users(Some(&message)).await {
        warn!(operation = operation.id, "the logged-in users could not be told of the reboot: {}", chain(&error));
    }
}

/// Waits for this boot, and the agent with it, to end; or finds that another boot has started.
async fn until_booted(run: &Run) -> Outcome {
    let mut idle_since = Instant::now();
    loop {
        if let Some(boot_id) = new_boot_id(run)? {
            run.record(|operation| {
                operation.step("booted", format!("the node runs under boot id {boot_id}"));
                operation.evidence.boot_id_after = boot_id;
            })
            .await;
            return Ok(());
        }
        // An error proves nothing: in a shutdown login1 may stop before the agent.
        if run.machine.login.shutdowns().await.is_ok_and(|shutdowns| shutdowns.under_way) {
            idle_since = Instant::now();
        }
        if idle_since.elapsed() >= SHUTDOWN_WITHIN {
            let message = format!(
                "the node was told to reboot, but the same boot runs and no shutdown has been under way for {} s; \
                 `journalctl -u systemd-logind` on it says why",
                SHUTDOWN_WITHIN.as_secs()
            );
            return Err(failure(FailureKind::NotRebooted, message));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The boot id, if it is another than the operation started in.
fn new_boot_id(run: &Run) -> Result<Option<String>, Failure> {
    let boot_id = run.machine.boot_id().map_err(|error| {
        let message = format!("whether the node rebooted is unknown: its boot id cannot be read: {error}");
        failure(FailureKind::Systemd, message)
    })?;
    Ok((boot_id != run.operation().evidence.boot_id_before).then_some(boot_id))
}
