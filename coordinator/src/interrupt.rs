//! ^C, SIGTERM and SIGHUP (a lost SSH session): once stops before the next step that changes something, twice leaves now.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Whether the operator wants to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Interrupt {
    count: watch::Receiver<u32>,
}

impl Interrupt {
    /// Listens for signals from now on. `on_first` is called at the first one, to say so.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    pub fn listen(on_first: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [mut interrupt, mut terminate, mut hangup]: [Signal; 3] =
            [signal(kinds[0])?, signal(kinds[1])?, signal(kinds[2])?];
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            let mut on_first = Some(on_first);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                if let Some(on_first) = on_first.take() {
                    on_first();
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count })
    }

    /// One that never comes, and the end that makes it come: for tests.
    pub fn by_hand() -> (watch::Sender<u32>, Self) {
        let (sender, count) = watch::channel(0);
        (sender, Self { count })
    }

    /// Whether to stop before the next change.
    pub fn is_requested(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Returns at the first signal.
    pub async fn requested(&self) {
        self.reached(1).await;
    }

    /// Returns at the second signal.
    pub async fn insisted(&self) {
        self.reached(2).await;
    }

    async fn reached(&self, wanted: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= wanted).await.is_err() {
            // Nobody can interrupt any more.
            std::future::pending::<()>().await;
        }
    }
}
