//! `usher drain NODE...` as a whole: cordons, drains, and what is taken back.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use tokio::time::Instant;
use usher_coordinator::{
    cluster::{Cluster, LockRequest},
    drain::{Confirm, DrainOptions, Drainer, Verdict},
    event::{Event, Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    plan::{self, Target},
    request::{self, Connection, Eviction, Request},
    runner::{LeftBehind, Outcome, Run},
    world::World,
};
use usher_core::operation::Mandate;
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, deployment, node, pod},
};

use crate::cluster::{MINUTE, on, seconds};

/// Runs `usher drain` on the nodes to its end; interrupts it after some time, if that is given.
async fn drain(
    api: &ApiServer,
    nodes: &[&str],
    concurrency: usize,
    options: DrainOptions,
    interrupt_after: Option<std::time::Duration>,
) -> (Outcome, Vec<Event>) {
    let site = usher_coordinator::site::Site::default();
    let world = World::open(site, Cluster::over(api.client(), "test", "memory")).await.unwrap();
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let closed = nodes.iter().cloned().collect();
    let drain = DrainOptions { closed, ..options };
    let kind = request::Kind::Drain(request::Drain { nodes, concurrency, eviction: Eviction::default() });
    let request = Request { kind, reason: "test".into(), task_id: None, connection: Connection::default() };
    let facts = world.facts(&request.scope(|_| false)).await.unwrap();
    let plan = plan::make(&request, &facts, &world.site).unwrap();
    let mandate = Mandate { operation: "op1".into(), requester: "ann@host".into(), epoch: 1 };
    let (stop, interrupt) = Interrupt::by_hand();
    let (events, mut stream) = Events::new();
    let run = Run {
        world: &world,
        request: &request,
        mandate: &mandate,
        drain: &drain,
        lock: None,
        interrupt: &interrupt,
        events: &events,
        turns_before: 0,
        left: &LeftBehind::default(),
    };
    let press = async {
        match interrupt_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
        stop.send_replace(1);
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = run.to_end(plan, facts, true) => outcome,
        () = press => unreachable!(),
    };
    drop(events);
    let mut told = Vec::new();
    while let Some(event) = stream.recv().await {
        told.push(event);
    }
    (outcome, told)
}

/// Some nodes with two pods each, and one more that takes what they lose.
fn site(nodes: &[&str]) -> ApiServer {
    let api = ApiServer::new();
    for name in nodes {
        api.add(node(name));
        for number in 0..2 {
            api.add(pod(&format!("web/{name}-{number}")).on(name).owned_by_job("batch").stops_after(seconds(10)));
        }
    }
    api.add(node("spare"));
    api
}

fn is_cordoned(api: &ApiServer, name: &str) -> bool {
    api.get::<Node>(name).and_then(|node| node.spec?.unschedulable).unwrap_or_default()
}

fn cordoned<'n>(api: &ApiServer, nodes: &[&'n str]) -> Vec<&'n str> {
    nodes.iter().copied().filter(|name| is_cordoned(api, name)).collect()
}

fn machines(turns: &[Target]) -> Vec<&str> {
    turns.iter().map(Target::machine).collect()
}

/// The machines that are done, have failed and are untouched.
fn ended(outcome: &Outcome) -> [Vec<&str>; 3] {
    [&outcome.done, &outcome.failed, &outcome.untouched].map(|turns| machines(turns))
}

const NODES: [&str; 3] = ["w1", "w2", "w3"];

#[tokio::test(start_paused = true)]
async fn all_nodes_are_cordoned_before_the_first_pod_goes() {
    let api = site(&NODES);
    api.forget_requests();
    let (outcome, _) = drain(&api, &NODES, 1, DrainOptions::default(), None).await;
    assert_eq!((outcome.exit, machines(&outcome.done)), (Exit::Done, NODES.to_vec()));
    let writes = api.writes();
    let last_cordon = writes.iter().rposition(|write| write.starts_with("PATCH")).unwrap();
    let first_eviction = writes.iter().position(|write| write.ends_with("/eviction")).unwrap();
    assert!(last_cordon < first_eviction, "{writes:?}");
    assert_eq!(cordoned(&api, &NODES), NODES);
    assert!(NODES.iter().all(|name| on(&api, name).is_empty()));
}

