//! Listening: the default `[::]` means every address that the machine has, whatever it knows of IPv6.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tracing::info;

/// Connections that wait in the kernel's queue.
const BACKLOG: i32 = 1024;

/// Listens on `address`; on `0.0.0.0` in place of `[::]` where the kernel has no IPv6, as with `ipv6.disable=1`.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    listen_by(bind, address).and_then(TcpListener::from_std)
}

fn listen_by<T>(bind: impl Fn(SocketAddr) -> io::Result<T>, address: SocketAddr) -> io::Result<T> {
    match bind(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && lacks_ipv6(&error) => {
            info!("this machine has no IPv6 ({error}); listening on 0.0.0.0:{}", address.port());
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

/// EAFNOSUPPORT without IPv6 in the kernel or by the unit's `RestrictAddressFamilies=`; EADDRNOTAVAIL where sysctl has taken
/// every IPv6 address away.
fn lacks_ipv6(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whatever net.ipv6.bindv6only says: with it, no caller over IPv4 would get through.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted agent must not wait for connections of the one before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn tried(address: &str, error: io::Error) -> (Vec<String>, bool) {
        let tried = RefCell::new(Vec::new());
        let error = RefCell::new(Some(error));
        let bind = |address: SocketAddr| {
            tried.borrow_mut().push(address.to_string());
            error.take().map_or(Ok(()), Err)
        };
        let bound = listen_by(bind, address.parse().unwrap()).is_ok();
        (tried.into_inner(), bound)
    }

    #[test]
    fn a_machine_without_ipv6_is_reached_over_ipv4_by_the_default_alone() {
        let without = || io::Error::from_raw_os_error(nix::errno::Errno::EAFNOSUPPORT as i32);
        let both = ["[::]:7470".to_owned(), "0.0.0.0:7470".to_owned()].to_vec();
        assert_eq!(tried("[::]:7470", without()), (both.clone(), true));
        assert_eq!(tried("[::]:7470", ErrorKind::AddrNotAvailable.into()), (both, true));
        assert_eq!(tried("[::1]:7470", without()), (["[::1]:7470".to_owned()].to_vec(), false));
        assert_eq!(tried("[::]:7470", ErrorKind::AddrInUse.into()), (["[::]:7470".to_owned()].to_vec(), false));
    }

    #[tokio::test]
    async fn every_address_is_served_over_ipv4_too() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        #[allow(clippy::disallowed_methods)] // the test of the seam
        let connected = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        assert!(connected.is_ok(), "{connected:?}");
    }
}
