//! What a change may ask of the API: its table of rights is what it does, and it does not begin while one is missing.

use std::collections::BTreeSet;

use http::Method;
use usher_coordinator::{drain::Confirm, exit::Exit, operation, request::Kind};
use usher_core::rights;
use usher_testkit::{
    apiserver::Fault,
    rig::site::{Change, TestSite, cordon, drain, rebalance, reboot, restart, uncordon},
};

/// Where a client asks about its own rights.
const REVIEWS: &str = "/selfsubjectaccessreviews";

/// Every kind of change at its fullest.
fn changes() -> Vec<Change> {
    vec![
        restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]),
        reboot(&["cp1", "w1"]).and_rebalance(),
        drain(&["w1"]),
        rebalance(&["w1"]),
        cordon(&["w1"]),
        uncordon(&["w1"]),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_change_asks_for_every_right_that_it_uses_and_would_fail_without_those_it_insists_on() {
    for change in changes() {
        let site = TestSite::start().await;
        match change.request().kind {
            Kind::Uncordon(_) => drop(site.run(cordon(&["w1"])).await),
            // Only an empty node gets pods.
            Kind::Rebalance(_) => {
                site.run(drain(&["w1"])).await;
                site.run(uncordon(&["w1"])).await;
            }
            _ => {}
        }
        site.api.forget_requests();
        let ended = site.run(change.clone()).await;
        assert_eq!(ended.exit, Exit::Done, "{change:?}: {} {:?}", ended.summary, ended.details);
        let request = change.request();
        let needs = rights::needs(&request, &site.settings, |machine| machine.starts_with("cp"));
        let word = |right: &rights::Right| format!("{} {}", right.verb, right.resource);
        let all: BTreeSet<_> = needs.iter().map(|need| word(&need.right)).collect();
        let used: BTreeSet<_> = site.api.requests().into_iter().map(|call| call.right).collect();
        let unlisted: Vec<_> = used.difference(&all).filter(|right| !is_everybodys(right)).collect();
        assert!(unlisted.is_empty(), "{change:?} uses {unlisted:?}, which its table does not have");
        let must: BTreeSet<_> =
            needs.iter().filter(|need| need.without.is_none()).map(|need| word(&need.right)).collect();
        // The lock is made by the first operation of a cluster, and updated by all others.
        let lock = ["create leases", "update leases"];
        let has_lock = |right: &&String| lock.contains(&right.as_str()) && lock.iter().any(|way| used.contains(*way));
        let unused: Vec<_> = must.difference(&used).filter(|right| !has_lock(right)).collect();
        assert!(unused.is_empty(), "{change:?} insists on {unused:?} and does not use it");
    }
}

/// What every user may do, and what usher does without where it may not.
fn is_everybodys(right: &str) -> bool {
    ["create selfsubjectaccessreviews", "get /version", "get endpoints"]
        .iter()
        .any(|everybodys| right.ends_with(everybodys) || right.ends_with(REVIEWS))
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_right_is_refused_before_the_lock_with_the_rule_that_would_grant_it() {
    let site = TestSite::start().await;
    site.api.forbid("create", "pods/eviction");
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Refused, "{ended:#?}");
    assert_eq!(ended.summary, "the user of the kubeconfig may not create pods/eviction, which usher reboot needs");
    assert_eq!(
        ended.details,
        ["rules of a ClusterRole:", "- apiGroups: [\"\"]", "  resources: [\"pods/eviction\"]", "  verbs: [\"create\"]"]
    );
    assert!(ended.next.iter().any(|hint| hint.ends_with("usher doctor")), "{:?}", ended.next);
    assert_eq!(site.api.writes(), [""; 0], "nothing was changed, and the lock was not taken");
}

#[tokio::test(start_paused = true)]
async fn a_right_of_the_control_plane_is_wanted_only_where_one_is_touched() {
    let site = TestSite::start().await;
    site.api.forbid("get", "/readyz");
    assert_eq!(site.run(drain(&["w1"])).await.exit, Exit::Done);
    let ended = site.run(restart(&["kube-scheduler"])).await;
    assert_eq!(ended.exit, Exit::Refused);
    assert!(ended.details.contains(&"- nonResourceURLs: [\"/readyz\"]".to_owned()), "{:?}", ended.details);
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_on_with_a_warning_where_nobody_tells_whether_its_rights_are_there() {
    let site = TestSite::start().await;
    site.api.inject(Fault::on(Method::POST, REVIEWS).status(403).always());
    let world = site.world().await;
    let planned = operation::plan(&world, &cordon(&["w1"]).request(), Confirm::Never).await.unwrap();
    let [warning] = &planned.plan.warnings[..] else { panic!("{:?}", planned.plan.warnings) };
    assert!(warning.starts_with("nobody can tell beforehand whether all rights are there: cannot ask"), "{warning}");
    assert_eq!(site.run(cordon(&["w1"])).await.exit, Exit::Done);
}
