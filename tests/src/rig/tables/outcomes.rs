//! What the server may answer to an eviction, and what a drain makes of it; and what the preview, confirmed by dry runs, has
//! said of it before.

mod interposed;
mod play;
mod row;

use futures::{StreamExt as _, stream};
use kube::Client;
use serde_json::json;

use self::row::{
    Event::{
        BothDeleted, DeletedBefore, Denied, DeniedAndMoved, LongDeleted, NamespaceDeleted, NamespaceEmptied,
        ReplacedElsewhere, ReplacedHere, Vanishes,
    },
    Row, row, status,
};
use super::{
    AT_A_TIME,
    kubelet::Kubelet,
    place::{replaced, spare_node},
    report,
};

const GOES: &str = "goes";
const NEEDS_2_HAS_2: &str = "waits: The disruption budget web needs 2 healthy pods and has 2 currently";
const NEEDS_2_HAS_1: &str = "waits: The disruption budget web needs 2 healthy pods and has 1 currently";
/// What Kubernetes gives a pod that does not say.
const OWN_GRACE: i64 = 30;

/// Runs every row.
pub async fn hold(client: &Client) {
    spare_node(client).await;
    let kubelet = Kubelet::start(client.clone());
    let rows = rows().into_iter().enumerate().map(|(number, row)| play::run(client, &kubelet, number, row));
    report(stream::iter(rows).buffer_unordered(AT_A_TIME).collect().await);
}

