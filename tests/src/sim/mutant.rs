//! usher with something left out, to see whether the simulator finds it. Nothing of it is in usher: the harness rewrites what goes over
//! an edge, so that what usher does there has no effect.

use std::{collections::BTreeSet, io, path::Path};

use http::{Method, Response};
use http_body_util::{BodyExt as _, Full};
use usher_common::clock;

use crate::apiserver::ReplyBody;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A cordon is taken away without a look at whose it is: all seem to be usher's.
    UncordonsAnybodys,
    /// The agent asks login1 before its intent is on disk: the write of the intent is lost.
    IntentAfterTheAct,
    /// usher asks what became of a call under another id than the call's.
    FollowsByAFreshId,
    /// Facts are not read again before the point of no return: an apiserver that was ready seems to be so for ever.
    NoSecondFacts,
    /// A leader's machine is left without waiting for the next leader: another one seems to hold the lease at once.
    AwaitsNoLeader,
}

impl Mutant {
    /// An answer as usher gets it.
    pub(super) async fn answer(
        self,
        (method, via, path): (&Method, &str, &str),
        answer: Response<ReplyBody>,
    ) -> io::Result<Response<ReplyBody>> {
        let code = answer.status().as_u16();
        let is_read = method == Method::GET && code == 200;
        match self {
            Self::NoSecondFacts if path == "/readyz" && !via.is_empty() && code != 200 => Ok(reply(200, &"ok".into())),
            Self::UncordonsAnybodys if is_read && path.starts_with("/api/v1/nodes/") => {
                let (head, body) = read(answer).await?;
                let text = body.to_string().replace("\"manager\":\"kubectl-cordon\"", "\"manager\":\"usher\"");
                Ok(Response::from_parts(head, reply(200, &serde_json::from_str(&text).unwrap_or_default()).into_body()))
            }
            Self::AwaitsNoLeader if is_read && path.ends_with("/leases/kube-controller-manager") => {
                let (head, mut lease) = read(answer).await?;
                if lease["spec"]["holderIdentity"] == "" {
                    // It renews at each look.
                    lease["spec"]["holderIdentity"] = "cp1_6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1".into();
                    lease["spec"]["renewTime"] = format!("{:.6}", clock::now()).into();
                }
                Ok(Response::from_parts(head, reply(200, &lease).into_body()))
            }
            _ => Ok(answer),
        }
    }

    /// Whether the agent's disk loses this write.
    pub(super) fn swallows(self, path: &Path, content: Option<&[u8]>) -> bool {
        let content = content.map(String::from_utf8_lossy).unwrap_or_default();
        self == Self::IntentAfterTheAct && path.ends_with("running.json") && content.contains("reboot_asked")
    }

    /// Bytes from a coordinator to an agent; `known` are the ids that went there before.
    pub(super) fn bytes(self, known: &mut BTreeSet<Vec<u8>>, bytes: &mut [u8]) {
        if self != Self::FollowsByAFreshId {
            return;
        }
        let mut at = 0;
        while at < bytes.len() {
            let length = bytes[at..].iter().take_while(|byte| is_of_an_id(**byte)).count();
            let word = &mut bytes[at..at + length];
            // OPERATION.TURN.STEP
            let dots = word.iter().filter(|byte| **byte == b'.').count();
            if dots >= 2 && word.last().is_some_and(u8::is_ascii_digit) && !known.insert(word.to_vec()) {
                word[0] = b'x';
            }
            at += length.max(1);
        }
    }
}

fn is_of_an_id(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.'
}

async fn read(answer: Response<ReplyBody>) -> io::Result<(http::response::Parts, serde_json::Value)> {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(http::header::CONTENT_LENGTH);
    let body = body.collect().await?.to_bytes();
    Ok((head, serde_json::from_slice(&body)?))
}

/// An answer with this JSON.
pub(super) fn reply(code: u16, body: &serde_json::Value) -> Response<ReplyBody> {
    let body = Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}
