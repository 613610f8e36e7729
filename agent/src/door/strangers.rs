//! Peers that have not shown a listed certificate: how many there may be, and which of them makes room for another.
//!
//! A silent peer costs its sender nothing. So a full house never keeps a newcomer out, who may be an operator: an older one goes,
//! of the origin that has most of them. However many connections a flood opens, a peer that is alone in its origin stays while
//! any other origin has two.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{access::Network, config::Limits};

/// All strangers at the door. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers {
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    next: u64,
    /// In the order in which they came.
    strangers: BTreeMap<u64, (Network, CancellationToken)>,
}

impl Present {
    /// The strangers of an origin, the oldest first.
    fn of(&self, origin: Network) -> impl Iterator<Item = u64> {
        self.strangers.iter().filter(move |(_, (known, _))| *known == origin).map(|(id, _)| *id)
    }

    fn oldest_of_the_largest_origin(&self) -> Option<u64> {
        let mut origins: BTreeMap<Network, (usize, Reverse<u64>)> = BTreeMap::new();
        for (id, (origin, _)) in &self.strangers {
            origins.entry(*origin).or_insert((0, Reverse(*id))).0 += 1;
        }
        origins.into_values().max().map(|(_, Reverse(oldest))| oldest)
    }
}

/// One stranger's place, until it is dropped or given to a newcomer.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    present: Arc<Mutex<Present>>,
    withdrawn: CancellationToken,
}

impl Strangers {
    /// Lets a newcomer in. If there are too many now, the oldest ticket is withdrawn: of its origin if that has its share, else of
    /// the origin that has most.
    pub(super) fn admit(&self, address: IpAddr, limits: &Limits) -> Ticket {
        let origin = Network::origin(address);
        let mut present = lock(&self.present);
        let goes = if present.of(origin).count() >= limits.handshakes_per_address {
            present.of(origin).next()
        } else if present.strangers.len() >= limits.handshakes {
            present.oldest_of_the_largest_origin()
        } else {
            None
        };
        if let Some((_, withdrawn)) = goes.and_then(|id| present.strangers.remove(&id)) {
            withdrawn.cancel();
        }
        let (id, withdrawn) = (present.next, CancellationToken::new());
        present.next += 1;
        present.strangers.insert(id, (origin, withdrawn.clone()));
        Ticket { id, present: Arc::clone(&self.present), withdrawn }
    }
}

impl Ticket {
    /// Completes when a newcomer has got the place.
    pub(super) async fn withdrawn(&self) {
        self.withdrawn.cancelled().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.present).strangers.remove(&self.id);
    }
}

fn lock(present: &Mutex<Present>) -> MutexGuard<'_, Present> {
    present.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(handshakes: usize, handshakes_per_address: usize) -> Limits {
        Limits { handshakes, handshakes_per_address, ..Limits::default() }
    }

    fn present(tickets: &[Ticket]) -> Vec<bool> {
        tickets.iter().map(|ticket| !ticket.withdrawn.is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_of_an_origin_makes_room_for_its_next_and_others_stay() {
        let (strangers, limits) = (Strangers::default(), limits(10, 2));
        let from = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "::ffff:192.0.2.1"];
        let tickets: Vec<_> = from.iter().map(|address| strangers.admit(address.parse().unwrap(), &limits)).collect();
        assert_eq!(present(&tickets), [false, true, true, true]);
    }

    #[test]
    fn a_flood_from_a_few_origins_pushes_out_nobody_who_is_alone_in_his() {
        let (strangers, limits) = (Strangers::default(), limits(8, 3));
        let alone = strangers.admit([198, 51, 100, 7].into(), &limits);
        let flood: Vec<_> =
            (0..100_u8).map(|number| strangers.admit([192, 0, 2, number % 3].into(), &limits)).collect();
        assert!(!alone.withdrawn.is_cancelled());
        assert_eq!(present(&flood).iter().filter(|stays| **stays).count(), 7);
    }

    #[test]
    fn the_oldest_of_all_makes_room_when_the_house_is_full_and_a_place_that_is_left_is_free() {
        let (strangers, limits) = (Strangers::default(), limits(2, 2));
        let admit = |last: u8| strangers.admit([192, 0, 2, last].into(), &limits);
        let mut tickets = vec![admit(1), admit(2), admit(3)];
        assert_eq!(present(&tickets), [false, true, true]);
        drop(tickets.remove(1));
        tickets.push(admit(4));
        assert_eq!(present(&tickets), [false, true, true]);
    }
}
