//! Byte streams: a connection between usher and the outside need not be a socket.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::sleep,
};

/// How long one address is tried alone, before the next one is tried beside it (RFC 8305, section 5).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// A connected byte stream: TCP in production, `tokio::io::duplex` in a test that pauses time.
pub type BoxedStream = Box<dyn ByteStream>;

/// What a [`BoxedStream`] can do; implemented for every type that can.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Opening = Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>>;

/// Opens streams to `HOST:PORT`, with IPv6 addresses in brackets. Cheap to clone.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(String) -> Opening + Send + Sync>);

impl Dial {
    /// TCP.
    pub fn tcp() -> Self {
        Self::over(tcp)
    }

    /// Whatever `open` gives.
    pub fn over<F>(open: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<BoxedStream>> + Send + 'static,
    {
        Self(Arc::new(move |address| Box::pin(open(address))))
    }

    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// If the host has no address, or none of its addresses answers.
    pub async fn open(&self, address: String) -> io::Result<BoxedStream> {
        (self.0)(address).await
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

/// The first of these attempts to succeed; the others end with it. One after another begins: at once when one has failed, and when
/// none was done for 250 ms.
///
/// # Errors
///
/// The last failure, once all have failed.
pub async fn first_of<T, F>(attempts: Vec<F>) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = attempts.into_iter();
    let mut running = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    running.extend(waiting.next());
    while !running.is_empty() {
        tokio::select! {
            biased;
            Some(ended) = running.next() => match ended {
                Ok(first) => return Ok(first),
                Err(error) => failure = error,
            },
            () = sleep(NEXT_AFTER), if waiting.len() > 0 => {}
        }
        running.extend(waiting.next());
    }
    Err(failure)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot resolve its address")]
struct Unresolved(#[source] io::Error);

#[allow(clippy::disallowed_methods)] // the one place that opens connections
async fn tcp(address: String) -> io::Result<BoxedStream> {
    let resolved = lookup_host(address).await.map_err(|error| io::Error::new(error.kind(), Unresolved(error)))?;
    let attempts = alternating(resolved.collect()).into_iter().map(TcpStream::connect).collect();
    let tcp = first_of(attempts).await?;
    // Calls are small and wait for their answers.
    tcp.set_nodelay(true)?;
    Ok(Box::new(tcp))
}

/// One address of each family in turn, beginning with the first one, which the resolver thinks best (RFC 8305, section 4): a network
/// that does not carry IPv6, or IPv4, costs one step.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().copied() else { return addresses };
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first.is_ipv6());
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // a listener

    use std::{cell::RefCell, future::pending};

    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    #[test]
    fn families_alternate_from_the_first_address_on() {
        let parse = |list: &str| list.split(' ').map(|address| address.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (given, expected) in [
            ("[fd00::1]:1 [fd00::2]:1 10.0.0.1:1", "[fd00::1]:1 10.0.0.1:1 [fd00::2]:1"),
            ("10.0.0.1:1 10.0.0.2:1", "10.0.0.1:1 10.0.0.2:1"),
            ("10.0.0.1:1 [fd00::1]:1 [fd00::2]:1 [fd00::3]:1", "10.0.0.1:1 [fd00::1]:1 [fd00::2]:1 [fd00::3]:1"),
        ] {
            assert_eq!(alternating(parse(given)), parse(expected));
        }
        assert!(alternating(Vec::new()).is_empty());
    }

    /// An address that answers after this time, or never, and whether it takes the connection.
    async fn answers(name: &'static str, after: Option<u64>, takes: bool) -> io::Result<&'static str> {
        match after {
            Some(after) => sleep(Duration::from_millis(after)).await,
            None => pending().await,
        }
        takes.then_some(name).ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionRefused, name))
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_beside_one_that_is_silent_and_at_once_after_one_that_refuses() {
        for (what, attempts, expected, took) in [
            ("the first answers", [(Some(10), true), (Some(0), true), (Some(0), true)], Ok("a"), 10),
            ("a black hole before the right one", [(None, true), (Some(5), true), (Some(0), true)], Ok("b"), 255),
            ("two of them", [(None, true), (None, true), (Some(5), true)], Ok("c"), 505),
            ("a slow one wins nevertheless", [(Some(300), true), (None, true), (None, true)], Ok("a"), 300),
            ("refused at once", [(Some(0), false), (Some(1), false), (Some(2), true)], Ok("c"), 3),
            ("all refuse", [(Some(0), false), (Some(1), false), (Some(2), false)], Err("c".to_owned()), 3),
        ] {
            let begun = Instant::now();
            let attempts = ["a", "b", "c"].into_iter().zip(attempts);
            let attempts = attempts.map(|(name, (after, takes))| answers(name, after, takes)).collect();
            let first = first_of(attempts).await.map_err(|error| error.to_string());
            assert_eq!((first, begun.elapsed().as_millis()), (expected, took), "{what}");
        }
        let none: Vec<std::future::Ready<io::Result<()>>> = Vec::new();
        assert!(first_of(none).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_the_first_success() {
        struct Dropped<'a>(&'a RefCell<u32>);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                *self.0.borrow_mut() += 1;
            }
        }
        let ended = RefCell::new(0);
        let attempts = [None, None, Some(0)].map(|after| {
            let guard = Dropped(&ended);
            async move {
                let _guard = guard;
                answers("a", after, true).await
            }
        });
        first_of(attempts.into()).await.unwrap();
        assert_eq!(*ended.borrow(), 3);
    }

    #[tokio::test]
    async fn a_name_of_two_families_is_reached_by_the_one_that_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // localhost is ::1 as well on most machines, where nobody listens.
        Dial::tcp().open(format!("localhost:{port}")).await.unwrap();
    }
}
