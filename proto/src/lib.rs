//! The contract between `usher` and the agents on the nodes: `usher.agent.v1`.
//!
//! `proto/usher/agent/v1/agent.proto` is the contract. Everything here is generated from it except the reasons of refusals,
//! which both sides match on.

/// Version 1 of the agent's contract.
pub mod v1 {
    #![allow(missing_docs)]
    tonic::include_proto!("usher.agent.v1");
}

/// The part of etcd's own API that the agent uses, as `etcd/rpc.proto` has it.
pub mod etcd {
    #![allow(missing_docs)]
    tonic::include_proto!("etcdserverpb");
}

pub mod reason;

/// The encoded `FileDescriptorSet` of the contract, as gRPC reflection serves it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/usher.agent.v1.bin"));
