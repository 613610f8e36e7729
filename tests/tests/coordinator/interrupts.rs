//! The operator's side fails: ^C, once or twice, at every moment of an operation. Whatever the moment, the world ends as it was, or the
//! report names each machine that was left with something, and the command that mends it.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use tokio::time::sleep;
use usher_coordinator::{drain::Confirm, event::Events, exit::Exit, interrupt::Interrupt, operation};
use usher_testkit::{
    apiserver::Fault,
    rig::site::{CONTROL_PLANE, Change, Ended, TestSite, Then, drain, reboot, restart},
};

/// How often the operator presses ^C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presses {
    Once,
    /// Twice at the same moment.
    Twice,
    /// And once more as soon as something else is told: while things are taken back.
    OnceAndAgain,
}

/// An operation that is interrupted, on a site with a balancer before the apiservers.
struct Case {
    change: fn() -> Change,
    presses: &'static [Presses],
}

/// What is told up to what differs from one time to the next: a number, an id, the path of the pool.
fn stem(told: &str) -> String {
    let (machine, rest) = told.split_once(": ").unwrap_or((told, ""));
    let ends = ["(", "boot ", "sh -c"].into_iter().filter_map(|mark| rest.find(mark));
    let end = ends.chain(rest.find(|char: char| char.is_ascii_digit())).min().unwrap_or(rest.len());
    format!("{machine}: {}", &rest[..end])
}

/// Every moment of an operation that nobody interrupts: whatever is told, waiting included.
async fn moments(case: &Case) -> Vec<String> {
    let site = TestSite::with_pool().await;
    let mut moments = Vec::new();
    let mut seen = BTreeSet::new();
    let ended = site.run_and((case.change)(), |told| {
        if seen.insert(stem(told)) {
            moments.push(stem(told));
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    moments
}

async fn interrupted_at_every_moment(case: Case) {
    for moment in moments(&case).await {
        for presses in case.presses {
            let site = TestSite::with_pool().await;
            let mut met = 0;
            let ended = site.run_and((case.change)(), |told| {
                met += usize::from(met > 0 || stem(told) == moment);
                match (met, presses) {
                    (0, _) => Then::GoOn,
                    (_, Presses::Twice) => Then::Insist,
                    (1, _) | (_, Presses::Once) => Then::Interrupt,
                    (_, Presses::OnceAndAgain) => Then::Insist,
                }
            });
            let ended = ended.await;
            let what = format!("{presses:?} at {moment:?}");
            assert!(met > 0, "{what}: never told: {:#?}", ended.told);
            let wrong = wrong(&site, &ended, *presses);
            assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{ended:#?}\n{:#?}", site.journal.lines());
        }
    }
}

/// What is wrong with the end of an operation that was interrupted.
fn wrong(site: &TestSite, ended: &Ended, presses: Presses) -> Vec<String> {
    let mut wrong = Vec::new();
    let said = |words: &[&str]| {
        let mut lines = ended.details.iter().chain(&ended.next).chain(&ended.told);
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    if !matches!(ended.exit, Exit::Interrupted | Exit::Done) {
        wrong.push(format!("it ends with {:?}", ended.exit));
    }
    if ended.exit == Exit::Interrupted && ended.next.is_empty() {
        wrong.push("nobody says what to do next".to_owned());
    }
    if !site.lock_is_free() && !said(&["the lock was not given back"]) {
        wrong.push("the lock is held, and nobody says so".to_owned());
    }
    // What was left, each with words that must be said of it.
    let mut left: Vec<(String, Vec<String>)> = Vec::new();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    for node in site.cordoned() {
        left.push((format!("{node} is cordoned"), words(&[&format!("usher uncordon {node}")])));
    }
    let members = site.pool.members();
    for machine in CONTROL_PLANE.into_iter().filter(|machine| !members.iter().any(|member| member == machine)) {
        left.push((format!("{machine} is out"), words(&[machine, "out of the load balancer's pool", "sh -c"])));
    }
    for unit in site.units_down() {
        let (machine, unit) = unit.split_once(' ').unwrap();
        let machine_is_down = site.journal.lines().iter().any(|line| *line == format!("{machine}: reboot"));
        // An agent ends a restart that it has begun.
        let is_restarting = ended.told.iter().any(|line| *line == format!("{machine}: restart"));
        let word =
            if is_restarting { format!("usher agent status {machine}") } else { format!("systemctl start {unit}") };
        if !machine_is_down {
            left.push((format!("{unit} does not run on {machine}"), words(&[machine, unit, &word])));
        }
    }
    for line in site.journal.lines() {
        let Some(machine) = line.strip_suffix(": reboot") else { continue };
        let is_over = ended.done.iter().any(|done| done == machine)
            || ended.told.iter().any(|line| line.starts_with(&format!("{machine}: reboot: boot ")));
        if !is_over {
            left.push((format!("{machine} reboots"), words(&[&format!("usher agent status {machine}")])));
        }
    }
    for (what, words) in left {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match presses {
            Presses::Once => wrong.push(format!("{what}: not taken back")),
            _ if said(&words) => {}
            _ => wrong.push(format!("{what}, and nobody says {words:?}")),
        }
    }
    wrong
}

const ALL: &[Presses] = &[Presses::Once, Presses::Twice, Presses::OnceAndAgain];

#[tokio::test(start_paused = true)]
async fn a_workers_reboot_is_taken_back_or_told_wherever_it_is_interrupted() {
    interrupted_at_every_moment(Case { change: || reboot(&["w1"]), presses: ALL }).await;
}

#[tokio::test(start_paused = true)]
async fn a_control_planes_reboot_is_taken_back_or_told_wherever_it_is_interrupted() {
    interrupted_at_every_moment(Case { change: || reboot(&["cp3"]), presses: ALL }).await;
}

#[tokio::test(start_paused = true)]
async fn an_apiservers_restart_is_taken_back_or_told_wherever_it_is_interrupted() {
    let change = || restart(&["kube-apiserver"]).on(&["cp2"]);
    interrupted_at_every_moment(Case { change, presses: &[Presses::Once, Presses::Twice] }).await;
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_is_taken_back_or_told_wherever_it_is_interrupted() {
    let change = || restart(&["kube-controller-manager"]).on(&["cp3"]);
    interrupted_at_every_moment(Case { change, presses: ALL }).await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_taken_while_the_operator_interrupts_is_given_back() {
    let site = TestSite::start().await;
    site.api.inject(Fault::on(Method::POST, "/leases").answer_late(Duration::from_secs(1)));
    let world = site.world().await;
    let request = drain(&["w1"]).request();
    let planned = operation::plan(&world, &request, Confirm::Never).await.unwrap();
    let (stop, interrupt) = Interrupt::by_hand();
    let (events, _stream) = Events::new();
    let names = ("op1".to_owned(), "ann@host".to_owned());
    let running = operation::carry_out(&world, &request, names, &planned, &interrupt, &events);
    let pressing = async {
        sleep(Duration::from_millis(500)).await;
        stop.send_replace(1);
    };
    let (ended, ()) = tokio::join!(running, pressing);
    assert_eq!(ended.unwrap_err().exit(), Exit::Interrupted);
    assert!(site.lock_is_free());
    assert!(site.cordoned().is_empty());
}
