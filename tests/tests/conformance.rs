//! What the in-memory API server answers, call by call, as `conformance/snapshots` have it.
//!
//! `conformance_real.rs` makes the same calls to a real kube-apiserver and wants the same answers; so the snapshots are
//! facts about Kubernetes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what a case cannot do fails the test")]

#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/double.rs"]
mod double;

use usher_testkit::apiserver::ApiServer;

#[tokio::test(start_paused = true)]
async fn the_double_answers_as_written_down() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("conformance/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (case, seen) in cases::run(&ApiServer::bare()).await {
        settings.bind(|| insta::assert_snapshot!(case.replace("::", "__"), seen));
    }
}
