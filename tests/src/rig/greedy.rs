//! Listed callers that take as much as they get: answers that they do not take, requests that they do not end.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tonic::{body::Body, transport::Endpoint};

/// The same endpoint for answers that nobody takes: it has windows of a few bytes.
pub fn with_small_windows(endpoint: Endpoint) -> Endpoint {
    endpoint.initial_stream_window_size(1024).initial_connection_window_size(1024)
}

/// All calls that a connection may have at a time, of those that cost most.
pub fn calls() -> Vec<http::Request<Body>> {
    let list = || call("usher.agent.v1.NodeInfo/ListOperations", whole(b"\0\0\0\0\x03\x08\x96\x01"));
    // As large as one may be.
    let large = || {
        let begun = [b"\0\0\0\xff\xff".as_slice(), &[b'x'; 60_000]].concat();
        call("usher.agent.v1.NodeInfo/GetOperation", without_end(begun))
    };
    let describe = || {
        let questions = b"\0\0\0\0\x19\x22\x17usher.agent.v1.NodeInfo".repeat(4);
        call("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", without_end(questions))
    };
    vec![list(), list(), large(), large(), large(), describe(), describe(), describe()]
}

/// A call of a method, as `SERVICE/METHOD`. The channel that makes it puts its own server into the address.
pub fn call(method: &str, request: Body) -> http::Request<Body> {
    http::Request::post(format!("https://node-1/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(request)
        .unwrap()
}

/// A request with its end.
pub fn whole(request: &'static [u8]) -> Body {
    Body::new(Full::new(Bytes::from_static(request)))
}

fn without_end(begun: Vec<u8>) -> Body {
    let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(begun)));
    Body::new(StreamBody::new(stream::iter([frame]).chain(stream::pending())))
}
