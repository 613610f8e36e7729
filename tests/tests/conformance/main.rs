//! What the in-memory API server answers, call by call, as the snapshots beside this file have it.
//!
//! With the cargo feature `machines` the same calls are made to a real kube-apiserver, which must give the same answers; so
//! the snapshots are facts about Kubernetes. Real helmfile and helm run against it as well, for what `helmfile` has of a script.

#[cfg(feature = "machines")]
mod against_real;
mod cases;
mod double;
#[cfg(feature = "machines")]
mod helmfile;
#[cfg(feature = "machines")]
mod real;

use usher_testkit::apiserver::ApiServer;

#[tokio::test(start_paused = true)]
async fn the_double_answers_as_written_down() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (case, seen) in cases::run(&ApiServer::bare()).await {
        settings.bind(|| insta::assert_snapshot!(case.replace("::", "__"), seen));
    }
}
