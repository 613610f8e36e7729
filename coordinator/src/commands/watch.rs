//! `--watch`: the same look again and again.

use std::time::Duration;

use tokio::{signal::ctrl_c, time::sleep};

use crate::{exit::Exit, output, problem::Problem};

/// Between two looks. One at thousands of machines takes some seconds itself.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks once, or again and again until the operator interrupts it or nobody reads on. A look that fails after the first one is told, and
/// the next one may succeed.
pub(super) async fn repeated(watch: bool, look: impl AsyncFn() -> Result<Exit, Problem>) -> Result<Exit, Problem> {
    if !watch {
        return look().await;
    }
    let looking = async {
        look().await?;
        while !output::result_is_lost() {
            sleep(PAUSE).await;
            output::redraw();
            if let Err(problem) = look().await {
                output::progress(&problem.to_text());
            }
        }
        Ok(Exit::Done)
    };
    tokio::select! {
        ended = looking => ended,
        // What cannot be heard ends the process by itself.
        Ok(()) = ctrl_c() => Ok(Exit::Done),
    }
}
