//! The operator's wish to stop: ^C, SIGTERM, and SIGHUP when the terminal goes away.
//!
//! The first signal stops an operation before its next change, and its turn is taken back. The second one leaves at once:
//! only the lock is still given back. The third one ends the process.
//!
//! A terminal that goes away sends several signals within milliseconds: the shell sends SIGHUP to its jobs, the kernel sends
//! another one when the shell exits, and systemd-logind may add SIGTERM. None of them means that the operator insists, so
//! SIGHUP only ever counts as the first, and any other signal only after a pause.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Instant, sleep},
};

use crate::exit::Exit;

/// A person needs longer than this to press ^C again; the signals of one terminal that goes away do not.
const DELIBERATE_AFTER: Duration = Duration::from_millis(500);

/// How long work that should not be left undone may still take once the operator insists.
const PARTING: Duration = Duration::from_secs(2);

/// How urgently the operator wants to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Interrupt {
    count: watch::Receiver<u32>,
}

impl Interrupt {
    /// Listens for signals from now on. `on_first` is called at the first one, to say so.
    ///
    /// The third signal that counts ends the process with [`Exit::Interrupted`], whatever is under way.
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
            let mut presses = Presses::default();
            loop {
                let cause = tokio::select! {
                    biased;
                    _ = interrupt.recv() => Cause::Asked,
                    _ = terminate.recv() => Cause::Asked,
                    _ = hangup.recv() => Cause::HungUp,
                };
                if !presses.count(cause, Instant::now()) {
                    continue;
                }
                // Before anything is written: a terminal that takes no more must not hold up the stop.
                sender.send_replace(presses.counted);
                if presses.counted > 2 {
                    std::process::exit(Exit::Interrupted.code().into());
                }
                if let Some(on_first) = on_first.take() {
                    on_first();
                }
            }
        });
        Ok(Self { count })
    }

    /// An interrupt that nothing but the returned sender raises: it sends how many signals have counted. For tests.
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

    /// Finishes work that should not be left undone, such as the release of the lock. Once the operator insists it may take
    /// two seconds more; None if it was cut off then.
    pub async fn parting<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cut_off = async {
            self.insisted().await;
            sleep(PARTING).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = cut_off => None,
        }
    }

    async fn reached(&self, wanted: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= wanted).await.is_err() {
            // Nobody can interrupt any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Where a signal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// SIGINT or SIGTERM: a person or a supervisor asks.
    Asked,
    /// SIGHUP: the terminal went away.
    HungUp,
}

/// Tells signals that mean something from echoes of the same event.
#[derive(Debug, Default)]
struct Presses {
    /// How many have counted.
    counted: u32,
    /// When the last of them came.
    last: Option<Instant>,
}

impl Presses {
    /// Notes a signal; whether it counts.
    fn count(&mut self, cause: Cause, now: Instant) -> bool {
        let counts = match self.last {
            None => true,
            Some(last) => cause == Cause::Asked && now.duration_since(last) >= DELIBERATE_AFTER,
        };
        if counts {
            self.counted += 1;
            self.last = Some(now);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Cause::{Asked, HungUp},
        *,
    };

    #[test]
    fn only_a_later_request_insists_and_a_lost_terminal_counts_once() {
        let after = |signals: &[(Cause, u64)]| {
            let begin = Instant::now();
            let mut presses = Presses::default();
            for (cause, at) in signals {
                presses.count(*cause, begin + Duration::from_millis(*at));
            }
            presses.counted
        };
        // The shell's and the kernel's SIGHUP, logind's SIGTERM, and a SIGHUP that comes late.
        assert_eq!(after(&[(HungUp, 0), (HungUp, 0), (Asked, 3), (HungUp, 9_000)]), 1);
        assert_eq!(after(&[(Asked, 0), (HungUp, 600)]), 1);
        assert_eq!(after(&[(Asked, 0), (Asked, 499)]), 1);
        assert_eq!(after(&[(HungUp, 0), (Asked, 500)]), 2);
        assert_eq!(after(&[(Asked, 0), (Asked, 600), (Asked, 1_099), (Asked, 1_100)]), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn parting_work_is_finished_unless_the_operator_insists() {
        let work = async |seconds| {
            sleep(Duration::from_secs(seconds)).await;
            "done"
        };
        let (signals, interrupt) = Interrupt::by_hand();
        signals.send_replace(1);
        assert_eq!(interrupt.parting(work(60)).await, Some("done"));
        signals.send_replace(2);
        assert_eq!(interrupt.parting(work(1)).await, Some("done"));
        let begin = Instant::now();
        assert_eq!((interrupt.parting(work(60)).await, begin.elapsed()), (None, PARTING));
    }
}
