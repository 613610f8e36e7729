//! The D-Bus connections to systemd and login1, reopened after they were lost.
//!
//! There are two: what operations ask must not wait behind reads, however many callers look at the node.

mod properties;

use std::time::Duration;

use serde::Serialize;
use systemd_zbus::ManagerProxy;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep, timeout},
};
use zbus::{Connection, DBusError as _, Message, connection::Builder, zvariant::DynamicType};

pub(super) use properties::Properties;

/// How long systemd or login1 may take to answer what an operation asks. They answer within milliseconds unless they hang;
/// this is D-Bus's own default timeout.
const OPERATIONS_ANSWERED_WITHIN: Duration = Duration::from_secs(25);

/// The same for what a status asks: nobody waits longer for a page, and the coordinator gives up after 10 s.
const READS_ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Calls without an answer yet on one connection. dbus-daemon allows 128 (`max_replies_per_connection`) and fails the others.
const CALLS_AT_ONCE: usize = 32;

/// How long a bus that could not be opened is not tried again, so that a crowd of callers waits for one attempt.
const CLOSED_FOR: Duration = Duration::from_secs(2);

/// How long a call waits for the bus to have room for it, and between two attempts. Others may use up what the daemon has.
const ROOM_WITHIN: Duration = Duration::from_secs(10);
const ROOM_INTERVAL: Duration = Duration::from_millis(100);

/// What the names of dbus-daemon's own errors begin with.
const DAEMON: &str = "org.freedesktop.DBus.Error.";

/// What it returns when the called service disconnects or does not answer.
const LOST: [&str; 4] = ["NoReply", "Timeout", "TimedOut", "Disconnected"];

/// What it returns when nobody is there to be called.
const ABSENT: [&str; 2] = ["ServiceUnknown", "NameHasNoOwner"];

/// The same where it has tried to start the service. While systemd executes itself anew it has no name on the bus, and what is
/// started in its place is /bin/false (`org.freedesktop.systemd1.service`).
const NOT_STARTED: &str = "Spawn.";

/// What it returns when it takes no more calls of this connection. The called service never saw the call.
const FULL: &str = "LimitsExceeded";

/// How to reach systemd and login1.
#[derive(Debug, Clone)]
pub enum Address {
    /// The system bus.
    System,
    /// A peer at this D-Bus address that implements both, without a bus daemon: a sandbox.
    Peer(String),
    /// A connection that is open already. It cannot be reopened, and serves reads and operations.
    Open(Connection),
}

/// Why a call to systemd or login1 failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BusError {
    /// There is no connection, no room on it, or nobody at its other end. Nothing was asked.
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

    /// Whether the service returned the error of this name.
    pub(crate) fn is_refusal(&self, error: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name == error)
    }
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        if let zbus::Error::FDO(inner) = &error
            && let zbus::fdo::Error::ZBus(inner) = &**inner
        {
            return inner.clone().into();
        }
        let Some((name, message)) = answered(&error) else { return Self::Lost(error) };
        match name.strip_prefix(DAEMON) {
            Some(short) if short == FULL || ABSENT.contains(&short) || short.starts_with(NOT_STARTED) => {
                Self::Unreachable(error)
            }
            Some(short) if LOST.contains(&short) => Self::Lost(error),
            _ => Self::Refused { name, message },
        }
    }
}

/// Name and message of the error that a call was answered with, by the service or by dbus-daemon.
fn answered(error: &zbus::Error) -> Option<(String, String)> {
    match error {
        zbus::Error::FDO(error) => Some((error.name().to_string(), error.description().unwrap_or_default().to_owned())),
        zbus::Error::MethodError(name, message, _) => Some((name.to_string(), message.clone().unwrap_or_default())),
        _ => None,
    }
}

/// Whether the bus had no room for the call.
fn is_full(error: &zbus::Error) -> bool {
    answered(error).is_some_and(|(name, _)| name.strip_prefix(DAEMON) == Some(FULL))
}

/// An interface of an object of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interface<'a> {
    pub(super) service: &'static str,
    pub(super) path: &'a str,
    pub(super) name: &'static str,
}

