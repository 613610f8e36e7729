//! When a credential plugin runs: once for all clients, before what it gave ends, and once after a server refused it.
//!
//! A run is a task of its own. A request that gives up does not end it, and requests that come meanwhile wait for the same one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jiff::SignedDuration;
use tokio::time::Instant;
use usher_common::clock;

use super::{
    exec_plugin::PluginError,
    issued::{Issued, Proof},
};

/// A credential is not used for its last seconds: clocks differ, and a request takes its time.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);

/// How long before that a plugin runs again while the old credential is still good, so that nobody waits for a slow one; at most a
/// quarter of the credential's life.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// Plugins keep what they got and may give the same again until the last moment: they are not asked more often than this.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_AHEAD: Duration = Duration::from_secs(30);

/// A credential that is refused so soon after it was given is not made better by another run.
const FRESH: Duration = Duration::from_secs(10);

type Run = Shared<BoxFuture<'static, Result<Issued, PluginError>>>;

/// A plugin's credentials. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Renewal(Arc<Inner>);

struct Inner {
    run: Box<dyn Fn() -> BoxFuture<'static, Result<Proof, PluginError>> + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Issued>,
    /// When the last run ended.
    ended: Option<Instant>,
    /// Why the last run failed, if it did.
    failure: Option<PluginError>,
    running: Option<Run>,
}

/// What a request needs.
enum Need {
    /// The credential at hand.
    Held(Issued),
    /// The same, and a run for those that come later.
    HeldAndRun(Issued),
    Run,
    /// Another run so soon would fail in the same way.
    Failed(PluginError),
}

impl State {
    fn need(&self) -> Need {
        let ended_within = |pause| self.ended.is_some_and(|ended: Instant| ended.elapsed() < pause);
        let failure = || self.failure.clone().filter(|_| ended_within(PAUSE));
        let Some(held) = &self.held else { return failure().map_or(Need::Run, Need::Failed) };
        let Some(expires) = held.proof.expires else { return Need::Held(held.clone()) };
        let now = clock::now();
        let left = expires.duration_since(now);
        if left <= MARGIN {
            return match failure() {
                _ if !ended_within(PAUSE) => Need::Run,
                Some(failure) if left.is_negative() => Need::Failed(failure),
                // The plugin gave it this lifetime; only the server knows better.
                _ => Need::Held(held.clone()),
            };
        }
        let age = SignedDuration::try_from(held.at.elapsed()).unwrap_or(SignedDuration::MAX);
        let life = left.saturating_add(age);
        let ahead = AHEAD.min(life / 4);
        if left <= MARGIN + ahead && !ended_within(PAUSE_AHEAD.min(Duration::try_from(ahead).unwrap_or_default())) {
            return Need::HeldAndRun(held.clone());
        }
        Need::Held(held.clone())
    }
}

impl Renewal {
    pub(super) fn of(run: impl Fn() -> BoxFuture<'static, Result<Proof, PluginError>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { run: Box::new(run), state: Mutex::default() }))
    }

    /// The credential to use now.
    pub(super) async fn current(&self) -> Result<Issued, PluginError> {
        let run = {
            let mut state = self.state();
            match state.need() {
                Need::Held(held) => return Ok(held),
                Need::HeldAndRun(held) => {
                    // Nobody waits for it.
                    drop(self.begin(&mut state));
                    return Ok(held);
                }
                Need::Failed(failure) => return Err(failure),
                Need::Run => self.begin(&mut state),
            }
        };
        let failure = match run.await {
            Ok(issued) => return Ok(issued),
            Err(failure) => failure,
        };
        let held = self.state().held.clone();
        held.filter(|held| held.proof.expires.is_none_or(|expires| expires > clock::now())).ok_or(failure)
    }

    /// Another credential than the one that a server refused; None if the plugin was asked a moment ago, or has no other.
    pub(super) async fn after_refusal(&self, refused: &Issued) -> Result<Option<Issued>, PluginError> {
        let run = {
            let mut state = self.state();
            let ended_within = |pause| state.ended.is_some_and(|ended: Instant| ended.elapsed() < pause);
            match (&state.held, &state.failure) {
                (Some(held), _) if held.number > refused.number => return Ok(Some(held.clone())),
                (_, Some(failure)) if ended_within(PAUSE) => return Err(failure.clone()),
                _ if ended_within(FRESH) && state.running.is_none() => return Ok(None),
                _ => self.begin(&mut state),
            }
        };
        run.await.map(|issued| Some(issued).filter(|issued| issued.number > refused.number))
    }

    /// Whether a plugin runs now.
    pub(super) fn is_running(&self) -> bool {
        self.state().running.is_some()
    }

    /// Waits while a plugin runs that somebody waits for.
    pub(super) async fn settled(&self) {
        let running = self.state().running.clone();
        if let Some(run) = running {
            // Who asked for it hears how it ended.
            let _ = run.await;
        }
    }

    /// Whether it ever gave a credential.
    pub(super) fn has_held(&self) -> bool {
        self.state().held.is_some()
    }

