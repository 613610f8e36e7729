//! Names that usher and others give to fields of objects.

/// The manager under which usher's writes show in `kubectl get --show-managed-fields`.
pub(crate) const FIELD_MANAGER: &str = "usher";

/// usher's annotation that says why it made an object.
pub(crate) const REASON: &str = "usher.dev/reason";

/// kubectl's annotation of a pod template: a new value makes the controller replace all pods.
pub(crate) const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The Deployment controller's annotation: which revision of its Deployment an object is, or belongs to.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// The label by which a Deployment tells the pods of its ReplicaSets apart.
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";
