//! Apiservers around the site's own pool commands.

use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{CONTROL_PLANE, TestSite, restart};

#[tokio::test(start_paused = true)]
async fn each_apiserver_is_out_of_the_pool_while_it_restarts_and_back_before_the_next_one() {
    let site = TestSite::with_pool().await;
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let expected: Vec<_> = CONTROL_PLANE
        .iter()
        .flat_map(|name| ["depooled", "restart kube-apiserver.service", "pooled"].map(|what| format!("{name}: {what}")))
        .collect();
    assert_eq!(site.journal.only(&["cp"]), expected);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn a_depool_command_that_fails_leaves_the_apiserver_alone_and_the_machine_in_the_pool() {
    let mut site = TestSite::with_pool().await;
    site.command(|commands| {
        commands.depool = Some(vec!["sh".into(), "-c".into(), "echo no such server; exit 3".into()]);
    });
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("exit code 3") && ended.summary.contains("not touched: cp2, cp3"), "{ended:#?}");
    assert!(ended.details.iter().any(|line| line.contains("no such server")), "{ended:#?}");
    assert_eq!(site.journal.only(&["restart"]), [""; 0]);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_the_balancer_keeps_in_the_pool_is_not_restarted() {
    let mut site = TestSite::with_pool().await;
    site.command(|commands| commands.depool = Some(vec!["true".into()]));
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.summary.contains("cp1 is still in the pool"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["restart"]), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_come_back_into_the_pool_stops_the_roll() {
    let mut site = TestSite::with_pool().await;
    site.command(|commands| commands.pool = Some(vec!["true".into()]));
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.summary.contains("cp1 is not in the pool"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["restart"]), ["cp1: restart kube-apiserver.service"]);
    assert_eq!(site.pool.members(), ["cp2", "cp3"]);
}