    /// The run under way, or a new one.
    fn begin(&self, state: &mut State) -> Run {
        if let Some(run) = &state.running {
            return run.clone();
        }
        let (me, proof) = (self.clone(), (self.0.run)());
        let task = tokio::spawn(async move {
            let proof = proof.await;
            me.state().end(proof)
        });
        let ended = task.map(|ended| ended.unwrap_or_else(|_| Err(PluginError::new("usher is ending"))));
        let run = ended.boxed().shared();
        state.running = Some(run.clone());
        run
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, proof: Result<Proof, PluginError>) -> Result<Issued, PluginError> {
        self.running = None;
        self.ended = Some(Instant::now());
        match proof {
            Ok(proof) => {
                self.failure = None;
                let issued = match &self.held {
                    // Given once more: a number of its own would say that it is another.
                    Some(held) if *held.proof == proof => held.clone(),
                    Some(held) => held.replaced_by(proof),
                    None => Issued::first(proof),
                };
                self.held = Some(issued.clone());
                Ok(issued)
            }
            Err(failure) => {
                self.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use jiff::Timestamp;
    use tokio::time::sleep;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A plugin that counts its runs, takes `slow` for each, and gives what `answer` says of a run.
    fn plugin(
        slow: Duration,
        answer: impl Fn(u64) -> Result<Proof, PluginError> + Send + Sync + 'static,
    ) -> (Renewal, Arc<AtomicU64>) {
        let runs = Arc::new(AtomicU64::new(0));
        let (counter, answer) = (Arc::clone(&runs), Arc::new(answer));
        let renewal = Renewal::of(move || {
            let run = counter.fetch_add(1, Ordering::Relaxed) + 1;
            let answer = Arc::clone(&answer);
            async move {
                sleep(slow).await;
                answer(run)
            }
            .boxed()
        });
        (renewal, runs)
    }

    fn token(number: u64, expires: Option<Timestamp>) -> Result<Proof, PluginError> {
        Ok(Proof::new(Some(&format!("t{number}")), None, expires).unwrap())
    }

    fn shown(issued: &Issued) -> String {
        String::from_utf8_lossy(issued.proof.header().unwrap().as_bytes()).into_owned()
    }

    /// The runs so far, and the token shown.
    async fn asked(renewal: &Renewal, runs: &AtomicU64) -> (u64, String) {
        let token = renewal.current().await.map_or_else(|error| error.to_string(), |issued| shown(&issued));
        (runs.load(Ordering::Relaxed), token)
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_at_once_wait_for_one_run_and_one_that_gives_up_does_not_end_it() {
        let (renewal, runs) = plugin(seconds(3), |run| token(run, None));
        assert!(tokio::time::timeout(seconds(1), renewal.current()).await.is_err());
        assert!(renewal.is_running());
        let all = futures::future::join_all((0..20).map(|_| renewal.current())).await;
        assert!(all.iter().all(|issued| shown(issued.as_ref().unwrap()) == "Bearer t1"));
        sleep(seconds(100_000)).await;
        assert_eq!(asked(&renewal, &runs).await, (1, "Bearer t1".into()), "without an end it lasts");
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_is_renewed_before_it_ends_without_anybody_waiting() {
        clock::follow_tokio(Timestamp::UNIX_EPOCH);
        let (renewal, runs) = plugin(seconds(20), |run| token(run, Some(clock::now() + seconds(600))));
        let (mut waited, begun) = (Duration::ZERO, Instant::now());
        while begun.elapsed() < seconds(3000) {
            let asked = Instant::now();
            let issued = renewal.current().await.unwrap();
            waited += asked.elapsed();
            assert!(issued.proof.expires.unwrap() > clock::now() + MARGIN);
            sleep(seconds(2)).await;
        }
        assert_eq!(waited, seconds(20), "only the first time");
        assert!((5..=7).contains(&runs.load(Ordering::Relaxed)), "{runs:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_gives_the_same_until_it_ends_is_not_asked_each_time() {
        clock::follow_tokio(Timestamp::UNIX_EPOCH);
        let end = clock::now() + seconds(300);
        let (renewal, runs) = plugin(seconds(0), move |_| match clock::now() < end {
            true => token(1, Some(end)),
            false => token(2, Some(end + seconds(3600))),
        });
        let begun = Instant::now();
        while begun.elapsed() < seconds(310) {
            renewal.current().await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        let (runs, last) = asked(&renewal, &runs).await;
        assert!(runs <= 8 && last == "Bearer t2", "{runs} {last}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_credential_is_replaced_once_and_a_new_one_that_is_refused_is_not() {
        let (renewal, runs) = plugin(seconds(1), |run| token(run, None));
        let first = renewal.current().await.unwrap();
        sleep(seconds(3600)).await;
        let both = futures::join!(renewal.after_refusal(&first), renewal.after_refusal(&first));
        for newer in [both.0, both.1] {
            assert_eq!(shown(&newer.unwrap().unwrap()), "Bearer t2");
        }
        assert_eq!(shown(&renewal.after_refusal(&first).await.unwrap().unwrap()), "Bearer t2", "a late one");
        let second = renewal.current().await.unwrap();
        assert!(renewal.after_refusal(&second).await.unwrap().is_none(), "it is new");
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_fails_is_asked_again_after_a_pause_and_what_is_still_good_is_used() {
        clock::follow_tokio(Timestamp::UNIX_EPOCH);
        let (renewal, runs) = plugin(seconds(0), |run| match run {
            1 | 3 => Err(PluginError::new(format!("run {run}"))),
            2 => token(2, Some(clock::now() + seconds(100))),
            run => token(run, None),
        });
        assert_eq!(asked(&renewal, &runs).await, (1, "run 1".into()));
        assert_eq!(asked(&renewal, &runs).await, (1, "run 1".into()), "at once");
        sleep(seconds(6)).await;
        assert_eq!(asked(&renewal, &runs).await, (2, "Bearer t2".into()));
        sleep(seconds(92)).await;
        assert_eq!(asked(&renewal, &runs).await, (3, "Bearer t2".into()), "it is good for 8 s more");
        assert_eq!(asked(&renewal, &runs).await, (3, "Bearer t2".into()), "and is not renewed each time");
        sleep(seconds(6)).await;
        assert_eq!(asked(&renewal, &runs).await, (4, "Bearer t4".into()));
    }
}
