//! Which role each method needs.

use crate::access::Role;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenTo {
    /// Callers with this role, and the node's own root.
    All(Role),
    /// Callers with this role alone: what root does to the node, it does itself.
    Callers(Role),
    /// The node's own root alone.
    Root,
}

use OpenTo::{All, Callers, Root};

/// Who may call each method. Nobody may call a method without a row, whatever service offers it, so that a new one is never open by
/// omission.
const METHODS: &[(&str, OpenTo)] = &[
    ("/usher.agent.v1.NodeInfo/GetNode", All(Role::Viewer)),
    ("/usher.agent.v1.NodeInfo/GetOperation", All(Role::Viewer)),
    ("/usher.agent.v1.NodeInfo/ListOperations", All(Role::Viewer)),
    ("/usher.agent.v1.NodeInfo/WatchOperation", All(Role::Viewer)),
    ("/usher.agent.v1.NodeInfo/ListAuditRecords", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeInfo/GetEtcdMember", All(Role::Viewer)),
    ("/usher.agent.v1.NodeInfo/ProbeUnit", All(Role::Viewer)),
    ("/usher.agent.v1.NodeControl/RestartUnit", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeControl/StopUnit", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeControl/StartUnit", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeControl/RebootNode", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeControl/CancelOperation", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeControl/MoveEtcdLeader", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeControl/Fence", Callers(Role::Operator)),
    ("/usher.agent.v1.NodeLocal/RequestRestart", Root),
    ("/usher.agent.v1.NodeLocal/AwaitRestart", Root),
    ("/usher.agent.v1.NodeLocal/WithdrawRestart", Root),
    ("/usher.agent.v1.NodeLocal/SetHold", Root),
    ("/usher.agent.v1.NodeLocal/ReleaseHold", Root),
    ("/grpc.health.v1.Health/Check", All(Role::Viewer)),
    ("/grpc.health.v1.Health/Watch", All(Role::Viewer)),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", All(Role::Viewer)),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", All(Role::Viewer)),
];

/// Who may call the method at `path`, `None` if nobody may.
pub(super) fn open_to(path: &str) -> Option<OpenTo> {
    METHODS.iter().find(|(method, _)| *method == path).map(|(_, open)| *open)
}

/// The path if it is that of a method with a row, as a label of few values.
pub(super) fn known_method(path: &str) -> &'static str {
    METHODS.iter().find(|(method, _)| *method == path).map_or("unknown", |(method, _)| method)
}

/// Whether the method describes the services themselves, in answers as long as the contract.
pub(super) fn is_reflection(path: &str) -> bool {
    path.starts_with("/grpc.reflection.")
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
    fn what_changes_the_node_is_for_operators_what_root_asks_for_is_for_root_and_what_has_no_row_is_for_nobody() {
        for path in methods(usher_proto::FILE_DESCRIPTOR_SET).iter().filter(|path| path.contains(".NodeControl/")) {
            assert_eq!(open_to(path), Some(Callers(Role::Operator)), "{path}");
        }
        for path in methods(usher_proto::FILE_DESCRIPTOR_SET).iter().filter(|path| path.contains(".NodeLocal/")) {
            assert_eq!(open_to(path), Some(Root), "{path}");
        }
        assert_eq!(open_to("/grpc.health.v1.Health/Check"), Some(All(Role::Viewer)), "any listed caller may ask");
        for path in ["/usher.agent.v1.NodeControl/FormatDisk", "/usher.agent.v1.NodeFiles/Write", "/", "", "GetNode"] {
            assert_eq!(open_to(path), None, "{path}");
        }
    }
}
