//! The balancer before the apiservers: HAProxy as dull as LVS, and the commands that a site would call for its pool.

use std::{fs, str::FromStr, time::Duration};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Bed, CONTROL_PLANES, machine, until};

const CONFIGURATION: &str = include_str!("../../machines/config/haproxy.cfg");
/// HAProxy's admin socket, in the sandbox's network.
const ADMIN: &str = "127.0.0.1:9999";
const START_LIMIT: Duration = Duration::from_secs(10);

/// Whether the balancer sends new connections to a control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// In the pool, and its checks succeed.
    Serving,
    /// In the pool, but its checks fail.
    Failing,
    /// Taken out of the pool.
    Depooled,
}

impl Bed {
    /// Takes a control plane out of the pool: connections it has stay, new ones go elsewhere.
    ///
    /// # Errors
    /// If the machine is none of the pool's.
    pub async fn depool(&self, name: &str) -> anyhow::Result<()> {
        self.set_server(name, "drain").await
    }

    /// Puts a control plane back into the pool.
    ///
    /// # Errors
    /// If the machine is none of the pool's.
    pub async fn pool(&self, name: &str) -> anyhow::Result<()> {
        self.set_server(name, "ready").await
    }

    /// Whether the balancer sends new connections to a control plane.
    ///
    /// # Errors
    /// If the machine is none of the pool's.
    pub async fn rotation(&self, name: &str) -> anyhow::Result<Rotation> {
        let table = admin("show servers state api").await?;
        table
            .lines()
            .filter_map(|line| line.parse::<Server>().ok())
            .find_map(|server| (server.name == name).then_some(server.rotation))
            .with_context(|| format!("the balancer has no server {name:?}:\n{table}"))
    }

    /// Breaks every connection that goes through the balancer; new ones are taken at once.
    ///
    /// # Errors
    /// If the balancer does not answer.
    pub async fn cut_connections(&self) -> anyhow::Result<()> {
        for machine in CONTROL_PLANES {
            let answer = admin(&format!("shutdown sessions server api/{}", machine.name)).await?;
            ensure!(answer.trim().is_empty(), "the balancer says: {}", answer.trim());
        }
        Ok(())
    }

    async fn set_server(&self, name: &str, state: &str) -> anyhow::Result<()> {
        let name = machine(name)?.name;
        let answer = admin(&format!("set server api/{name} state {state}")).await?;
        ensure!(answer.trim().is_empty(), "the balancer says: {}", answer.trim());
        Ok(())
    }

    /// Starts HAProxy, and waits until its admin socket answers.
    pub(super) async fn start_balancer(&self) -> anyhow::Result<()> {
        let configuration = self.folder.path().join("haproxy.cfg");
        fs::write(&configuration, CONFIGURATION)?;
        let words = ["haproxy".as_ref(), "-db".as_ref(), "-f".as_ref(), configuration.as_os_str()];
        self.sandbox.start(&words, &self.folder.log("balancer")).await?;
        until("the balancer's admin socket", START_LIMIT, async || admin("show info").await.map(Some))
            .await
            .with_context(|| format!("see {}", self.folder.log("balancer").display()))
            .map(drop)
    }

    /// Waits until every control plane is in rotation, as clients see it.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn await_rotation(&self, limit: Duration) -> anyhow::Result<()> {
        until("all control planes in rotation", limit, async || {
            for machine in CONTROL_PLANES {
                if self.rotation(machine.name).await? != Rotation::Serving {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }
}

/// One command on the admin socket; HAProxy answers and closes.
async fn admin(command: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(ADMIN).await.context("cannot reach the balancer's admin socket")?;
    socket.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A line of `show servers state`, version 1.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    name: String,
    rotation: Rotation,
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        // be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state ...
        let fields: Vec<_> = line.split(' ').collect();
        let &[_, _, _, name, _, operation, administration, ..] = fields.as_slice() else {
            bail!("no line of a server")
        };
        // Operational state 2 is "running"; any bit of the administrative state is maintenance or drain.
        let (operation, administration): (u8, u8) = (operation.parse()?, administration.parse()?);
        let rotation = match (operation, administration) {
            (2, 0) => Rotation::Serving,
            (_, 0) => Rotation::Failing,
            _ => Rotation::Depooled,
        };
        Ok(Self { name: name.to_owned(), rotation })
    }
}

#[cfg(test)]
mod tests {
    use super::{Rotation, Server};

    #[test]
    fn a_servers_line_tells_its_rotation() {
        let line = |operation: u8, administration: u8| {
            format!("3 api 1 cp1 10.77.0.11 {operation} {administration} 1 1 12 6 3 4 6 0 0 0 - 6443 - 0 0 - - 0")
        };
        for (operation, administration, rotation) in [
            (2, 0, Rotation::Serving),
            (0, 0, Rotation::Failing),
            (2, 8, Rotation::Depooled),
            (0, 8, Rotation::Depooled),
        ] {
            let server: Server = line(operation, administration).parse().unwrap();
            assert_eq!(server, Server { name: "cp1".into(), rotation }, "{operation} {administration}");
        }
    }

    #[test]
    fn headings_are_no_servers() {
        assert!("1".parse::<Server>().is_err());
        assert!("# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state".parse::<Server>().is_err());
    }
}
