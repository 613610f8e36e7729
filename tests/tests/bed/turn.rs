//! A test's turn on the one bed that all of them share.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::bail;
use futures::FutureExt as _;
use tokio::time::Instant;
use usher_testkit::bed::Bed;

/// Tests that run in one process take turns here, whatever `--test-threads` says.
static TURN: Mutex<()> = Mutex::new(());
/// Why there is no bed. Found out once: each further attempt would take as long and end the same.
static NO_BED: OnceLock<String> = OnceLock::new();

/// Runs `test` on the bed, alone, after all that earlier tests have left there is mended.
pub(crate) fn on_the_bed(test: impl AsyncFnOnce(&Bed) -> anyhow::Result<()>) {
    // A test that failed in its turn has not harmed the lock.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Installed once for the process; later calls find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let ended = local.block_on(&runtime, async {
        let begin = Instant::now();
        let bed = shared().await?;
        bed.restore().await?;
        eprintln!("the bed was whole after {:.1?}", begin.elapsed());
        let ended = test(&bed).await;
        eprintln!("the test had ended after {:.1?}", begin.elapsed());
        ended
    });
    if let Err(error) = ended {
        panic!("{error:#}");
    }
}

/// Takes back what a test has done to a machine, whatever comes of the test, a panic too: what [`Bed::restore`] does not know of, the tests
/// after it would find.
pub(crate) async fn and_then_undo(
    test: impl Future<Output = anyhow::Result<()>>,
    undo: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let ended = AssertUnwindSafe(test).catch_unwind().await;
    let undone = undo.await;
    match ended {
        Ok(ended) => ended.and(undone),
        Err(panic) => resume_unwind(panic),
    }
}

async fn shared() -> anyhow::Result<Bed> {
    if let Some(reason) = NO_BED.get() {
        bail!("there is no bed, as an earlier test has found: {reason}");
    }
    Bed::shared().await.inspect_err(|error| {
        let _ = NO_BED.set(error.to_string());
    })
}
