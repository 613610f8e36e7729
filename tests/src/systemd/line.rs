//! The connection of one process, which can be cut as a kill cuts it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Where a call stands when it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallMoment {
    /// Nothing was done yet.
    Before,
    /// It was done, and the caller was not told.
    After,
}

/// The line of a process to its systemd and login1. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<AtomicBool>);

impl Line {
    /// From now on no call that came over it has an effect or gets an answer.
    pub fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Never returns once it is cut.
    pub(super) async fn open(&self) {
        if self.0.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}
