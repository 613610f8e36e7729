//! How often refusals of one kind from one origin are told of: a peer that is refused again and again must not fill the journal,
//! which would drop other records instead.
//!
//! Each kind counts for itself, for the harmless must not hide what matters: a health check of a load balancer hangs up every few
//! seconds, perhaps behind the address from which somebody tries a certificate that is not listed.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::access::Network;

/// How many refusals of one kind from an origin are told one by one.
const ONE_BY_ONE: u32 = 5;

/// After these, one is told in this time, with a count of the others.
const INTERVAL: Duration = Duration::from_secs(60);

/// The limiter forgets an origin from which nobody was refused in this way for this time.
const FORGET_AFTER: Duration = Duration::from_secs(10 * 60);

/// How many origins and kinds are remembered. All origins beyond them count as one.
const REMEMBERED: usize = 512;

/// What was told of which origin and kind.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    refusals: Mutex<BTreeMap<(Kind, Option<Network>), Told>>,
}

/// A reason of the contract, or a name of the same form for peers that get no connection. There are some ten.
type Kind = &'static str;

#[derive(Debug)]
struct Told {
    one_by_one: u32,
    last: Instant,
    seen: Instant,
    untold: u64,
}

impl Limiter {
    /// Whether to tell of a refusal of this kind and address now, and how many others since the last one went untold.
    pub(super) fn tell(&self, kind: Kind, address: IpAddr) -> Option<u64> {
        let now = Instant::now();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (kind, Some(Network::origin(address)));
        if !refusals.contains_key(&key) && refusals.len() >= REMEMBERED {
            refusals.retain(|_, told| now - told.seen < FORGET_AFTER);
            if refusals.len() >= REMEMBERED {
                key = (kind, None);
            }
        }
        let told = refusals.entry(key).or_insert(Told { one_by_one: 0, last: now, seen: now, untold: 0 });
        if now - told.seen >= FORGET_AFTER {
            told.one_by_one = 0;
        }
        told.seen = now;
        if told.one_by_one < ONE_BY_ONE {
            told.one_by_one += 1;
        } else if now - told.last < INTERVAL {
            told.untold += 1;
            return None;
        }
        told.last = now;
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[tokio::test(start_paused = true)]
    async fn the_first_five_are_told_then_one_a_minute_with_the_number_of_the_others() {
        let limiter = Limiter::default();
        let told: Vec<_> = (0..8).map(|_| limiter.tell("A", ADDRESS)).collect();
        assert_eq!(told, [Some(0), Some(0), Some(0), Some(0), Some(0), None, None, None]);
        assert_eq!(limiter.tell("A", [192, 0, 2, 2].into()), Some(0), "another origin has its own");
        assert_eq!(limiter.tell("B", ADDRESS), Some(0), "another kind has its own");
        tokio::time::advance(INTERVAL).await;
        assert_eq!((limiter.tell("A", ADDRESS), limiter.tell("A", ADDRESS)), (Some(3), None));
        tokio::time::advance(FORGET_AFTER).await;
        assert_eq!((limiter.tell("A", ADDRESS), limiter.tell("A", ADDRESS)), (Some(1), Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn origins_beyond_those_remembered_share_what_is_told() {
        let limiter = Limiter::default();
        let from = |number: u32| limiter.tell("A", number.to_be_bytes().into());
        let count = u32::try_from(REMEMBERED).unwrap();
        assert!((0..count).all(|number| from(number) == Some(0)));
        assert_eq!((count..count + 100).filter(|number| from(*number).is_some()).count(), 5);
        assert_eq!(limiter.tell("B", ADDRESS), Some(0), "another kind has its own");
    }
}
