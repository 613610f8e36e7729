//! An answer on its way to the peer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, body::Body};

use super::peer::{InUse, Owed};

/// How much of an answer the connection is given at once. HTTP/2 asks for the next part when the peer has room for it; what is
/// left of a long answer stays here, where it can be seen and dropped.
const PART: usize = 16 * 1024;

/// A permit that an answer keeps until it has been taken. A service puts it into the extensions of its response.
#[derive(Debug, Clone)]
pub(crate) struct KeptUntilTaken {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl From<OwnedSemaphorePermit> for KeptUntilTaken {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Arc::new(permit) }
    }
}

/// The body of a response. It keeps its connection in use until it ends.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    rest: Bytes,
    owed: Option<Owed>,
    in_use: Option<InUse>,
    _kept: Option<KeptUntilTaken>,
}

impl Answer {
    pub(super) fn new(body: Body, in_use: InUse, kept: Option<KeptUntilTaken>) -> Self {
        Self { body, rest: Bytes::new(), owed: None, in_use: Some(in_use), _kept: kept }
    }

    /// A refusal, which does not keep the connection in use.
    pub(super) fn refusal(body: Body) -> Self {
        Self { body, rest: Bytes::new(), owed: None, in_use: None, _kept: None }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => {
                    self.in_use = None;
                    return Poll::Ready(other);
                }
            }
            if self.rest.len() > PART {
                self.owed = self.in_use.as_ref().map(InUse::owe);
            }
        }
        let part = self.rest.len().min(PART);
        let part = self.rest.split_to(part);
        if self.rest.is_empty() {
            self.owed = None;
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
