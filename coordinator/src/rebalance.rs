//! Moves pods to nodes that have fewer than their share: after a reboot a node is empty, and pods do not come back by themselves.
//!
//! A pod is moved by its eviction, within the disruption budgets; its controller makes a successor, and the scheduler decides
//! where that goes. So each move is followed to its end, and the next one is decided from what happened: pure rules of
//! [`usher_core::rebalance`] over what is read here. Nothing is cordoned to steer the scheduler, and nothing is deleted.
//!
//! Only pods are moved whose controller replaces them and whose service the move does not interrupt; what the site's drain policy
//! skips or protects stays. Whether a pod fits is judged by the scheduler's hard rules. Where one cannot be judged, the pod stays.
//!
//! The files, each of which uses only those before it: `guest` (pods, and which of them never move), `volumes` (how many a node attaches), `survey` (what is
//! read of the cluster), `rules` (affinity and spread), `model` (the survey as a [`Balance`](usher_core::rebalance::Balance)),
//! `preview`, `report` (what a turn tells), `successor` (where a pod went), `relocation` (one move), `run` (one node's turn), and
//! `rebalancer`, the entry point.

mod guest;
mod model;
mod preview;
mod rebalancer;
mod relocation;
mod report;
mod rules;
mod run;
mod successor;
mod survey;
mod volumes;

pub use self::{
    guest::Keeps,
    preview::{NodeLoad, NodePreview, PlannedMove, RebalancePreview, StayingPods},
    rebalancer::Rebalancer,
    report::{End, Moved, RebalanceError, Rebalanced, Stage, Turn},
};
