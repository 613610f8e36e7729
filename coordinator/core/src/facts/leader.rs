//! Who leads a component: what its Lease says, and which machine that is. Pure: no clock and no network.
//!
//! A Lease names a process, not a Node: `holderIdentity` is the host name of the machine as the operating system knows it,
//! an underscore and a UUID that is new with each start of the process (client-go's `leaderelection`, as kube-scheduler
//! and kube-controller-manager call it). Where something will be changed, whether the holder is alive is judged by watching
//! `renewTime` move, never by comparing it with a clock of ours, which may be hours off the holder's.

use jiff::Timestamp;
use serde::Serialize;

/// Length of the UUID that follows the last underscore of a holder's identity.
const UUID_LENGTH: usize = 36;

/// Who leads a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Leadership {
    /// A holder was seen to renew.
    Held(Holder),
    /// A holder is written down, but did not renew within the lease's own duration: it is dead or cut off.
    Stale(Holder),
    /// The lease exists and nobody holds it.
    Free,
    /// There is neither a Lease nor the annotation of old clusters.
    Absent,
}

/// The holder of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// As written in the Lease: `cp2_6d6b1c2e-…`.
    pub identity: String,
    /// The control-plane machine this is, if exactly one fits.
    pub machine: Option<String>,
    /// The control-plane machines that it could be, if several fit: they have one host name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<String>,
    /// The machine that coordinated leader election would rather have, if it is asking the holder to step down.
    pub preferred: Option<String>,
    /// When the holder took the lease, by its own clock.
    pub acquired: Option<Timestamp>,
    /// When it renewed last, by its own clock.
    pub renewed: Option<Timestamp>,
    /// How often the lease has changed hands.
    pub transitions: u64,
}

impl Leadership {
    /// The holder, alive or not.
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Held(holder) | Self::Stale(holder) => Some(holder),
            Self::Free | Self::Absent => None,
        }
    }

    /// The same with its holder's machine as `machines` tell.
    pub fn named(mut self, machines: &[Known]) -> Self {
        if let Self::Held(holder) | Self::Stale(holder) = &mut self {
            (holder.machine, holder.rivals) = machine_and_rivals(&holder.identity, machines);
            let preferred = holder.preferred.take();
            holder.preferred =
                preferred.map(|preferred| machine_of(&preferred, machines).map(str::to_owned).unwrap_or(preferred));
        }
        self
    }

    /// The machine of a living holder.
    pub fn machine(&self) -> Option<&str> {
        match self {
            Self::Held(holder) => holder.machine.as_deref(),
            _ => None,
        }
    }
}

/// A machine and every name it is known by: as the site calls it, as its agent reports its host name, and as its Node object
/// says if it is a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name that usher uses.
    pub machine: String,
    /// All names, that one included.
    pub names: Vec<String>,
}

/// The machine that a holder's identity names, if exactly one fits; an identity that fits none or several is not guessed.
pub fn machine_of<'a>(identity: &str, machines: &'a [Known]) -> Option<&'a str> {
    match fitting(identity, machines)[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// The machine that a holder's identity names, or the several that it could name.
pub fn machine_and_rivals(identity: &str, machines: &[Known]) -> (Option<String>, Vec<String>) {
    let mut fitting: Vec<_> = fitting(identity, machines).into_iter().map(str::to_owned).collect();
    match fitting.len() {
        0 | 1 => (fitting.pop(), Vec::new()),
        _ => (None, fitting),
    }
}

/// The machines that a holder's identity fits, in their order.
fn fitting<'a>(identity: &str, machines: &'a [Known]) -> Vec<&'a str> {
    let host = host_of(identity);
    if host.is_empty() {
        return Vec::new();
    }
    let by = |same: fn(&str, &str) -> bool| -> Vec<&'a str> {
        let fitting = machines.iter().filter(|known| known.names.iter().any(|name| same(name, host)));
        fitting.map(|known| known.machine.as_str()).collect()
    };
    // A full name decides before a short one: cp1.a.example and cp1.b.example are two machines.
    let same = by(is_same_host);
    if same.is_empty() { by(is_short_for) } else { same }
}

/// Whether two host names are the same.
pub(crate) fn is_same_host(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Whether one of two host names is the other one without its domain.
pub(crate) fn is_short_for(a: &str, b: &str) -> bool {
    a.contains('.') != b.contains('.') && short(a).eq_ignore_ascii_case(short(b))
}

/// The host name within a holder's identity: without the last underscore and the UUID after it.
pub fn host_of(identity: &str) -> &str {
    match identity.rsplit_once('_') {
        Some((host, uuid)) if uuid.len() == UUID_LENGTH => host,
        _ => identity,
    }
}

fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1";

    fn known(machine: &str, names: &[&str]) -> Known {
        Known { machine: machine.into(), names: names.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn an_identity_names_a_machine_only_when_exactly_one_fits() {
        let plain = [known("cp1", &["cp1"]), known("cp2", &["cp2"]), known("cp3", &["cp3"])];
        let full = [known("cp1.example.org", &["cp1.example.org"]), known("cp2.example.org", &["cp2.example.org"])];
        let sites = [known("cp1.a.example", &["cp1.a.example"]), known("cp1.b.example", &["cp1.b.example"])];
        let aliased = [known("master-a", &["master-a", "ip-10-0-0-1.internal"]), known("master-b", &["master-b"])];
        let odd = [known("rack_7_cp1", &["rack_7_cp1"])];
        for (what, identity, machines, expected) in [
            ("host and uuid", format!("cp2_{UUID}"), &plain[..], Some("cp2")),
            ("no uuid", "cp2".into(), &plain, Some("cp2")),
            ("full name, machines by short name", format!("cp2.example.org_{UUID}"), &plain, Some("cp2")),
            ("short name, machines by full name", format!("cp2_{UUID}"), &full, Some("cp2.example.org")),
            ("short name that two machines share", format!("cp1_{UUID}"), &sites, None),
            ("full name where two share the short one", format!("cp1.b.example_{UUID}"), &sites, Some("cp1.b.example")),
            ("full name of another domain", format!("cp1.c.example_{UUID}"), &sites, None),
            (
                "name of the Node, not of the machine",
                format!("ip-10-0-0-1.internal_{UUID}"),
                &aliased,
                Some("master-a"),
            ),
            ("underscores in the host name", format!("rack_7_cp1_{UUID}"), &odd, Some("rack_7_cp1")),
            ("case differs", format!("CP3_{UUID}"), &plain, Some("cp3")),
            ("unknown host", format!("cp9_{UUID}"), &plain, None),
            ("empty", String::new(), &plain, None),
            ("the multi-lock's own word for a conflict", "leaderelection.k8s.io/unknown".into(), &plain, None),
        ] {
            assert_eq!(machine_of(&identity, machines), expected, "{what}: {identity}");
        }
    }

    #[test]
    fn machines_that_share_a_host_name_are_all_named() {
        let cloned = [known("cp1", &["cp1", "debian"]), known("cp2", &["cp2", "debian"]), known("cp3", &["cp3"])];
        let both = |identity: &str| machine_and_rivals(identity, &cloned);
        assert_eq!(both(&format!("debian_{UUID}")), (None, vec!["cp1".to_owned(), "cp2".to_owned()]));
        assert_eq!(both(&format!("debian.example_{UUID}")), (None, vec!["cp1".to_owned(), "cp2".to_owned()]));
        assert_eq!(both(&format!("cp2_{UUID}")), (Some("cp2".to_owned()), Vec::new()));
        assert_eq!(both(&format!("cp9_{UUID}")), (None, Vec::new()));
    }
}
