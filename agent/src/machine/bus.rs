//! The D-Bus connection that systemd and login1 are reached by, opened again when it was lost.

use std::time::Duration;

use systemd_zbus::ManagerProxy;
use tokio::sync::Mutex;
use zbus::{Connection, DBusError as _, connection::Builder};

/// How long systemd or login1 may take to answer. They answer within milliseconds; the limit is for one that hangs. It is
/// D-Bus's own usual limit.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// Errors that dbus-daemon makes up itself when the other side went away or stayed silent after it was asked.
const LOST: [&str; 4] = ["NoReply", "Timeout", "TimedOut", "Disconnected"];

/// Where systemd and login1 are found.
#[derive(Debug, Clone)]
pub enum Address {
    /// The system bus.
    System,
    /// A peer at this D-Bus address that plays both, without a bus daemon between: a sandbox.
    Peer(String),
    /// A connection that is open already. It cannot be opened again.
    Open(Connection),
}

/// Why systemd or login1 gave no answer that is of use.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no connection: nothing was asked.
    #[error("D-Bus cannot be reached")]
    Unreachable(#[source] zbus::Error),
    /// The other side refused: nothing was done.
    #[error("{words} ({name})")]
    Refused {
        /// The D-Bus error, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// Its words.
        words: String,
    },
    /// The connection broke or the answer did not come: what was asked for may have been done.
    #[error("no answer over D-Bus")]
    Lost(#[source] zbus::Error),
}

impl BusError {
    /// Whether the request may have been taken although there is no answer.
    pub fn perhaps_taken(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::ZBus(error) => error.into(),
                error => refused(error.name().to_string(), error.description().unwrap_or_default().to_owned())
                    .unwrap_or_else(|| Self::Lost(zbus::Error::FDO(Box::new(error)))),
            },
            zbus::Error::MethodError(ref name, ref words, _) => {
                refused(name.to_string(), words.clone().unwrap_or_default()).unwrap_or(Self::Lost(error))
            }
            error => Self::Lost(error),
        }
    }
}

fn refused(name: String, words: String) -> Option<BusError> {
    let lost = name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|short| LOST.contains(&short));
    (!lost).then_some(BusError::Refused { name, words })
}

/// The connection, opened at first use and again after it broke: zbus does not do that by itself.
#[derive(Debug)]
pub struct Bus {
    address: Address,
    current: Mutex<Option<Connection>>,
}

impl Bus {
    /// A bus that nobody has talked to yet.
    pub fn new(address: Address) -> Self {
        Self { address, current: Mutex::new(None) }
    }

    /// The connection, with systemd's signals subscribed to.
    ///
    /// # Errors
    ///
    /// If there is none and none can be opened.
    pub async fn connection(&self) -> Result<Connection, BusError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = self.open().await.map_err(BusError::Unreachable)?;
        *current = Some(connection.clone());
        Ok(connection)
    }

    async fn open(&self) -> zbus::Result<Connection> {
        let builder = match &self.address {
            Address::System => Builder::system()?,
            Address::Peer(address) => Builder::address(address.as_str())?.p2p(),
            Address::Open(connection) => {
                ManagerProxy::new(connection).await?.subscribe().await?;
                return Ok(connection.clone());
            }
        };
        let connection = tokio::time::timeout(ANSWER_WITHIN, builder.method_timeout(ANSWER_WITHIN).build())
            .await
            .map_err(|_| zbus::Error::Failure("the bus does not answer".to_owned()))??;
        // Without a subscriber systemd sends no JobRemoved.
        ManagerProxy::new(&connection).await?.subscribe().await?;
        Ok(connection)
    }
}
