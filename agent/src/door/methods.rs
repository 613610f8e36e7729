//! Which role each method needs.

use crate::access::Role;

/// The role that each method needs. Nobody may call a method without a row, whatever service offers it, so that a new one
/// is never open by omission.
const METHODS: &[(&str, Role)] = &[
    ("/usher.agent.v1.NodeInfo/GetNode", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/GetOperation", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/ListOperations", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/WatchOperation", Role::Viewer),
    ("/usher.agent.v1.NodeInfo/ListAuditRecords", Role::Operator),
    ("/usher.agent.v1.NodeControl/RestartUnit", Role::Operator),
    ("/usher.agent.v1.NodeControl/StopUnit", Role::Operator),
    ("/usher.agent.v1.NodeControl/StartUnit", Role::Operator),
    ("/usher.agent.v1.NodeControl/RebootNode", Role::Operator),
    ("/usher.agent.v1.NodeControl/CancelOperation", Role::Operator),
    ("/usher.agent.v1.NodeControl/Fence", Role::Operator),
    ("/grpc.health.v1.Health/Check", Role::Viewer),
    ("/grpc.health.v1.Health/Watch", Role::Viewer),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Role::Viewer),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Role::Viewer),
];

/// The role that the method at `path` needs, `None` if nobody may call it.
pub(super) fn needed_role(path: &str) -> Option<Role> {
    METHODS.iter().find(|(method, _)| *method == path).map(|(_, role)| *role)
}

/// The path if it is that of a method with a row, as a label of few values.
pub(super) fn known_method(path: &str) -> &'static str {
    METHODS.iter().find(|(method, _)| *method == path).map_or("unknown", |(method, _)| method)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn methods(descriptors: &[u8]) -> BTreeSet<String> {
        let descriptors = FileDescriptorSet::decode(descriptors).unwrap();
        let mut methods = BTreeSet::new();
        for file in &descriptors.file {
            for service in &file.service {
                let service_path = format!("/{}.{}", file.package(), service.name());
                methods.extend(service.method.iter().map(|method| format!("{service_path}/{}", method.name())));
            }
        }
        methods
    }

    #[test]
    fn every_method_that_is_served_has_exactly_one_row_and_no_row_is_left_over() {
        let mut served = methods(usher_proto::FILE_DESCRIPTOR_SET);
        assert!(served.contains("/usher.agent.v1.NodeControl/RebootNode"), "the descriptor is the contract's");
        for standard in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            served.extend(methods(standard));
        }
        let listed: BTreeSet<_> = METHODS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed.len(), METHODS.len(), "a method has two rows");
        let without: Vec<_> = served.difference(&listed).collect();
        assert!(without.is_empty(), "give these a row in METHODS, until then nobody may call them: {without:?}");
        let unserved: Vec<_> = listed.difference(&served).collect();
        assert!(unserved.is_empty(), "nothing serves these rows: {unserved:?}");
    }

    #[test]
    fn what_changes_the_node_is_for_operators_and_what_has_no_row_is_for_nobody() {
        for path in methods(usher_proto::FILE_DESCRIPTOR_SET).iter().filter(|path| path.contains(".NodeControl/")) {
            assert_eq!(needed_role(path), Some(Role::Operator), "{path}");
        }
        assert_eq!(needed_role("/grpc.health.v1.Health/Check"), Some(Role::Viewer), "any listed caller may ask");
        for path in ["/usher.agent.v1.NodeControl/FormatDisk", "/usher.agent.v1.NodeFiles/Write", "/", "", "GetNode"] {
            assert_eq!(needed_role(path), None, "{path}");
        }
    }
}
