//! A connection of a coordinator to an agent, with everything that can happen to one.
//!
//! A partition is silent, as one between machines is: bytes wait, and connections are neither made nor refused. A process that has
//! died on a machine that runs is told at once: its kernel resets its connections and refuses new ones.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex, split},
    time::sleep,
};
use usher_common::stream::BoxedStream;
use usher_coordinator::agents::Dial;

use super::{process::Process, world::World};

/// What a connection holds that was not read yet.
const BUFFER: usize = 64 * 1024;
/// How often a connection to a machine that does not answer is tried, and how soon the death of one is noticed.
const AGAIN: Duration = Duration::from_secs(1);

/// One connection. Clones are the same.
#[derive(Clone)]
struct Link {
    world: Arc<World>,
    process: Process,
    machine: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToAgent,
    FromAgent,
}

/// The way of a coordinator to the agents.
pub(super) fn dial(world: &Arc<World>, process: &Process) -> Dial {
    let (world, process) = (Arc::clone(world), process.clone());
    Dial::over(move |address| open(Arc::clone(&world), process.clone(), address)).without_tls()
}

async fn open(world: Arc<World>, process: Process, address: String) -> io::Result<BoxedStream> {
    process.begins().await;
    let host = address.split(':').next().unwrap_or_default();
    let machine =
        world.scene().machine(host).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such machine"))?;
    world.latency().await;
    let link = Link { world, process, machine };
    link.whole(Way::ToAgent).await;
    let far = link.world.scene().hands(link.world.reached_at(machine)).door.open()?;
    let (ours, near) = duplex(BUFFER);
    let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
    tokio::spawn(link.clone().pump(near_read, far_write, Way::ToAgent));
    tokio::spawn(link.pump(far_read, near_write, Way::FromAgent));
    Ok(Box::new(ours))
}

impl Link {
    async fn pump(self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, way: Way) {
        let moved = async {
            let mut buffer = vec![0; BUFFER];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                self.world.latency().await;
                self.whole(way).await;
                if way == Way::ToAgent {
                    self.world.forge(&mut buffer[..length]);
                }
                if to.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
            // From a machine that lost its power no end of a connection is heard.
            while way == Way::FromAgent && self.world.scene().hands(self.machine).door.is_off() {
                sleep(AGAIN).await;
            }
            // The other side may have hung up too.
            let _ = to.shutdown().await;
        };
        let mut resets = self.world.resets(self.machine);
        tokio::select! {
            biased;
            () = self.process.dies() => {}
            _ = resets.changed() => {}
            () = moved => {}
        }
    }

    /// Waits until a packet gets through this way.
    async fn whole(&self, way: Way) {
        loop {
            self.world.joined(self.machine).await;
            if way == Way::ToAgent {
                self.process.passes().await;
                // What a living process sends to a dead machine is sent again and again.
                if self.world.scene().hands(self.machine).door.is_off() {
                    sleep(AGAIN).await;
                    continue;
                }
            }
            return;
        }
    }
}
