//! The operator's side fails at moments of which nothing is told.

use std::time::Duration;

use http::Method;
use tokio::time::sleep;
use usher_coordinator::{drain::Confirm, event::Events, exit::Exit, interrupt::Interrupt, operation};
use usher_testkit::{
    apiserver::Fault,
    rig::site::{TestSite, drain},
};

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
