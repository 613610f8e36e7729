//! What an answer proves when it need not come from the machine that was told, and a call that must not be sent any more. In paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_settled_by_an_agent_that_has_not_looked_at_the_call() {
    for reason in [reason::WRONG_NODE, reason::NOT_LISTED, reason::CERTIFICATE_EXPIRED] {
        let fake = FakeAgent::new();
        fake.script().mishaps = vec![Mishap::LostAnswerThen(reason)];
        let error = fake.in_memory().reboot(&order("op1"), "b1", &[]).await.unwrap_err();
        let AgentError::AnswerLost { source, .. } = &error else { panic!("{reason}: {error:?}") };
        assert!(source.to_string().contains("its agent refused"), "{source}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_boot_of_another_machine_is_not_taken_for_this_ones() {
    let fake = FakeAgent::new();
    {
        let mut script = fake.script();
        (script.name, script.boot_id) = (Some("w2"), "another machine's".into());
    }
    let agent = fake.in_memory();
    let error = agent.own_status().await.unwrap_err();
    assert_eq!(error.to_string(), "w1: what answers at w1:7470 is the agent of w2");
    let comes_back = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut script = fake.script();
        (script.name, script.boot_id) = (Some("w1.example.org"), "b2".into());
    };
    let begun = Instant::now();
    let (status, ()) = tokio::join!(agent.await_boot("b1", Duration::from_secs(300)), comes_back);
    assert_eq!(status.unwrap().boot_id, "b2");
    assert!(begun.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_cannot_read_its_boot_id_is_not_taken_to_be_in_a_new_boot() {
    let fake = FakeAgent::new();
    fake.script().boot_id = String::new();
    let error = fake.in_memory().await_boot("b1", Duration::from_secs(30)).await.unwrap_err();
    assert!(error.to_string().contains("still runs the boot that it was to leave"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_not_sent_once_it_may_not_be() {
    let fake = FakeAgent::new();
    let agent = fake.in_memory().only_while(|| false);
    let error = agent.reboot(&order("op1"), "b1", &[]).await.unwrap_err();
    assert!(matches!(error, AgentError::NotSent { .. }), "{error:?}");
    assert_eq!(fake.script().taken, 0);
    agent.status().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_arrived_is_not_sent_again_once_it_may_not_be() {
    let fake = FakeAgent::new();
    fake.script().mishaps = vec![Mishap::LostRequest];
    let asked = Arc::new(AtomicUsize::new(0));
    let agent = fake.in_memory().only_while(move || asked.fetch_add(1, Ordering::Relaxed) == 0);
    let error = agent.reboot(&order("op1"), "b1", &[]).await.unwrap_err();
    assert!(matches!(error, AgentError::AnswerLost { .. }), "{error:?}");
    assert_eq!(fake.script().taken, 0);
}
