//! `[drain]`: what every drain leaves alone, awaits, or puts in order.

use usher_common::config_file::{FLAG, ListOf, TEXT, Table};

use super::values::SELECTOR;
use crate::drain::DrainPolicy;

pub(super) fn drain(table: &mut Table<'_>) -> DrainPolicy {
    let plain = DrainPolicy::default();
    DrainPolicy {
        protected_namespaces: table
            .key("protected_namespaces", ListOf(TEXT))
            .says(
                "Pods in these namespaces forbid a drain, unless --allow-namespace names theirs. Restarts of workloads leave them \
                 alone, unless -n names theirs.",
            )
            .example(["rook-ceph"])
            .or(plain.protected_namespaces),
        skip: table
            .key("skip", ListOf(SELECTOR))
            .says("Leave these pods alone, as --skip-pods does.")
            .example(["keep=yes"])
            .or(plain.skip),
        wait_for_completion: table
            .key("wait_for_completion", ListOf(SELECTOR))
            .says("Wait until these pods have ended by themselves, as --wait-for does.")
            .example(["role=importer"])
            .or(plain.wait_for_completion),
        wait_for_jobs: table
            .key("wait_for_jobs", FLAG)
            .says("Wait until all pods of Jobs have ended by themselves.")
            .or(plain.wait_for_jobs),
        surge: table
            .key("surge", ListOf(SELECTOR))
            .says("Of these pods, replace lone replicas of Deployments before they go.")
            .example(["app=gateway"])
            .or(plain.surge),
        wait_for_volumes: table
            .key("wait_for_volumes", FLAG)
            .says("When the pods have gone, wait until their volumes are detached from the node.")
            .or(plain.wait_for_volumes),
        order: table
            .key("order", ListOf(SELECTOR))
            .says(
                "Groups of pods: those of an earlier group have gone before the first of a later one is evicted. Pods in no \
                 group go last.",
            )
            .example(["tier=front", "tier in (cache,db)"])
            .or(plain.order),
    }
}
