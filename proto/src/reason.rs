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
/// A required field is empty or malformed; metadata `field` names it. INVALID_ARGUMENT.
pub const BAD_REQUEST: &str = "BAD_REQUEST";
/// The epoch is lower than the highest that the agent has seen, which metadata `epoch` holds. ABORTED.
pub const STALE_EPOCH: &str = "STALE_EPOCH";
/// Another operation runs on this node; metadata `operation_id` names it. FAILED_PRECONDITION.
pub const BUSY: &str = "BUSY";
/// The unit's InvocationID is not the expected one; metadata `invocation_id` holds the present one. FAILED_PRECONDITION.
pub const INVOCATION_MISMATCH: &str = "INVOCATION_MISMATCH";
/// The boot id is not the expected one; metadata `boot_id` holds the present one. FAILED_PRECONDITION.
pub const BOOT_MISMATCH: &str = "BOOT_MISMATCH";
/// The operation id was used before for another request. ALREADY_EXISTS.
pub const OPERATION_ID_REUSED: &str = "OPERATION_ID_REUSED";
/// There is a hold file on the node; metadata `hold` is its first line. FAILED_PRECONDITION.
pub const HELD: &str = "HELD";
/// Blockers forbid the reboot; metadata `blockers` holds their names, one per line. FAILED_PRECONDITION.
pub const INHIBITED: &str = "INHIBITED";
/// The node has used up its reboots for a day. RESOURCE_EXHAUSTED.
pub const REBOOT_BUDGET: &str = "REBOOT_BUDGET";
/// No operation with this id is known. NOT_FOUND.
pub const NO_SUCH_OPERATION: &str = "NO_SUCH_OPERATION";
/// systemd knows no such unit. NOT_FOUND.
pub const NO_SUCH_UNIT: &str = "NO_SUCH_UNIT";
/// systemd or logind is unreachable or refuses the agent; the message quotes it. UNAVAILABLE.
pub const SYSTEMD_UNAVAILABLE: &str = "SYSTEMD_UNAVAILABLE";
/// Other callers read lists of this agent at the same time, as many as it serves at once; ask again. RESOURCE_EXHAUSTED.
pub const TOO_MANY_LISTINGS: &str = "TOO_MANY_LISTINGS";
/// The agent could not store the operation, so it did not start it. UNAVAILABLE.
pub const STATE_UNAVAILABLE: &str = "STATE_UNAVAILABLE";
