//! A survey as the plain data that a [`Balance`] decides from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use usher_core::rebalance::{Amount, Balance, Candidate, Place, far_below};

use super::{
    guest::{Guest, Keeps},
    rules::Rules,
    survey::Survey,
};
use crate::drain::verdict::NodeCapacity;

/// A balance, and what its indices mean.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) survey: Survey,
    pub(super) balance: Balance,
    /// The index of each candidate's guest.
    pub(super) guests: Vec<usize>,
}

impl Model {
    /// The model in which the nodes named `to` get pods.
    pub(super) fn of(mut survey: Survey, to: &BTreeSet<String>) -> Self {
        let (nodes, mut places) = places(&survey);
        for place in &mut places {
            place.receives = to.contains(&place.name);
        }
        let place_of: BTreeMap<usize, usize> = nodes.iter().enumerate().map(|(place, node)| (*node, place)).collect();
        let fits = fits(&mut survey, &nodes, &places, &place_of);
        let mut moving = vec![false; survey.kinds.len()];
        let guests: Vec<_> = (0..survey.guests.len()).filter(|guest| fits.contains_key(guest)).collect();
        guests.iter().for_each(|guest| moving[survey.guests[*guest].kind] = true);
        let Rules { rules, obeyed_by, counting } = Rules::of(&survey, &moving, &nodes);
        let shared = |lists: Vec<Vec<usize>>| lists.into_iter().map(Arc::<[usize]>::from).collect::<Vec<_>>();
        let (obeyed_by, counting) = (shared(obeyed_by), shared(counting));
        let candidates = guests.iter().map(|number| {
            let guest = &survey.guests[*number];
            let kind = &survey.kinds[guest.kind];
            Candidate {
                at: place_of.get(&guest.node).copied(),
                asks: asks(&survey, guest),
                fits: fits.get(number).cloned().unwrap_or_else(|| [].into()),
                late: kind.is_of_stateful_set() || !guest.claims.is_empty(),
                obeys: Arc::clone(&obeyed_by[guest.kind]),
                counted_by: Arc::clone(&counting[guest.kind]),
                moved: false,
            }
        });
        let candidates = candidates.collect();
        Self { balance: Balance::new(places, candidates, rules), survey, guests }
    }

    /// The place of a node, if it is open to pods.
    pub(super) fn place(&self, node: &str) -> Option<usize> {
        self.balance.places().iter().position(|place| place.name == node)
    }

    pub(super) fn guest(&self, candidate: usize) -> &Guest {
        &self.survey.guests[self.guests[candidate]]
    }

    /// The controller of a candidate, by its UID.
    pub(super) fn owner(&self, candidate: usize) -> &str {
        let owner = self.survey.kinds[self.guest(candidate).kind].owner.as_ref();
        owner.map(|owner| owner.uid.as_str()).unwrap_or_default()
    }
}

/// The names of the nodes that have far fewer than their share.
pub(super) fn needy(survey: &Survey) -> Vec<String> {
    let (_, places) = places(survey);
    far_below(&places).into_iter().map(|at| places[at].name.clone()).collect()
}

/// The nodes that are open to pods, and what they offer. Their pools follow from their taints.
fn places(survey: &Survey) -> (Vec<usize>, Vec<Place>) {
    let open: Vec<_> = (0..survey.nodes.len()).filter(|node| !survey.nodes[*node].is_closed()).collect();
    let mut taken = vec![Amount::default(); survey.nodes.len()];
    for guest in &survey.guests {
        taken[guest.node] = taken[guest.node].plus(&asks(survey, guest));
    }
    let mut pools: BTreeMap<BTreeSet<String>, usize> = BTreeMap::new();
    let places = open.iter().map(|number| {
        let node = &survey.nodes[*number];
        let next = pools.len();
        let pool = *pools.entry(node.hard_taints()).or_insert(next);
        let (name, offered) = (node.name.clone(), offered(survey, node));
        Place { name, pool, offered, taken: taken[*number], receives: false }
    });
    let places = places.collect();
    (open, places)
}

fn offered(survey: &Survey, node: &NodeCapacity) -> Amount {
    let (cpu, memory, pods) = node.left();
    // Where no driver names a limit there is none.
    let volumes = survey.attach_limits.get(&node.name).copied().unwrap_or(u64::MAX >> 20);
    Amount { cpu, memory, pods, volumes }
}

fn asks(survey: &Survey, guest: &Guest) -> Amount {
    let (cpu, memory) = survey.kinds[guest.kind].requirements.requests();
    Amount { cpu, memory, pods: 1, volumes: guest.claims.len() as u64 }
}

/// The other places that get pods and would take each pod that may move, by the index of its guest. Pods that none takes stay, and the
/// survey says why.
fn fits(
    survey: &mut Survey,
    nodes: &[usize],
    places: &[Place],
    place_of: &BTreeMap<usize, usize>,
) -> BTreeMap<usize, Arc<[usize]>> {
    let receiving: Vec<_> = (0..places.len()).filter(|place| places[*place].receives).collect();
    let mut by_kind: BTreeMap<usize, Arc<[usize]>> = BTreeMap::new();
    let mut fits = BTreeMap::new();
    let Survey { nodes: capacities, guests, kinds, volumes, .. } = survey;
    for (number, guest) in guests.iter_mut().enumerate() {
        let Some(own) = place_of.get(&guest.node).filter(|_| guest.keeps.is_none()) else { continue };
        let takes = |place: &&usize| {
            let (node, requirements) = (&capacities[nodes[**place]], &kinds[guest.kind].requirements);
            node.is_selected(requirements) && node.is_tolerated(requirements)
        };
        let of_kind = by_kind.entry(guest.kind).or_insert_with(|| receiving.iter().filter(takes).copied().collect());
        let mut of_guest = Arc::clone(of_kind);
        for claim in &guest.claims {
            let claim = (guest.pod.namespace.clone(), claim.clone());
            let known = |place: &usize| volumes.can_be_used(&claim, &capacities[nodes[*place]]);
            if of_guest.iter().any(|place| known(place).is_none()) {
                guest.keeps = Some(Keeps::Volume);
            }
            of_guest = of_guest.iter().copied().filter(|place| known(place) == Some(true)).collect();
        }
        if of_guest.contains(own) {
            of_guest = of_guest.iter().copied().filter(|place| place != own).collect();
        }
        match of_guest.is_empty() {
            // Its own node is one that gets pods, and perhaps the only one.
            true if places[*own].receives => {}
            true => guest.keeps = guest.keeps.or(Some(Keeps::Fit)),
            false => drop(fits.insert(number, of_guest)),
        }
    }
    fits
}

#[cfg(test)]
mod tests;
