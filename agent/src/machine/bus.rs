//! The D-Bus connection to systemd and login1, reopened after it was lost.

use std::time::Duration;

use systemd_zbus::ManagerProxy;
use tokio::sync::Mutex;
use zbus::{Connection, DBusError as _, connection::Builder};

/// How long systemd or login1 may take to answer. They answer within milliseconds unless they hang; this is D-Bus's own
/// default timeout.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// Errors that dbus-daemon itself returns when the called service disconnects or does not answer.
const LOST: [&str; 4] = ["NoReply", "Timeout", "TimedOut", "Disconnected"];

/// How to reach systemd and login1.
#[derive(Debug, Clone)]
pub enum Address {
    /// The system bus.
    System,
    /// A peer at this D-Bus address that implements both, without a bus daemon: a sandbox.
    Peer(String),
    /// A connection that is open already. It cannot be reopened.
    Open(Connection),
}

/// Why a call to systemd or login1 failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BusError {
    /// There is no connection. The call was not sent.
    #[error("D-Bus cannot be reached")]
    Unreachable(#[source] zbus::Error),
    /// The service returned an error. Nothing was done.
    #[error("{message} ({name})")]
    Refused {
        /// The D-Bus error name, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        message: String,
    },
    /// The connection broke or no answer came. The call may have been carried out.
    #[error("no answer over D-Bus")]
    Lost(#[source] zbus::Error),
}

impl BusError {
    /// Whether the call may have been carried out.
    pub(crate) fn outcome_unknown(&self) -> bool {
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
            zbus::Error::MethodError(ref name, ref message, _) => {
                refused(name.to_string(), message.clone().unwrap_or_default()).unwrap_or(Self::Lost(error))
            }
            error => Self::Lost(error),
        }
    }
}

fn refused(name: String, message: String) -> Option<BusError> {
    let lost = name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|short| LOST.contains(&short));
    (!lost).then_some(BusError::Refused { name, message })
}

/// A connection that opens at first use and again after it broke, which zbus does not do by itself.
#[derive(Debug)]
pub(crate) struct Bus {
    address: Address,
    current: Mutex<Option<Connection>>,
}

impl Bus {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, current: Mutex::new(None) }
    }

    /// The open connection, subscribed to systemd's signals.
    pub(crate) async fn connection(&self) -> Result<Connection, BusError> {
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
        // Without a subscriber systemd sends no JobRemoved signals.
        ManagerProxy::new(&connection).await?.subscribe().await?;
        Ok(connection)
    }
}
