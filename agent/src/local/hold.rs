//! `usher-agent hold`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use usher_common::clock;
use usher_proto::v1;

use super::{Client, Failure, Told, status::time};

/// When a hold ends; without either, when it is released.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    pub(super) lasts: Option<Duration>,
    pub(super) until: Option<Timestamp>,
}

impl End {
    /// How long it lasts from now on. One that lies behind is zero, which the agent refuses.
    fn lasts(self) -> Option<prost_types::Duration> {
        let until = self.until.map(|until| until.duration_since(clock::now()).max(SignedDuration::ZERO));
        let lasts = self.lasts.map(|lasts| SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX)).or(until)?;
        Some(prost_types::Duration { seconds: lasts.as_secs(), nanos: lasts.subsec_nanos() })
    }
}

pub(super) async fn set(
    client: &mut Client,
    owner: String,
    reason: String,
    end: End,
    requester: String,
) -> Result<Told, Failure> {
    let request = v1::SetHoldRequest { owner: owner.clone(), reason, lasts: end.lasts(), requester };
    let hold = client.local.set_hold(request).await?.into_inner().hold.unwrap_or_default();
    let until =
        time(hold.until.as_ref()).map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
    Ok(Told::done(format!(
        "{owner} holds this node {until}: its agent neither restarts nor stops a unit, nor reboots it"
    )))
}

pub(super) async fn release(client: &mut Client, owner: String, requester: String) -> Result<Told, Failure> {
    let request = v1::ReleaseHoldRequest { owner: owner.clone(), requester };
    client.local.release_hold(request).await?;
    let node = client.info.get_node(v1::GetNodeRequest {}).await?.into_inner().node.unwrap_or_default();
    let others = node.hold.map(|hold| format!("; it is still held: {}", hold.text.replace('\n', "; ")));
    Ok(Told::done(format!("{owner} does not hold this node any more{}", others.unwrap_or_default())))
}
