//! What a caller may do, by the lists in force: `[allow]` and `[deny]`.

use std::collections::BTreeSet;

use arc_swap::ArcSwap;
use usher_common::clock;
use usher_proto::reason;

use super::peer::Peer;
use crate::{
    access::{AllowList, Denial, Role, Wanted},
    certificate::Fingerprint,
    config::{Config, InPart},
    refusal::Refusal,
};

/// The lists in force.
#[derive(Debug)]
pub(super) struct Rights {
    lists: ArcSwap<Lists>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lists {
    allow: AllowList,
    deny: BTreeSet<Fingerprint>,
}

impl Rights {
    pub(super) fn new(config: &Config) -> Self {
        Self { lists: ArcSwap::from_pointee(Lists { allow: config.allow.clone(), deny: config.deny.clone() }) }
    }

    /// Puts the lists of a configuration into force. Whether they differ from those before.
    pub(super) fn replace(&self, allow: AllowList, deny: BTreeSet<Fingerprint>) -> bool {
        self.put(Lists { allow, deny })
    }

    /// Takes away what a configuration that is not in use as a whole does not give any more, and gives nothing: a mistake
    /// elsewhere in the file must not keep a revoked caller in. Whether that changed anything.
    pub(super) fn narrow(&self, said: InPart) -> bool {
        let lists = self.lists.load();
        let mut allow = AllowList::default();
        for (role, listed) in [(Role::Viewer, said.viewers), (Role::Operator, said.operators)] {
            allow.extend(match listed {
                Some(listed) => lists.allow.narrowed_to(&listed),
                None => lists.allow.of(role),
            });
        }
        self.put(Lists { allow, deny: lists.deny.union(&said.denied).copied().collect() })
    }

    fn put(&self, lists: Lists) -> bool {
        let changed = **self.lists.load() != lists;
        if changed {
            self.lists.store(lists.into());
        }
        changed
    }

    /// How many names are listed as viewers and as operators.
    pub(super) fn counts(&self) -> (usize, usize) {
        let lists = self.lists.load();
        (lists.allow.count(Role::Viewer), lists.allow.count(Role::Operator))
    }

    /// The peer's role.
    pub(super) fn role(&self, peer: &Peer) -> Result<Role, Refusal> {
        let (lists, caller) = (self.lists.load(), &peer.caller);
        if let Some(certificate) = caller.certificate() {
            let fingerprint = certificate.fingerprint;
            if lists.deny.contains(&fingerprint) {
                let message = format!(
                    "the certificate ({caller}, fingerprint {fingerprint}) is in [deny] of the agent's configuration. Call with \
                     another one"
                );
                return Err(Refusal::new(reason::CERTIFICATE_REVOKED, message));
            }
            if certificate.not_after <= clock::now() {
                let message = format!(
                    "the certificate ({caller}) expired at {} while the connection was open. Renew it",
                    certificate.not_after
                );
                return Err(Refusal::new(reason::CERTIFICATE_EXPIRED, message));
            }
        }
        lists.allow.role(caller.names(), peer.address.ip(), clock::now()).map_err(|denial| refusal(peer, denial))
    }

    /// Whether the peer, an operator, may make this change.
    pub(super) fn permit(&self, peer: &Peer, wanted: &Wanted<'_>) -> Result<(), Refusal> {
        let lists = self.lists.load();
        let permitted = lists.allow.permit(peer.caller.names(), peer.address.ip(), clock::now(), wanted);
        permitted.map_err(|denial| refusal(peer, denial))
    }

    /// Whether the peer, an operator, may make any change at all.
    pub(super) fn permit_any(&self, peer: &Peer) -> Result<(), Refusal> {
        let lists = self.lists.load();
        let permitted = lists.allow.permit_any(peer.caller.names(), peer.address.ip(), clock::now());
        permitted.map_err(|denial| refusal(peer, denial))
    }
}

fn refusal(peer: &Peer, denial: Denial) -> Refusal {
    match denial {
        Denial::NotListed { viewers, operators } => {
            let caller = &peer.caller;
            let message = format!(
                "the certificate ({caller}) is signed by the right CA but is not in the allow-list (viewer: {viewers} names, \
                 operator: {operators} names). Add one of its names to [allow] of the agent's configuration"
            );
            Refusal::new(reason::NOT_LISTED, message)
        }
        Denial::Limited { limit, message } => {
            let message = format!(
                "{message}. Call as it permits, or change its key {} in [allow] of the agent's configuration",
                limit.key()
            );
            Refusal::new(reason::CALLER_LIMITED, message).with("limit", limit.key())
        }
    }
}
