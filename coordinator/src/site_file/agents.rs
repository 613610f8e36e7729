//! `[agents]`: how agents are reached.

use usher_common::config_file::{PATH, PORT, Table};

use super::values::{ADDRESS_TEMPLATE, HOST_AND_PORT, NODE_TEMPLATE, machine};
use crate::site::AgentAccess;

pub(super) fn agents(table: &mut Table<'_>) -> AgentAccess {
    let plain = AgentAccess::default();
    AgentAccess {
        port: table
            .key("port", PORT)
            .says("The port at a Node's InternalIP, for machines that have no other address here.")
            .or(plain.port),
        address: table
            .key("address", ADDRESS_TEMPLATE)
            .says("Address of every agent, with {node} for the machine's name.")
            .example("{node}.example.org:7470")
            .optional("the Node's InternalIP and the port"),
        server_name: table
            .key("server_name", NODE_TEMPLATE)
            .says("The DNS name that an agent's certificate must carry, with {node} for the machine's name.")
            .or(plain.server_name),
        certificate: table
            .key("certificate", PATH)
            .says("The certificate that usher shows to agents, PEM.")
            .or(plain.certificate),
        key: table.key("key", PATH).says("Its key, PEM.").or(plain.key),
        ca: table.key("ca", PATH).says("The CA that signed the agents' certificates, PEM.").or(plain.ca),
        addresses: table
            .table("addresses")
            .says(
                "Addresses of single machines. For the machines named here, `usher agent` works while the Kubernetes API is \
                 down.",
            )
            .read(|table| {
                table
                    .others("MACHINE", "cp1")
                    .says("The machine's address; wins over agents.address.")
                    .values(&HOST_AND_PORT, "10.0.0.11:7470", machine)
                    .into_iter()
                    .collect()
            }),
    }
}
