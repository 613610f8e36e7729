//! A load balancer as LVS is one: it passes connections on in turn and never retries. Its pool is changed over a socket.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
};

use super::{
    CONTROL_PLANE,
    network::{API_PORT, Network},
};

/// The balancer; it ends when it is dropped.
pub(super) struct Balancer {
    _tasks: JoinSet<()>,
}

/// Which machines get new connections, and whose turn it is.
struct Pool {
    serving: [bool; CONTROL_PLANE.len()],
    turn: usize,
}

impl Balancer {
    pub(super) fn start(front: std::net::TcpListener, socket: &Path, network: Network) -> anyhow::Result<Self> {
        let pool = Arc::new(Mutex::new(Pool { serving: [true; CONTROL_PLANE.len()], turn: 0 }));
        front.set_nonblocking(true)?;
        let front = TcpListener::from_std(front)?;
        let control = UnixListener::bind(socket).context("listen on the balancer's socket")?;
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&pool);
        tasks.spawn(async move {
            while let Ok((client, _)) = front.accept().await {
                let next = lock(&shared).next();
                if let Some(machine) = next {
                    tokio::spawn(pass_on(client, network, machine));
                }
            }
        });
        tasks.spawn(async move {
            while let Ok((client, _)) = control.accept().await {
                // A caller that does not wait for the answer does not need it.
                let _ = answer(client, &pool).await;
            }
        });
        Ok(Self { _tasks: tasks })
    }
}

fn lock(pool: &Mutex<Pool>) -> std::sync::MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    fn next(&mut self) -> Option<&'static str> {
        let places = CONTROL_PLANE.len();
        let place = (1..=places).map(|step| (self.turn + step) % places).find(|place| self.serving[*place])?;
        self.turn = place;
        Some(CONTROL_PLANE[place])
    }

    fn obey(&mut self, order: &str) -> Option<String> {
        let (verb, machine) = order.trim().split_once(' ')?;
        let place = CONTROL_PLANE.iter().position(|name| *name == machine)?;
        match verb {
            "depool" => self.serving[place] = false,
            "pool" => self.serving[place] = true,
            "check" => {}
            _ => return None,
        }
        Some(format!("{machine} is {} the pool", if self.serving[place] { "in" } else { "out of" }))
    }
}

async fn pass_on(mut client: TcpStream, network: Network, machine: &'static str) -> io::Result<()> {
    let mut server = TcpStream::connect((network.address(machine), API_PORT)).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn answer(mut client: UnixStream, pool: &Mutex<Pool>) -> io::Result<()> {
    let (reader, mut writer) = client.split();
    let mut order = String::new();
    BufReader::new(reader).read_line(&mut order).await?;
    let answer = lock(pool).obey(&order).unwrap_or_else(|| format!("what is {:?}?", order.trim()));
    writer.write_all(answer.as_bytes()).await
}

/// Tells the balancer to `depool` or `pool` a machine, or asks it (`check`): its answer, and whether the machine is in the
/// pool.
///
/// # Errors
/// If there is no balancer, or it does not understand.
pub async fn ask(socket: &Path, verb: &str, machine: &str) -> anyhow::Result<(String, bool)> {
    let no_balancer = || format!("no balancer at {}", PathBuf::from(socket).display());
    let mut stream = UnixStream::connect(socket).await.with_context(no_balancer)?;
    stream.write_all(format!("{verb} {machine}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.starts_with("what") {
        bail!("the balancer does not understand: {answer}");
    }
    let is_in = answer.ends_with("is in the pool");
    Ok((answer, is_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_take_turns_and_those_out_of_the_pool_are_left_out() {
        let mut pool = Pool { serving: [true; 3], turn: 0 };
        assert_eq!([(); 3].map(|()| pool.next()), [Some("cp2"), Some("cp3"), Some("cp1")]);
        assert_eq!(pool.obey("depool cp2\n").as_deref(), Some("cp2 is out of the pool"));
        assert_eq!([(); 3].map(|()| pool.next()), [Some("cp3"), Some("cp1"), Some("cp3")]);
        assert_eq!(pool.obey("pool cp2").as_deref(), Some("cp2 is in the pool"));
        assert_eq!((pool.obey("check cp9"), pool.obey("break cp1"), pool.obey("")), (None, None, None));
    }
}
