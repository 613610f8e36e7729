//! The contract between `usher` and the agents on the nodes: `usher.agent.v1`.
//!
//! The text of the contract is `proto/usher/agent/v1/agent.proto`; everything here is generated from it, save the names
//! of the reasons in refusals, which both sides match on.

/// Version 1 of the agent's contract.
pub mod v1 {
    #![allow(missing_docs)]
    tonic::include_proto!("usher.agent.v1");
}

pub mod reason;

/// The encoded `FileDescriptorSet` of the contract, as gRPC reflection serves it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/usher.agent.v1.bin"));