#[tokio::test(start_paused = true)]
async fn as_many_nodes_are_drained_at_a_time_as_was_asked_for() {
    for (concurrency, rounds) in [(1, 3), (2, 2), (3, 1), (200, 1)] {
        let api = site(&NODES);
        let begun = Instant::now();
        let (outcome, _) = drain(&api, &NODES, concurrency, DrainOptions::default(), None).await;
        let took = begun.elapsed();
        assert_eq!(outcome.exit, Exit::Done);
        let expected = seconds(10 * rounds);
        assert!(took >= expected && took < expected + seconds(3), "{concurrency} at a time took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nodes_that_only_waited_are_schedulable_again_and_the_drained_stay_cordoned() {
    let api = site(&NODES);
    api.add(pod("web/stuck").on("w2").owned_by_job("batch").never_stops());
    let options = DrainOptions { timeout: MINUTE, ..DrainOptions::default() };
    let (outcome, told) = drain(&api, &NODES, 1, options, None).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert_eq!(ended(&outcome), [["w1"], ["w2"], ["w3"]]);
    assert_eq!(cordoned(&api, &NODES), ["w1"]);
    assert_eq!(on(&api, "w3").len(), 2);
    let undone = told.iter().filter(|event| matches!(event.kind, Kind::Undone { .. })).count();
    assert_eq!(undone, 2, "the cordons of w2 and w3");
}

/// Each of them would wait for the API on its own, for hours together.
#[tokio::test(start_paused = true)]
async fn with_the_api_away_nodes_that_only_waited_are_named_with_one_command_within_minutes() {
    let names: Vec<_> = (1..=40).map(|number| format!("w{number}")).collect();
    let nodes: Vec<_> = names.iter().map(String::as_str).collect();
    let api = site(&nodes);
    api.add(pod("web/stuck").on("w1").owned_by_job("batch").never_stops());
    let begun = Instant::now();
    let options = DrainOptions { timeout: MINUTE, ..DrainOptions::default() };
    let outage = async {
        tokio::time::sleep(seconds(50)).await;
        api.outage(60 * MINUTE);
    };
    let ((outcome, _), ()) = tokio::join!(drain(&api, &nodes, 1, options, None), outage);
    let took = begun.elapsed();
    assert!(took < 5 * MINUTE, "{took:?}");
    assert_eq!((outcome.failed.len(), outcome.untouched.len()), (1, 39));
    let hints = outcome.problem.unwrap().hints;
    let one = hints.iter().find(|hint| hint.starts_with("once the API answers: usher uncordon 'w[")).unwrap();
    assert!(one.ends_with("-40]' -r REASON"), "{one}");
    assert_eq!(cordoned(&api, &nodes).len(), 40);
}

#[tokio::test(start_paused = true)]
async fn drains_that_run_beside_one_that_fails_come_to_their_end() {
    let api = site(&NODES);
    api.add(pod("web/two-budgets").on("w1").owned_by_job("batch").grace(seconds(1)));
    let failure = usher_testkit::apiserver::Failure::new(403, "Forbidden", "pods \"two-budgets\" is forbidden");
    let eviction = usher_testkit::apiserver::Fault::on(http::Method::POST, "two-budgets/eviction");
    api.inject(eviction.fail(failure).always());
    let (outcome, _) = drain(&api, &NODES, 2, DrainOptions::default(), None).await;
    assert_eq!(ended(&outcome), [["w2"], ["w1"], ["w3"]]);
    assert_eq!(cordoned(&api, &NODES), ["w2"]);
    assert_eq!(outcome.exit, Exit::Partly);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_drained_is_refused_before_any_pod_goes_and_nothing_stays_cordoned() {
    let api = site(&NODES);
    api.add(pod("tools/shell").on("w3"));
    let (outcome, _) = drain(&api, &NODES, 3, DrainOptions::default(), None).await;
    assert_eq!(outcome.exit, Exit::Refused, "{outcome:?}");
    assert!(outcome.done.is_empty());
    assert_eq!(cordoned(&api, &NODES), [""; 0]);
    assert!(!api.writes().iter().any(|write| write.ends_with("/eviction")));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_leaves_what_is_drained_and_takes_the_rest_back() {
    let api = site(&NODES);
    let (outcome, _) = drain(&api, &NODES, 1, DrainOptions::default(), Some(seconds(15))).await;
    assert_eq!(outcome.exit, Exit::Interrupted);
    assert_eq!(cordoned(&api, &NODES), ["w1"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_looks_once_who_makes_successors_and_at_no_agent_while_no_budget_keeps_a_pod() {
    let api = site(&["w1"]);
    api.forget_requests();
    drain(&api, &["w1"], 1, DrainOptions::default(), None).await;
    let asked: Vec<_> = api.requests().iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    let leases = asked.iter().filter(|call| call.contains("/leases/")).collect::<Vec<_>>();
    assert!(matches!(&leases[..], [one] if one.ends_with("/kube-controller-manager")), "{leases:?}");
    // Two looks at the nodes, one at the cluster and its clock, one at the lease, here in vain, and at where it was in old clusters; the
    // cordon, the drain itself, and whether the cordon was kept.
    assert_eq!(asked.len(), 15, "{asked:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_uncordoned_by_somebody_else_does_not_pass_for_drained() {
    let api = site(&["w1"]);
    let other = api.clone();
    let uncordon = async move {
        tokio::time::sleep(seconds(2)).await;
        other.edit::<Node>("w1", serde_json::json!({"spec": {"unschedulable": null}}));
    };
    let ((outcome, _), ()) = tokio::join!(drain(&api, &["w1"], 1, DrainOptions::default(), None), uncordon);
    assert_eq!(outcome.exit, Exit::Failed, "{outcome:?}");
    assert_eq!(
        outcome.problem.unwrap().message,
        "w1 was uncordoned by somebody else meanwhile; it may have pods again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_deleted_meanwhile_is_drained_and_the_report_says_so() {
    let api = site(&["w1"]);
    let other = api.clone();
    let delete = async move {
        tokio::time::sleep(seconds(2)).await;
        other.remove::<Node>("w1");
        other.remove::<Pod>("web/w1-0");
        other.remove::<Pod>("web/w1-1");
    };
    let ((outcome, told), ()) = tokio::join!(drain(&api, &["w1"], 1, DrainOptions::default(), None), delete);
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    let mut facts = told.iter().filter_map(|event| match &event.kind {
        Kind::Fact { what, .. } => Some(what.as_str()),
        _ => None,
    });
    assert_eq!(facts.next_back(), Some("the Node was deleted meanwhile"));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_drained_together_are_no_place_for_each_others_pods() {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/web").replicas(2)).add(budget("web/web").max_unavailable(1));
    tokio::time::sleep(seconds(5)).await;
    for (closed, expected) in [(vec![], 0), (vec!["w1".to_owned(), "w2".to_owned()], 1)] {
        let options = DrainOptions { closed: closed.into_iter().collect(), ..DrainOptions::default() };
        let drainer = Drainer::new(api.client());
        let previews = drainer.previews(&["w1".to_owned(), "w2".to_owned()], &options, Confirm::Nothing).await.unwrap();
        let homeless = previews
            .iter()
            .flat_map(|preview| &preview.pods)
            .filter(|pod| pod.cautions.iter().any(|caution| caution.contains("no other node takes it now (1 closed)")));
        assert_eq!(usize::from(homeless.count() > 0), expected, "{previews:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_renewed_and_given_back_and_left_alone_once_it_is_anothers() {
    let api = ApiServer::new();
    let cluster = Cluster::over(api.client(), "test", "memory");
    let request = |operation: &str| LockRequest {
        operation: operation.into(),
        requester: "ann@host".into(),
        reason: "test".into(),
        task_id: None,
        epochs: BTreeMap::new(),
    };
    let renewed = || api.get::<Lease>("kube-system/usher").and_then(|lease| lease.spec?.renew_time);
    let lock = cluster.acquire_lock(&request("op1")).await.unwrap();
    let first = renewed();
    tokio::time::sleep(seconds(11)).await;
    assert_ne!(renewed(), first);
    lock.release().await.unwrap();
    assert_eq!(cluster.lock_holder().await.unwrap(), None);

    let lost = cluster.acquire_lock(&request("op2")).await.unwrap();
    api.edit::<Lease>("kube-system/usher", serde_json::json!({"spec": {"holderIdentity": "bob@host/op3"}}));
    tokio::time::sleep(seconds(11)).await;
    assert!(!lost.is_held());
    lost.release().await.unwrap();
    assert_eq!(cluster.lock_holder().await.unwrap().unwrap().operation, "op3");
}

#[tokio::test(start_paused = true)]
async fn how_long_a_pod_has_been_unready_is_told_by_the_servers_clock_whatever_the_operators_says() {
    usher_common::clock::follow_tokio(usher_common::clock::now());
    for ahead in [-10, 0, 10] {
        let api = ApiServer::with_clock(SignedDuration::from_mins(ahead));
        api.add(node("w1")).add(node("w2"));
        let part = |name: &str| pod(name).labelled("app", "pg").owned_by_stateful_set("pg");
        api.add(part("db/pg-0").on("w1").unready())
            .add(part("db/pg-1").on("w2"))
            .add(part("db/pg-2").on("w2").unready());
        api.add(budget("db/pg").selecting("app", "pg").min_available(2));
        tokio::time::sleep(MINUTE).await;
        let cluster = Cluster::over(api.client(), "test", "memory");
        let world = World::open(usher_coordinator::site::Site::default(), cluster).await.unwrap();
        let drainer = world.drainer().await;
        let verdict = async || {
            let previews = drainer.previews(&["w1".to_owned()], &DrainOptions::default(), Confirm::Nothing).await;
            previews.unwrap().remove(0).pods.remove(0).verdict
        };
        assert!(matches!(verdict().await, Verdict::Wait { .. }), "{ahead} min ahead: {:?}", verdict().await);
        tokio::time::sleep(5 * MINUTE).await;
        assert!(matches!(verdict().await, Verdict::Never { .. }), "{ahead} min ahead: {:?}", verdict().await);
    }
}
