use std::time::Duration;

use clap::Parser as _;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    agents::tests::fake::{FakeAgent, Mishap},
    cli::{Cli, Command},
    facts::agent::ScheduledShutdown,
    problem::Kind as ProblemKind,
};

/// How long the site waits for a machine that reboots.
const LIMIT: Duration = Duration::from_secs(300);

fn site() -> Site {
    let mut site = Site::default();
    site.defaults.reboot_timeout = LIMIT;
    site
}

/// `usher agent reboot w1` of an agent that answers its call by being gone.
async fn reboot_of(fake: &FakeAgent) -> Result<Exit, Problem> {
    {
        let mut script = fake.script();
        script.boot_id = "the first boot".to_owned();
        script.mishaps = vec![Mishap::Gone];
    }
    let (site, agent) = (site(), fake.in_memory());
    let Cli { global, command } =
        Cli::try_parse_from(["usher", "agent", "reboot", "w1", "-r", "kernel", "--yes"]).unwrap();
    let Command::Agent(AgentCommand::Reboot { node, override_blocker, change }) = command else { unreachable!() };
    reboot(&global, &site, &agent, &node, &override_blocker, &change).await
}

#[tokio::test(start_paused = true)]
async fn a_reboot_whose_answer_is_lost_and_that_nobody_sees_the_end_of_ends_as_unknown() {
    let (fake, begun) = (FakeAgent::new(), Instant::now());
    let problem = reboot_of(&fake).await.unwrap_err();
    assert_eq!((problem.kind, problem.exit()), (ProblemKind::Unknown, Exit::TimedOut));
    assert!(problem.message.starts_with("w1 was told to reboot"), "{}", problem.message);
    assert!(problem.details[0].contains("the answer to the reboot call was lost"), "{:?}", problem.details);
    assert_eq!(problem.hints, ["look at the console of w1"]);
    assert!(begun.elapsed() >= LIMIT, "it was followed");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_whose_answer_is_lost_is_done_once_the_machine_is_back_in_another_boot() {
    let fake = FakeAgent::new();
    let back = async {
        while !fake.script().away {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_secs(90)).await;
        let mut script = fake.script();
        (script.boot_id, script.away) = ("the second boot".to_owned(), false);
    };
    let (ended, ()) = tokio::join!(reboot_of(&fake), back);
    assert_eq!(ended, Ok(Exit::Done));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_was_never_sent_is_known_not_to_have_happened_and_is_not_waited_for() {
    let (fake, begun) = (FakeAgent::new(), Instant::now());
    fake.script().away = true;
    let agent = fake.in_memory();
    let order = Order { operation_id: "a".to_owned(), epoch: 1, reason: "kernel".to_owned(), ..Order::default() };
    let Err(NoReboot::NotRebooted(problem)) = tasks::reboot(&agent, &order, "the first boot", &[], LIMIT).await else {
        panic!("it is in doubt")
    };
    assert_eq!(problem.exit(), Exit::Failed);
    assert!(problem.message.starts_with("w1: no answer from its agent at w1:7470"), "{}", problem.message);
    assert!(begun.elapsed() < LIMIT / 10, "{:?}", begun.elapsed());
}

#[test]
fn a_shutdown_that_somebody_has_scheduled_stands_in_the_status_and_nothing_does_without_one() {
    let told = |scheduled_shutdown: Option<ScheduledShutdown>| {
        let status = AgentStatus { scheduled_shutdown, ..AgentStatus::default() };
        let text = Described { status: &status, operations: &[] }.to_text(Timestamp::UNIX_EPOCH);
        text.lines().filter(|line| line.starts_with("SCHEDULED")).map(str::to_owned).collect::<Vec<_>>()
    };
    let at = "2026-03-02T03:00:00Z".parse().ok();
    let shutdown = ScheduledShutdown { kind: "reboot".to_owned(), at, message: "kernel".to_owned() };
    assert_eq!(told(Some(shutdown)), ["SCHEDULED          reboot at 2026-03-02T03:00:00Z: kernel"]);
    assert_eq!(told(None), [""; 0]);
}
