//! What there is beside a unit's process: an endpoint that serves, a candidate of an election.

use super::FakeSystemd;

/// Plays what accompanies a unit. `start` is called whenever the unit has begun to run under a new InvocationID; what it
/// gives lives as long as that run and is then handed to `end`. Goes on until it is dropped.
pub async fn accompany<R, Started, Ended>(
    systemd: &FakeSystemd,
    unit: &str,
    mut start: impl FnMut() -> Started,
    mut end: impl FnMut(R) -> Ended,
) where
    Started: Future<Output = R>,
    Ended: Future<Output = ()>,
{
    let mut changes = systemd.changes();
    let mut running: Option<(String, R)> = None;
    loop {
        changes.mark_unchanged();
        let now = systemd.unit(unit);
        let runs = now.active_state == "active";
        if let Some((_, companion)) = running.take_if(|(invocation, _)| !runs || *invocation != now.invocation_id) {
            end(companion).await;
        }
        if runs && running.is_none() {
            running = Some((now.invocation_id, start().await));
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
