//! Machine-readable reasons of a refusal: the `reason` of the `google.rpc.ErrorInfo` in an error's details.
//!
//! The gRPC code says who can fix it; the reason says exactly what forbade the call. The message is for people and may
//! change; these names may not.

/// The `domain` of every `ErrorInfo` that an agent sends.
pub const DOMAIN: &str = "agent.usher.dev";

/// The caller's certificate is signed by the right CA, but no name in it is in the allow-list. PERMISSION_DENIED.
pub const NOT_LISTED: &str = "NOT_LISTED";
/// The caller is a viewer and the call changes something. PERMISSION_DENIED.
pub const ROLE_TOO_LOW: &str = "ROLE_TOO_LOW";
/// A name of the caller is in the allow-list, but its entry does not permit this call; metadata `limit` is the key that forbids
/// it: `from`, `units`, `may` or `until`. PERMISSION_DENIED.
pub const CALLER_LIMITED: &str = "CALLER_LIMITED";
/// The caller's certificate has expired while its connection was open. UNAUTHENTICATED.
pub const CERTIFICATE_EXPIRED: &str = "CERTIFICATE_EXPIRED";
/// The caller's certificate is on the deny-list, or has been accepted on this connection but would not be any more: the CAs of
/// callers or their revocation lists have changed. UNAUTHENTICATED.
pub const CERTIFICATE_REVOKED: &str = "CERTIFICATE_REVOKED";
/// The agent serves no such method: the caller speaks a newer contract than the agent does. UNIMPLEMENTED.
pub const NO_SUCH_METHOD: &str = "NO_SUCH_METHOD";
/// The unit is not in the agent's configuration. PERMISSION_DENIED.
pub const UNIT_NOT_ALLOWED: &str = "UNIT_NOT_ALLOWED";
/// A field is empty, malformed, too long or out of its range; metadata `field` names it. INVALID_ARGUMENT.
pub const BAD_REQUEST: &str = "BAD_REQUEST";
/// The call is meant for another node, by [`Order.node`](crate::v1::Order); metadata `node` is this one's name.
/// FAILED_PRECONDITION.
pub const WRONG_NODE: &str = "WRONG_NODE";
/// The epoch is lower than the highest that the agent has seen, which metadata `epoch` holds. ABORTED.
pub const STALE_EPOCH: &str = "STALE_EPOCH";
/// The epoch is implausibly far above the highest that the agent has seen, which metadata `epoch` holds. FAILED_PRECONDITION.
pub const EPOCH_JUMP: &str = "EPOCH_JUMP";
/// The call that names the operation is still being checked: ask again. UNAVAILABLE.
pub const ADMITTING: &str = "ADMITTING";
/// The operation to be cancelled does more than wait; metadata `step` is its last step. FAILED_PRECONDITION.
pub const NOT_WAITING: &str = "NOT_WAITING";
/// Another operation runs on this node; metadata `operation_id` names it. FAILED_PRECONDITION.
pub const BUSY: &str = "BUSY";
/// The unit's InvocationID is not the expected one; metadata `invocation_id` holds the present one. FAILED_PRECONDITION.
pub const INVOCATION_MISMATCH: &str = "INVOCATION_MISMATCH";
/// The boot id is not the expected one; metadata `boot_id` holds the present one. FAILED_PRECONDITION.
pub const BOOT_MISMATCH: &str = "BOOT_MISMATCH";
/// The operation id was used before for another request. ALREADY_EXISTS.
pub const OPERATION_ID_REUSED: &str = "OPERATION_ID_REUSED";
/// There is a hold file on the node, or a hold that was set through the agent; metadata `hold` is its first line.
/// FAILED_PRECONDITION.
pub const HELD: &str = "HELD";
/// The owner holds the node with no hold. NOT_FOUND.
pub const NO_SUCH_HOLD: &str = "NO_SUCH_HOLD";
/// As many owners hold the node as may; metadata `owners` holds their names, one per line. RESOURCE_EXHAUSTED.
pub const TOO_MANY_HOLDS: &str = "TOO_MANY_HOLDS";
/// The call is for the node's own root, over the agent's Unix socket. PERMISSION_DENIED.
pub const LOCAL_ONLY: &str = "LOCAL_ONLY";
/// The call is not for the node's own root: operators make it, with a certificate. PERMISSION_DENIED.
pub const NOT_LOCAL: &str = "NOT_LOCAL";
/// Blockers forbid the reboot; metadata `blockers` holds their names, one per line. FAILED_PRECONDITION.
pub const INHIBITED: &str = "INHIBITED";
/// A shutdown of the node is under way already, by somebody else: it goes down whether or not it is asked. FAILED_PRECONDITION.
pub const SHUTTING_DOWN: &str = "SHUTTING_DOWN";
/// The node has used up its reboots for a day. RESOURCE_EXHAUSTED.
pub const REBOOT_BUDGET: &str = "REBOOT_BUDGET";
/// No operation with this id is known. NOT_FOUND.
pub const NO_SUCH_OPERATION: &str = "NO_SUCH_OPERATION";
/// systemd knows no such unit. NOT_FOUND.
pub const NO_SUCH_UNIT: &str = "NO_SUCH_UNIT";
/// The unit was stopped, and only StartUnit starts it; metadata `active_state` is its state. FAILED_PRECONDITION.
pub const UNIT_NOT_RUNNING: &str = "UNIT_NOT_RUNNING";
/// systemd has a job of somebody else for the unit, which a job of the agent's would replace; metadata `job` is its path.
/// FAILED_PRECONDITION.
pub const UNIT_BUSY: &str = "UNIT_BUSY";
/// systemd cannot load the unit: it is masked, or its file is wrong; metadata `load_state` says which. FAILED_PRECONDITION.
pub const UNIT_NOT_LOADABLE: &str = "UNIT_NOT_LOADABLE";
/// systemd or logind is unreachable, too slow, or refuses the agent; the message says which. UNAVAILABLE.
pub const SYSTEMD_UNAVAILABLE: &str = "SYSTEMD_UNAVAILABLE";
/// The agent's configuration names no member of etcd: it has no table `[etcd]`. FAILED_PRECONDITION.
pub const NO_ETCD: &str = "NO_ETCD";
/// The node's member of etcd does not lead, or is not the member that the call expects; metadata `leader` holds the present leader's
/// id in hexadecimal, 0 if the member knows none. FAILED_PRECONDITION.
pub const NOT_ETCD_LEADER: &str = "NOT_ETCD_LEADER";
/// The node's member of etcd does not answer, or did not do what it was asked; the message says which. UNAVAILABLE.
pub const ETCD_UNAVAILABLE: &str = "ETCD_UNAVAILABLE";
/// The unit has no probe in the agent's configuration. FAILED_PRECONDITION.
pub const NO_PROBE: &str = "NO_PROBE";
/// Other callers read lists of this agent at the same time, as many as it serves at once; ask again. RESOURCE_EXHAUSTED.
pub const TOO_MANY_LISTINGS: &str = "TOO_MANY_LISTINGS";
/// The agent cannot use its state directory, or is stopping, so it began nothing. UNAVAILABLE.
pub const STATE_UNAVAILABLE: &str = "STATE_UNAVAILABLE";
