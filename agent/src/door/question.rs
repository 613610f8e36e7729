//! A request on its way in.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::PollSemaphore;

/// The largest request that the agent decodes, in bytes. One that makes sense has a few hundred bytes.
pub(crate) const REQUEST_LIMIT: usize = 64 * 1024;

/// Larger requests are large ones, in bytes. Nearly all that are meant have a few hundred.
const SMALL: usize = 4 * 1024;

/// How many requests are read beyond that at a time. Each of them may take 64 KiB of memory until its end has come, or does not come.
pub(super) const LARGE_ONES: usize = 16;

/// How long a refused call's request is read.
const DISCARDED_WITHIN: Duration = Duration::from_secs(1);

/// Reads the request of a call that is refused. h2 counts small frames against the connection until they are read, also those of a request
/// that nobody will read (0.4.20, `record_data_frame`): after some hundred refusals it would end the connection with ENHANCE_YOUR_CALM.
pub(super) async fn discard(mut body: Incoming) {
    let read_all = async {
        let mut read = 0;
        while read < REQUEST_LIMIT
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // A caller that does not send the rest gets its refusal all the same.
    let _ = timeout(DISCARDED_WITHIN, read_all).await;
}

/// The body of a request. A large one waits for its turn with the others, and keeps nobody else waiting.
pub(super) struct Question {
    body: Incoming,
    read: usize,
    turns: PollSemaphore,
    turn: Option<OwnedSemaphorePermit>,
}

impl Question {
    /// `turns` are those of all large requests.
    pub(super) fn new(body: Incoming, turns: Arc<Semaphore>) -> Self {
        Self { body, read: 0, turns: PollSemaphore::new(turns), turn: None }
    }

    fn needs_turn(&self) -> bool {
        self.read >= SMALL && self.turn.is_none() && !self.body.is_end_stream()
    }
}

impl Body for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.needs_turn() {
            self.turn = ready!(self.turns.poll_acquire(cx));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.read += frame.data_ref().map_or(0, Bytes::len);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
