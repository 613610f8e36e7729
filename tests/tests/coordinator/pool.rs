//! Apiservers around the site's own pool commands.

use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{CONTROL_PLANE, TestSite, Then, restart};

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

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

#[tokio::test(start_paused = true)]
async fn nobody_leaves_the_pool_while_no_other_machine_is_in_it() {
    let site = TestSite::with_pool().await;
    site.pool.leaves("cp2");
    site.pool.leaves("cp3");
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("cp1 stays in the load balancer's pool"), "{}", ended.summary);
    assert!(
        ended.next.iter().any(|line| line.starts_with("when the apiserver of cp2 is ready, put it back: ")),
        "{ended:#?}"
    );
    assert_eq!(site.journal.only(&["cp"]), [""; 0]);
    assert_eq!(site.pool.members(), ["cp1"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_out_of_the_pool_is_restarted_and_left_out() {
    let site = TestSite::with_pool().await;
    site.pool.leaves("cp2");
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    assert_eq!(site.journal.only(&["pooled"]), ["cp1: depooled", "cp1: pooled", "cp3: depooled", "cp3: pooled"]);
    assert_eq!(site.journal.only(&["restart"]).len(), 3);
    assert_eq!(site.pool.members(), ["cp1", "cp3"]);
    let warned =
        ended.only(&["warning: cp2 was out of the load balancer's pool before, and stays out; to put it back: "]);
    assert_eq!(warned.len(), 1, "{:#?}", ended.told);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_tell_is_no_proof_that_a_machine_is_out() {
    let mut site = TestSite::with_pool().await;
    let check = site.pool.commands().check.unwrap().pop().unwrap();
    // As ssh ends when it gets no connection; from the depool on.
    site.command(|commands| commands.check = Some(shell(&format!("{check} || exit 255"))));
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Failed, "{ended:#?}");
    assert!(ended.summary.contains("whether cp1 is out of the pool is not known"), "{}", ended.summary);
    assert_eq!(site.journal.only(&["cp"]), ["cp1: depooled", "cp1: pooled"]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_command_that_runs_is_shown_as_it_would_be_typed() {
    let site = TestSite::with_pool().await;
    let mut running = Vec::new();
    let ended = site.run_and(restart(&["kube-apiserver"]), |told| {
        running.extend(told.contains(" waits: running ").then(|| told.to_owned()));
        Then::GoOn
    });
    assert_eq!(ended.await.exit, Exit::Done);
    assert_eq!(running.len(), 6, "{running:#?}");
    assert!(running.iter().all(|told| !told.contains("{node}")), "{running:#?}");
}

#[tokio::test(start_paused = true)]
async fn behind_a_balancer_that_keeps_usher_on_another_apiserver_the_check_is_believed_and_a_warning_says_so() {
    let site = TestSite::with_sticky_balancer("cp2").await;
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let warned = ended.only(&["cannot be told apart"]);
    assert_eq!(warned.len(), 2, "cp2 is met: {:#?}", ended.told);
    for (warning, machine) in warned.into_iter().zip(["cp1", "cp3"]) {
        let (begins, ends) = (
            format!("warning: {machine} cannot be told apart behind https://balancer:6443 (each of "),
            " connections met https://cp2:6443: it seems to keep a client on one server); your check command says that it is in the pool",
        );
        assert!(warning.starts_with(&begins) && warning.ends_with(ends), "{warning}");
    }
    assert_eq!(ended.only(&["in rotation"]), ["cp2: pool: seen in rotation"]);
    assert_eq!(site.pool.members(), CONTROL_PLANE);
}

#[tokio::test(start_paused = true)]
async fn without_a_check_a_balancer_that_keeps_usher_on_another_apiserver_ends_the_turn_with_what_would_tell() {
    let mut site = TestSite::with_sticky_balancer("cp2").await;
    site.command(|commands| commands.check = None);
    let ended = site.run(restart(&["kube-apiserver"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.summary.contains("cp1 was not met behind https://balancer:6443: each of "), "{}", ended.summary);
    assert!(ended.summary.contains(" new connections within 5.0s met https://cp2:6443"), "{}", ended.summary);
    let hint =
        "a balancer that keeps a client on one server shows no other; name a check command under [load_balancer]";
    assert!(ended.next.iter().any(|line| line == hint), "{ended:#?}");
    assert_eq!(site.journal.only(&["restart"]), ["cp1: restart kube-apiserver.service"]);
    assert_eq!(site.pool.members(), CONTROL_PLANE, "its pool command was run");
}
