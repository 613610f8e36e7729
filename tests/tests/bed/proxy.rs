//! A line between usher and an agent on which answers take long, until it is cut: then those under way are lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// Longer than an agent takes from its answer to the moment at which the machine is seen to go down.
const DELAY: Duration = Duration::from_secs(2);

/// The line. It ends with its task, at the end of the test's runtime.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    state: watch::Sender<State>,
    under_way: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Answers arrive late.
    Slow,
    /// Nobody gets through.
    Cut,
    /// As if it were not there.
    Mended,
}

impl Line {
    /// Lays a line to `agent`.
    pub(crate) async fn to(agent: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot lay a line")?;
        let address = listener.local_addr()?;
        let (state, now) = watch::channel(State::Slow);
        let under_way = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&under_way);
        tokio::spawn(async move {
            while let Ok((usher, _)) = listener.accept().await {
                tokio::spawn(carry(usher, agent.clone(), now.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { address, state, under_way })
    }

    /// Where usher reaches the agent through this line.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and all new ones at once. Answers that are under way are lost: so many bytes.
    pub(crate) fn cut(&self) -> usize {
        self.state.send_replace(State::Cut);
        self.under_way.load(Ordering::Relaxed)
    }

    /// Carries new connections again, and without delay.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Mended);
    }
}

async fn carry(usher: TcpStream, agent: String, mut now: watch::Receiver<State>, under_way: Arc<AtomicUsize>) {
    let delay = match *now.borrow() {
        State::Slow => DELAY,
        State::Cut => return,
        State::Mended => Duration::ZERO,
    };
    let Ok(agent) = TcpStream::connect(&agent).await else { return };
    let (mut from_usher, to_usher) = usher.into_split();
    let (from_agent, mut to_agent) = agent.into_split();
    tokio::select! {
        // Either way the sockets are dropped here, and both ends hear of it.
        _ = now.wait_for(|state| *state == State::Cut) => {}
        _ = copy(&mut from_usher, &mut to_agent) => {}
        () = carry_late(from_agent, to_usher, delay, &under_way) => {}
    }
}

async fn carry_late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, under_way: &AtomicUsize) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        under_way.fetch_add(length, Ordering::Relaxed);
        sleep(delay).await;
        under_way.fetch_sub(length, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