fn rows() -> Vec<Row> {
    let unready = || replaced().unready();
    let (waits, wants_more) = ("waits for web: needs 2, has 2", "waits for web: needs 2, has 1");
    let uncounted = json!({"observedGeneration": 0, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 2,
        "expectedPods": 3});
    let mut failed_sync = status([3, 2, 0, 3]);
    failed_sync["conditions"] = json!([{"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed",
        "message": "no controller", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let always = json!({"minAvailable": 2, "unhealthyPodEvictionPolicy": "AlwaysAllow"});
    let if_healthy = json!({"minAvailable": 2, "unhealthyPodEvictionPolicy": "IfHealthyBudget"});
    vec![
        row("no budget", replaced(), "now", GOES),
        row("a budget with room", replaced(), "now", GOES).needs(2, [3, 2, 1, 3]),
        row("a budget without room", replaced(), waits, NEEDS_2_HAS_2).needs(2, [2, 2, 0, 3]),
        row("a budget that is not met", replaced(), wants_more, NEEDS_2_HAS_1).needs(2, [1, 2, 0, 3]),
        row(
            "a budget that needs all pods there are",
            replaced(),
            "never: budget HERE/web allows none: minAvailable 2, replicas 2",
            NEEDS_2_HAS_2,
        )
        .needs(2, [2, 2, 0, 2]),
        row(
            "a budget that is not counted yet",
            replaced(),
            waits,
            "waits: The disruption budget web is still being processed by the server.",
        )
        .budget("web", json!({"minAvailable": 2}), uncounted),
        row(
            "a budget that cannot be counted",
            replaced(),
            "never: budget HERE/web cannot be counted: no controller",
            "waits: The disruption budget web does not allow evicting pods currently because it failed sync: no controller",
        )
        .budget("web", json!({"minAvailable": 2}), failed_sync),
        row(
            "two budgets",
            replaced(),
            "never: the budgets one and two all apply to it, and the server evicts no such pod",
            "fails: This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )
        .budget("one", json!({"minAvailable": 1}), status([3, 1, 2, 3]))
        .budget("two", json!({"maxUnavailable": 1}), status([3, 2, 1, 3])),
        row("a budget, and --disable-eviction", replaced(), "now", GOES)
            .needs(2, [2, 2, 0, 3])
            .with("--disable-eviction"),
        // Pods that are not ready.
        row("unready, the budget is met", unready(), "now", GOES).needs(2, [2, 2, 0, 3]),
        row("unready, IfHealthyBudget, the budget is met", unready(), "now", GOES)
            .budget("web", if_healthy.clone(), status([2, 2, 0, 3])),
        row(
            "unready, IfHealthyBudget, the budget is not met",
            unready(),
            "never: it is not ready, and budget HERE/web needs 2 healthy, has 1",
            NEEDS_2_HAS_1,
        )
        .budget("web", if_healthy, status([1, 2, 0, 3])),
        row("unready, AlwaysAllow, the budget is not met", unready(), "now", GOES)
            .budget("web", always.clone(), status([1, 2, 0, 3])),
        row("ready, AlwaysAllow, the budget is not met", replaced(), wants_more, NEEDS_2_HAS_1)
            .budget("web", always, status([1, 2, 0, 3])),
        row(
            "unready, the budget wants none and allows none",
            unready(),
            "never: it is not ready, and budget HERE/web needs 0 healthy, has 0",
            "waits: The disruption budget web needs 0 healthy pods and has 0 currently",
        )
        .needs(0, [0, 0, 0, 3]),
        // Pods that no budget protects.
        row("not started", replaced().phase("Pending"), "now", GOES).needs(2, [1, 2, 0, 3]),
        row("ended well", replaced().phase("Succeeded"), "now", GOES).needs(2, [1, 2, 0, 3]),
        row("ended badly", replaced().phase("Failed"), "now", GOES).needs(2, [1, 2, 0, 3]),
        row("on its way out", replaced().never_ends(), "now", "waits: told to go, has not ended")
            .needs(2, [1, 2, 0, 3])
            .when(DeletedBefore),
        // How long pods are given.
        row("its own grace", replaced(), "now", GOES).given(OWN_GRACE),
        row("another grace", replaced(), "now", GOES).with("--grace-period=7").given(7),
        row("another grace, deleted", replaced(), "now", GOES).with("--grace-period=7 --disable-eviction").given(7),
        row("no grace", replaced(), "now", GOES).with("--grace-period=0").given(0),
        row("does not end", replaced().never_ends(), "now", "waits: told to go, has not ended"),
        row("its kubelet is gone", replaced().never_ends(), "stays (LongDeleted)", "stays (LongDeleted)")
            .with("--skip-wait-for-delete-timeout=1")
            .when(LongDeleted),
        row("its kubelet is gone, 0 is no limit", replaced().never_ends(), "now", "waits: told to go, has not ended")
            .with("--skip-wait-for-delete-timeout=0")
            .when(LongDeleted),
        // Pods that are gone, and others of the same name.
        row("gone meanwhile", replaced(), "now", GOES).when(Vanishes),
        row("gone meanwhile, deleted", replaced(), "now", GOES).when(Vanishes).with("--disable-eviction"),
        row("its successor is elsewhere", replaced(), "now", GOES).when(ReplacedElsewhere),
        row("its successor is elsewhere, deleted", replaced(), "now", GOES)
            .when(ReplacedElsewhere)
            .with("--disable-eviction"),
        row("its successor is here", replaced(), "now", "goes, and its successor").when(ReplacedHere),
        // What an admission webhook denies may change.
        row(
            "a webhook denies it",
            replaced(),
            "now",
            "waits: admission webhook \"keep.example\" denied the request: it is moved by its operator",
        )
        .when(Denied),
        row("a webhook denies it, and its owner moves it", replaced(), "now", GOES).when(DeniedAndMoved),
        // Namespaces that are being deleted take no evictions.
        row("the namespace goes, the pod not yet", replaced(), "now", "waits: its eviction was not answered yet")
            .when(NamespaceDeleted),
        row("the namespace goes, and the pod", replaced().never_ends(), "now", "waits: told to go, has not ended")
            .when(BothDeleted),
        row("the namespace goes, the pod in the end", replaced(), "now", GOES).when(NamespaceEmptied),
    ]
}
