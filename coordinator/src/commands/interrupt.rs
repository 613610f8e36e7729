//! Listening for the operator's signals while something is changed.

use crate::{interrupt::Interrupt, output, problem::Problem};

/// Listens from now on; `first` is told at the first signal: what ends, and what another signal does.
pub(super) fn listen(first: &'static str) -> Result<Interrupt, Problem> {
    Interrupt::listen(move || output::progress(first))
        .map_err(|error| Problem::failed(format!("cannot listen for signals: {error}")))
}
