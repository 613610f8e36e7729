//! The steps: done, found done, gone on with, taken back.

use std::{fs, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::sleep;
use usher_coordinator::{
    exit::Exit,
    interrupt::Interrupt,
    problem::Kind,
    switch::{SwitchReport, said_both_ways},
};
use usher_core::staging::{Position, State, position};
use usher_testkit::apiserver::{ApiServer, fixtures::lease};

use super::pair::Pair;

async fn active(pair: &Pair) -> Position {
    let [b, a] = said_both_ways(&pair.staging, &Pair::to_b()).await;
    position([&a, &b])
}

fn states(report: &SwitchReport) -> Vec<(&str, State)> {
    report.steps.iter().map(|step| (step.name.as_str(), step.state)).collect()
}

fn is_free(api: &ApiServer) -> bool {
    let holder = api.get::<Lease>("kube-system/usher").and_then(|lease| lease.spec?.holder_identity);
    holder.is_none_or(|holder| holder.is_empty())
}

const APPLIED: [&str; 4] = ["hiera: apply b", "pool: apply b", "dns: apply b", "depool: apply b"];

#[tokio::test]
async fn a_switch_does_its_steps_in_order_with_proof_and_is_the_other_clusters_state_afterwards() {
    let pair = Pair::create();
    assert_eq!(active(&pair).await, Position::Active { at: 0 });
    let report = pair.switch().await;
    assert_eq!((report.exit, pair.log()), (Exit::Done, APPLIED.map(str::to_owned).to_vec()), "{report:#?}");
    assert_eq!(
        (pair.points_to(), active(&pair).await),
        (["b", "b", "b"].map(str::to_owned), Position::Active { at: 1 })
    );
    assert!(report.summary.starts_with("b is the active staging cluster"), "{}", report.summary);
    assert!(is_free(&pair.source) && is_free(&pair.target));
    let spec = pair.target.get::<Lease>("kube-system/usher").unwrap();
    assert!(format!("{spec:?}").contains("staging switch to b: it's $HOME"), "{spec:?}");
}

#[tokio::test]
async fn what_is_done_already_is_left_as_it_is() {
    let pair = Pair::create();
    pair.switch().await;
    pair.forget_log();
    let report = pair.switch().await;
    assert_eq!((report.exit, pair.log()), (Exit::Done, Vec::new()));
    assert!(states(&report).iter().all(|(_, state)| *state == State::Found), "{report:#?}");
}

#[tokio::test]
async fn a_switch_that_was_cut_off_goes_on_where_the_checks_say() {
    let pair = Pair::create();
    // usher was killed after the second step.
    pair.set("hiera", "b");
    pair.set("pool", "a\nb");
    assert_eq!(active(&pair).await, Position::Between);
    let report = pair.switch().await;
    assert_eq!((report.exit, pair.log()), (Exit::Done, APPLIED[2..].iter().map(|&it| it.to_owned()).collect()));
    assert_eq!(active(&pair).await, Position::Active { at: 1 });
}

#[tokio::test]
async fn going_back_from_the_middle_is_a_switch_to_the_other_one() {
    let pair = Pair::create();
    pair.set("hiera", "b");
    pair.set("pool", "a\nb");
    let (_signals, interrupt) = Interrupt::by_hand();
    let report = pair.run(&Pair::to_b().reversed(), &interrupt, true).await.unwrap();
    assert_eq!(
        (report.exit, pair.log()),
        (Exit::Done, vec!["hiera: apply a".to_owned(), "depool: apply a".to_owned()])
    );
    assert_eq!(
        (pair.points_to(), active(&pair).await),
        (["a", "a", "a"].map(str::to_owned), Position::Active { at: 0 })
    );
}

#[tokio::test]
async fn a_step_without_its_effect_is_taken_back_with_those_before_it_the_last_first() {
    let mut pair = Pair::create();
    pair.step("dns").verify = Some(["sh", "-c", "echo the old address; exit 1"].map(str::to_owned).to_vec());
    let report = pair.switch().await;
    assert_eq!(report.exit, Exit::Failed, "{report:#?}");
    let undone = ["dns: undo a", "pool: undo a", "hiera: undo a"];
    let expected: Vec<_> = APPLIED[..3].iter().chain(&undone).map(|&it| it.to_owned()).collect();
    assert_eq!((pair.log(), pair.points_to()), (expected, ["a", "a", "a"].map(str::to_owned)));
    assert_eq!(active(&pair).await, Position::Active { at: 0 });
    assert!(report.summary.contains("dns does not have its effect within 2.0s"), "{}", report.summary);
    assert!(report.summary.contains("a is the active one as before"), "{}", report.summary);
    assert!(report.details.iter().any(|line| line.contains("the old address")), "{report:#?}");
    assert!(is_free(&pair.source) && is_free(&pair.target));
}

#[tokio::test]
async fn a_step_that_cannot_be_taken_back_is_told_with_the_command_and_the_others_are_taken_back_all_the_same() {
    let mut pair = Pair::create();
    pair.step("dns").apply = vec!["false".to_owned()];
    pair.step("pool").undo = Some(["sh", "-c", "echo locked; exit 3", "{from}"].map(str::to_owned).to_vec());
    pair.step("hiera").undo = None;
    let report = pair.switch().await;
    assert_eq!(report.exit, Exit::Failed);
    let expected =
        [("hiera", State::Stays), ("pool", State::Stays), ("dns", State::TakenBack), ("depool", State::Waiting)];
    assert_eq!(states(&report), expected, "{report:#?}");
    assert!(report.summary.contains("NOT taken back: hiera, pool"), "{}", report.summary);
    assert!(
        report.next.iter().any(|line| line == "take pool back by hand: sh -c 'echo locked; exit 3' a"),
        "{report:#?}"
    );
    assert!(report.details.iter().any(|line| line.contains("hiera has no undo command and stays")), "{report:#?}");
    assert!(report.is_between());
}

#[tokio::test]
async fn a_check_that_gives_no_answer_stops_the_switch_before_its_step() {
    let mut pair = Pair::create();
    pair.step("dns").check = ["sh", "-c", "echo no route; exit 9"].map(str::to_owned).to_vec();
    let report = pair.switch().await;
    assert_eq!((report.exit, pair.points_to()), (Exit::Failed, ["a", "a", "a"].map(str::to_owned)));
    assert!(
        report.summary.contains("the check of dns gives no answer") && report.summary.contains("no route"),
        "{report:#?}"
    );
    assert_eq!(active(&pair).await, Position::Unclear);
}

#[tokio::test]
async fn the_operator_is_asked_before_a_step_that_says_so_and_a_no_takes_everything_back() {
    let mut pair = Pair::create();
    pair.step("dns").confirm = true;
    let (_signals, interrupt) = Interrupt::by_hand();
    let report = pair.run(&Pair::to_b(), &interrupt, false).await.unwrap();
    assert_eq!((report.exit, pair.points_to()), (Exit::Failed, ["a", "a", "a"].map(str::to_owned)), "{report:#?}");
    assert!(pair.told.borrow().iter().any(|line| line == "asked: dns"), "{:?}", pair.told);
    assert_eq!(pair.switch().await.exit, Exit::Done);
}

#[tokio::test]
async fn an_interrupt_stops_before_the_next_step_and_takes_back_what_was_done() {
    let mut pair = Pair::create();
    pair.step("pool").settle = Duration::from_secs(60);
    let (signals, interrupt) = Interrupt::by_hand();
    let direction = Pair::to_b();
    let press = async {
        while !pair.told.borrow().iter().any(|line| line.contains("waiting")) {
            sleep(Duration::from_millis(20)).await;
        }
        signals.send_replace(1);
    };
    let (report, ()) = futures::join!(pair.run(&direction, &interrupt, true), press);
    let report = report.unwrap();
    assert_eq!((report.exit, pair.points_to()), (Exit::Interrupted, ["a", "a", "a"].map(str::to_owned)), "{report:#?}");
    let expected = ["hiera: apply b", "pool: apply b", "pool: undo a", "hiera: undo a"];
    assert_eq!(pair.log(), expected);
}

#[tokio::test]
async fn nothing_begins_while_somebody_works_on_either_cluster() {
    for is_source in [false, true] {
        let pair = Pair::create();
        let api = if is_source { &pair.source } else { &pair.target };
        api.add(lease("kube-system/usher").lasts(Duration::from_secs(60)).held_by("bob@bastion/9x2kq"));
        let (_signals, interrupt) = Interrupt::by_hand();
        let problem = pair.run(&Pair::to_b(), &interrupt, true).await.unwrap_err();
        assert_eq!((problem.kind, pair.log().len()), (Kind::Locked, 0), "{problem}");
        assert!(problem.message.contains("bob@bastion"), "{problem}");
        assert!(!is_source || is_free(&pair.target));
    }
}

#[tokio::test]
async fn commands_get_their_words_without_a_shell() {
    let mut pair = Pair::create();
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    pair.staging.steps.truncate(1);
    pair.step("hiera").apply = [
        "sh",
        "-c",
        "printf '%s\\n' \"$@\" > \"$0\"; echo {to} > '{FILE}'",
        &said.display().to_string(),
        "{from_data_centre}",
        "{to_data_centre}",
        "{reason}",
        "{other}",
    ]
    .map(|word| word.replace("{FILE}", &pair.hiera().display().to_string()))
    .to_vec();
    let report = pair.switch().await;
    assert_eq!(report.exit, Exit::Done, "{report:#?}");
    assert_eq!(fs::read_to_string(said).unwrap(), "eqiad\ncodfw\nit's $HOME\n{other}\n");
}
