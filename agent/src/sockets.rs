//! The listening socket of the process before this one, and of the next one, by the protocol of systemd's socket activation: the
//! first socket is descriptor 3, and `LISTEN_FDS` and `LISTEN_PID` tell of it.
//!
//! The kernel goes on to take connections into the socket's queue while one process ends and the next begins.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    os::unix::process::CommandExt as _,
    process::{self, Command},
};

use listenfd::ListenFd;
use nix::{
    fcntl::OFlag,
    unistd::{dup2, dup3},
};

/// The descriptor of the first socket that is handed over (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// What the process before has handed over, and room for what is handed over to the next.
#[derive(Debug)]
pub struct Sockets {
    callers: Option<TcpListener>,
    /// Descriptor 3, kept free. `None`: it was open for something else when this process started.
    place: Option<OwnedFd>,
}

impl Sockets {
    /// Takes what was handed over. To be called before anything else opens a file: descriptor 3 must be free.
    ///
    /// # Errors
    ///
    /// If `/dev/null` cannot be opened.
    pub fn inherit() -> io::Result<Self> {
        let nothing = nothing()?;
        // What is no listening TCP socket stays where it is, and is nobody's.
        let Ok(Some(callers)) = ListenFd::from_env().take_tcp_listener(0) else {
            let place = OwnedFd::from(nothing);
            return Ok(Self { callers: None, place: Some(place).filter(|place| place.as_raw_fd() == FIRST) });
        };
        let moved = callers.try_clone()?;
        let mut place = OwnedFd::from(callers);
        dup3(&nothing, &mut place, OFlag::O_CLOEXEC)?;
        Ok(Self { callers: Some(moved), place: Some(place) })
    }

    /// The socket on which callers have come in until now, if it listens where they are to come in from now on.
    pub fn callers(&mut self, listen: SocketAddr) -> Option<TcpListener> {
        let callers = self.callers.take()?;
        callers.local_addr().is_ok_and(|address| serves(address, listen)).then_some(callers)
    }

    /// Executes a program in place of this process, with a listening socket for it. Returns only if that fails. Then this process
    /// is as it was, except that descriptor 3 is the socket.
    pub fn execute(self, mut program: Command, callers: Option<OwnedFd>) -> io::Error {
        // Open until the exec, of which it must be the only descriptor to outlive it: hence not dup3.
        let mut place = self.place;
        if let (Some(place), Some(callers)) = (&mut place, callers) {
            if let Err(error) = dup2(callers, place) {
                return error.into();
            }
            program.env("LISTEN_FDS", "1").env("LISTEN_PID", process::id().to_string());
        }
        program.exec()
    }
}

/// A descriptor of nothing.
fn nothing() -> io::Result<File> {
    #[allow(clippy::disallowed_methods)] // it is no file
    File::open("/dev/null")
}

/// Whether a socket at this address is what `listen` of the configuration means.
fn serves(address: SocketAddr, listen: SocketAddr) -> bool {
    // Where the kernel has no IPv6, 0.0.0.0 stands in for [::].
    let same_host =
        address.ip() == listen.ip() || (address.ip() == Ipv4Addr::UNSPECIFIED && listen.ip().is_unspecified());
    same_host && (listen.port() == 0 || address.port() == listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_taken_over_only_if_it_listens_where_the_configuration_says() {
        let serves = |address: &str, listen: &str| serves(address.parse().unwrap(), listen.parse().unwrap());
        assert!(serves("[::]:7470", "[::]:7470") && serves("0.0.0.0:7470", "[::]:7470"));
        assert!(serves("127.0.0.1:40123", "127.0.0.1:0"));
        assert!(!serves("[::]:7470", "[::]:7471") && !serves("[::]:7470", "10.0.0.1:7470"));
        assert!(!serves("0.0.0.0:7470", "10.0.0.1:7470") && !serves("[::]:7470", "0.0.0.0:7470"));
    }
}
