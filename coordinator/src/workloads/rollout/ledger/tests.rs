use super::*;
use crate::workloads::rollout::fixtures::workload;

/// One Deployment, whose restart is under way to the server.
fn beginning() -> (Ledger, Instant) {
    let now = Instant::now();
    let settings = Settings { concurrency: 1, max_failures: 0, timeout: None, wait: true };
    let change = Change::restart(workload(Kind::Deployment, "web"), "2026-11-25T12:00:00Z", None);
    let mut ledger = Ledger::new(vec![change], settings, now);
    assert!(ledger.begin(now).is_some());
    assert!(ledger.begin(now).is_none(), "one at a time");
    (ledger, now)
}

/// As the server has it after the restart; complete or not.
fn restarted(is_complete: bool) -> Workload {
    let mut workload = workload(Kind::Deployment, "web");
    workload.generation = 2;
    workload.restarted_at = Some("2026-11-25T12:00:00Z".to_owned());
    workload.status.observed = if is_complete { 2 } else { 1 };
    workload
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_quicker_than_the_answer_is_heard() {
    let (mut ledger, now) = beginning();
    assert_eq!(ledger.seen(restarted(true), now), []);
    ledger.begun(0, Ok(restarted(false)), now);
    assert!(ledger.is_over());
    assert_eq!(ledger.close(now).entries[0].ended, Ended::Complete);
}

#[tokio::test(start_paused = true)]
async fn news_from_before_the_change_says_nothing() {
    let (mut ledger, now) = beginning();
    let before = workload(Kind::Deployment, "web");
    ledger.seen(before.clone(), now);
    ledger.begun(0, Ok(restarted(false)), now);
    assert_eq!(ledger.seen(before, now), []);
    assert!(!ledger.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_look_from_before_the_failure_does_not_pass_for_the_last_one() {
    let (mut ledger, now) = beginning();
    ledger.begun(0, Ok(restarted(false)), now);
    ledger.stop(Stop::TimedOut);
    assert_eq!(ledger.looked(0, (vec!["early".to_owned()], false), now), []);
    assert_eq!(ledger.failing().len(), 1);
    ledger.looked(0, (vec!["late".to_owned()], true), now);
    let outcome = ledger.close(now);
    assert_eq!((outcome.entries[0].ended, outcome.entries[0].why[1].as_str()), (Ended::TimedOut, "late"));
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_somebody_restarted_again_is_complete_with_a_remark() {
    let (mut ledger, now) = beginning();
    ledger.begun(0, Ok(restarted(false)), now);
    let mut other = restarted(true);
    (other.generation, other.status.observed) = (3, 3);
    other.restarted_at = Some("2026-11-25T12:00:09Z".to_owned());
    ledger.seen(other, now);
    let entry = &ledger.close(now).entries[0];
    assert_eq!((entry.ended, entry.why.len()), (Ended::Complete, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_before_the_change_is_not_held_against_it() {
    let (mut ledger, now) = beginning();
    let mut stuck = restarted(false);
    stuck.deadline = Some(Duration::from_secs(60));
    stuck.status.deadline_exceeded = Some(String::new());
    ledger.begun(0, Ok(stuck.clone()), now);
    stuck.status.observed = 2;
    ledger.seen(stuck.clone(), now);
    assert!(ledger.failing().is_empty());
    let mut mended = stuck.clone();
    mended.status.deadline_exceeded = None;
    mended.status.updated = 0;
    ledger.seen(mended, now);
    ledger.seen(stuck, now);
    assert_eq!(ledger.failing().len(), 1, "now it is the deadline of this rollout");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_whose_controller_never_takes_the_old_deadline_back_fails_after_as_long() {
    let (mut ledger, now) = beginning();
    let mut stuck = restarted(false);
    stuck.deadline = Some(Duration::from_secs(60));
    stuck.status.deadline_exceeded = Some(String::new());
    ledger.begun(0, Ok(stuck), now);
    ledger.looks(now + Duration::from_secs(59));
    assert!(ledger.failing().is_empty());
    ledger.looks(now + Duration::from_secs(60));
    assert_eq!(ledger.failing().len(), 1);
}