/// A connection that opens at first use and again after it broke, which zbus does not do by itself.
#[derive(Debug)]
pub(crate) struct Bus {
    address: Address,
    /// For one answer, and for the opening of the connection.
    answered_within: Duration,
    /// Whether systemd is to send signals of jobs.
    signals: bool,
    current: Mutex<Current>,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct Current {
    open: Option<Connection>,
    /// When the last attempt to open it failed, and why.
    failed: Option<(Instant, zbus::Error)>,
}

impl Bus {
    /// The connection for what operations ask, with systemd's signals.
    pub(crate) fn of_operations(address: Address) -> Self {
        Self::new(address, OPERATIONS_ANSWERED_WITHIN, true)
    }

    /// The connection for what statuses ask.
    pub(crate) fn of_reads(address: Address) -> Self {
        Self::new(address, READS_ANSWERED_WITHIN, false)
    }

    fn new(address: Address, answered_within: Duration, signals: bool) -> Self {
        let (current, room) = (Mutex::default(), Semaphore::new(CALLS_AT_ONCE));
        Self { address, answered_within, signals, current, room }
    }

    /// Calls a method, and calls it again while the bus has no room for the call.
    pub(super) async fn call<B>(&self, interface: Interface<'_>, method: &str, body: &B) -> Result<Message, BusError>
    where
        B: Serialize + DynamicType + Sync,
    {
        let deadline = Instant::now() + ROOM_WITHIN.min(self.answered_within);
        loop {
            match self.call_once(interface, method, body).await {
                Err(BusError::Unreachable(error)) if is_full(&error) && Instant::now() < deadline => {
                    sleep(ROOM_INTERVAL).await;
                }
                answer => return answer,
            }
        }
    }

    async fn call_once<B>(&self, interface: Interface<'_>, method: &str, body: &B) -> Result<Message, BusError>
    where
        B: Serialize + DynamicType + Sync,
    {
        let connection = self.connection().await?;
        let within = self.answered_within;
        let Ok(Ok(_room)) = timeout(within, self.room.acquire()).await else {
            let message = format!("{CALLS_AT_ONCE} earlier calls have had no answer for {within:?}");
            return Err(BusError::Unreachable(zbus::Error::Failure(message)));
        };
        let Interface { service, path, name } = interface;
        match timeout(within, connection.call_method(Some(service), path, Some(name), method, body)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                // The daemon counts a call until it is answered or its connection ends. A service that hangs for minutes
                // would use up what it allows.
                if !self.signals {
                    self.current.lock().await.open = None;
                }
                Err(BusError::Lost(zbus::Error::Failure(format!("{service} has not answered within {within:?}"))))
            }
        }
    }

    /// All properties of an interface, in one call.
    pub(super) async fn properties(&self, interface: Interface<'_>) -> Result<Properties, BusError> {
        let of = Interface { name: "org.freedesktop.DBus.Properties", ..interface };
        let answer = self.call(of, "GetAll", &interface.name).await?;
        Ok(Properties(answer.body().deserialize()?))
    }

    /// The open connection.
    pub(crate) async fn connection(&self) -> Result<Connection, BusError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.open.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        if let Some((_, error)) = current.failed.as_ref().filter(|(at, _)| at.elapsed() < CLOSED_FOR) {
            return Err(BusError::Unreachable(error.clone()));
        }
        let within = self.answered_within;
        let opened = timeout(within, self.open())
            .await
            .unwrap_or_else(|_| Err(zbus::Error::Failure(format!("the bus has not answered within {within:?}"))));
        match opened {
            Ok(connection) => {
                *current = Current { open: Some(connection.clone()), failed: None };
                Ok(connection)
            }
            Err(error) => {
                *current = Current { open: None, failed: Some((Instant::now(), error.clone())) };
                Err(BusError::Unreachable(error))
            }
        }
    }

    async fn open(&self) -> zbus::Result<Connection> {
        let connection = match &self.address {
            Address::System => Builder::system()?.build().await?,
            Address::Peer(address) => Builder::address(address.as_str())?.p2p().build().await?,
            Address::Open(connection) => connection.clone(),
        };
        // Without a subscriber systemd sends no JobRemoved signals.
        if self.signals {
            ManagerProxy::new(&connection).await?.subscribe().await?;
        }
        Ok(connection)
    }
}
