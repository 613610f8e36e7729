//! ^C, and a helmfile that takes too long.

use std::time::Duration;

use usher_coordinator::{exit::Exit, helmfile::State, interrupt::Interrupt};
use usher_testkit::apiserver::fixtures::helm_revision;

use super::services::{Services, listed};

/// Cleans up when it is told to stop, as helmfile and helm do: Helm records the release as failed.
const OBEYS: &str = "trap 'echo \"upgraded shop/web 13\"; exit 130' INT; echo begun; while :; do sleep 0.05; done";

/// Does not hear.
const DEAF: &str = "trap '' INT TERM; echo begun; while :; do sleep 0.05; done";

fn services(sync: &str) -> Services {
    let services = Services::create();
    services.add("web", &[listed("web")], sync);
    services.api.add(helm_revision("shop/web", 12));
    services.add_plain("last");
    services
}

#[tokio::test]
async fn an_interrupt_is_passed_on_waited_for_and_says_what_may_be_half_done() {
    let services = services(OBEYS);
    let planned = [services.plan("web").await.unwrap(), services.plan("last").await.unwrap()];
    let (signals, interrupt) = Interrupt::by_hand();
    let press = |_: &str, line: &str| {
        if line == "begun" {
            signals.send_replace(1);
        }
    };
    let report = services.roll(&planned, &interrupt, press).await;
    assert_eq!((report.exit, report.services[0].state), (Exit::Interrupted, State::Interrupted), "{report:#?}");
    assert_eq!(
        report.summary,
        "interrupted: web may be half rolled: helmfile was told to stop (exit code 130); not begun: last"
    );
    assert_eq!(report.details, ["web: shop/web 12 → 13"]);
    assert!(report.next[0].contains("helm status web -n shop"), "{report:#?}");
    assert!(report.next[1].contains("usher rollout status -n shop"), "{report:#?}");
}

#[tokio::test]
async fn an_operator_who_insists_need_not_wait_for_a_helmfile_that_does_not_hear() {
    let services = services(DEAF);
    let planned = [services.plan("web").await.unwrap()];
    let (signals, interrupt) = Interrupt::by_hand();
    let press = |_: &str, line: &str| {
        if line == "begun" {
            signals.send_replace(2);
        }
    };
    let report = services.roll(&planned, &interrupt, press).await;
    assert_eq!(report.exit, Exit::Interrupted, "{report:#?}");
    assert!(report.summary.contains("killed by SIGKILL"), "{}", report.summary);
}

#[tokio::test]
async fn a_roll_that_is_interrupted_between_two_services_ends_there() {
    let services = services("trap '' INT; echo 'upgraded shop/web 13'");
    let planned = [services.plan("web").await.unwrap(), services.plan("last").await.unwrap()];
    let (signals, interrupt) = Interrupt::by_hand();
    let press = |_: &str, _: &str| {
        signals.send_replace(1);
    };
    let report = services.roll(&planned, &interrupt, press).await;
    let states: Vec<_> = report.services.iter().map(|service| service.state).collect();
    // Whether the signal comes before the end of this helmfile or after it: it was rolled.
    assert_eq!(states, [State::Rolled, State::Waiting], "{report:#?}");
    assert_eq!(report.exit, Exit::Interrupted);
    assert!(report.summary.ends_with("before last was begun; rolled: web; not begun: last"), "{}", report.summary);
}

#[tokio::test]
async fn a_helmfile_that_takes_too_long_is_told_to_stop_first() {
    let mut services = services(OBEYS);
    services.site.helmfile.timeout = Duration::from_millis(700);
    let report = services.roll_all(&["web", "last"]).await;
    assert_eq!((report.exit, report.services[0].state), (Exit::TimedOut, State::TimedOut), "{report:#?}");
    assert!(report.summary.contains("web may be half rolled: helmfile was not done after 0.7s, killed"), "{report:#?}");
    assert_eq!(report.details, ["web: shop/web 12 → 13"], "it was given the time to clean up");
}
