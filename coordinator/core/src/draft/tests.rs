use super::{infer::Found, *};
use crate::site::LeaseName;

fn node(name: &str, address: &str, labelled: bool) -> NodeSeen {
    NodeSeen { name: name.into(), address: Some(address.into()), labelled }
}

fn server(host: &str, names: &[&str]) -> ApiServerSeen {
    ApiServerSeen { host: host.into(), port: 6443, names: names.iter().map(|&name| name.to_owned()).collect() }
}

fn lease(name: &str, host: &str) -> LeaseSeen {
    LeaseSeen { lease: LeaseName { namespace: "kube-system".into(), name: name.into() }, host: host.into() }
}

fn agent(machine: &str, names: &[&str], units: &[&str]) -> AgentSeen {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    AgentSeen { machine: machine.into(), names: owned(names), units: owned(units) }
}

/// A plain cluster behind a balancer.
fn seen() -> Seen {
    Seen {
        kubeconfig: None,
        context: Some("admin@eqiad".into()),
        cluster: Some("eqiad".into()),
        server: "https://k8s.example:6443".into(),
        nodes: vec![node("cp1", "10.0.0.1", true), node("cp2", "10.0.0.2", true), node("w1", "10.0.0.9", false)],
        apiservers: vec![server("10.0.0.1", &["cp1"]), server("10.0.0.2", &["cp2"])],
        leases: vec![lease("kube-scheduler", "cp2"), lease("kube-controller-manager", "cp1")],
        agents: vec![
            agent("cp1", &["cp1"], &["kube-apiserver.service", "kube-scheduler.service"]),
            agent("cp2", &["cp2"], &["kube-apiserver.service", "kube-scheduler.service"]),
            agent("w1", &[], &[]),
        ],
    }
}

fn answers() -> Answers {
    Answers { name: "eqiad".into(), ..Answers::default() }
}

fn names(found: &[Found]) -> Vec<(&str, Option<&str>)> {
    found.iter().map(|found| (found.name.as_str(), found.address.as_deref())).collect()
}

#[test]
fn the_file_says_of_each_key_where_it_comes_from() {
    assert_eq!(
        answers().file(&seen(), "2026-11-26"),
        r#"# Written by `usher config init` on 2026-11-26, from what https://k8s.example:6443 showed. Every
# key that is not here has a default: see usher's example of a cluster file, and `usher config
# view`. Check it with `usher doctor`.

# What you type to confirm a change.
name = "eqiad"

[api]
# The context that was in use. So the cluster is this one, whatever is current later.
context = "admin@eqiad"

[control_plane]
# cp1 has the label node-role.kubernetes.io/control-plane.
# cp2 has the label node-role.kubernetes.io/control-plane.
machines = ["cp1", "cp2"]

[agents]
# An agent listens on cp1 and cp2.
# Nothing listens on port 7470 of w1 yet.
# What usher shows to agents, and the CA that signed theirs.
certificate = "/etc/usher/client.pem"
key = "/etc/usher/client-key.pem"
ca = "/etc/usher/ca.pem"

[components.kube-apiserver]
# Offered as kube-apiserver.service by the agents of cp1 and cp2.
# Seen at 10.0.0.1:6443, 10.0.0.2:6443.
url = "https://{address}:6443"

[components.kube-controller-manager]
# No agent that answered offers kube-controller-manager.service. Its lease is held by cp1.
lease = "kube-system/kube-controller-manager"

[components.kube-scheduler]
# Offered as kube-scheduler.service by the agents of cp1 and cp2. Its lease is held by cp2.
lease = "kube-system/kube-scheduler"

[load_balancer]
# Your kubeconfig leads here, and this is none of the apiservers' own addresses.
url = "https://k8s.example:6443"
# Your own commands that take a machine out of the pool and put it back; {node} and {address} are
# filled in. Without them, requests may be lost while an apiserver restarts.
# depool = ["/usr/local/sbin/lb", "drain", "{node}"]
# pool = ["/usr/local/sbin/lb", "ready", "{node}"]
"#
    );
}

#[test]
fn a_control_plane_without_labels_is_found_by_its_apiservers_and_leases() {
    let mut seen = seen();
    seen.nodes.iter_mut().for_each(|node| node.labelled = false);
    assert_eq!(names(&control_plane(&seen)), [("cp1", None), ("cp2", None)]);
    // Machines that are no Nodes: the leases name them, and the certificates of their apiservers tell where they are.
    seen.nodes.retain(|node| node.name == "w1");
    seen.apiservers = vec![server("10.0.0.1", &["kubernetes", "cp1.example"]), server("10.0.0.2", &["kubernetes"])];
    assert_eq!(names(&control_plane(&seen)), [("cp1", Some("10.0.0.1")), ("cp2", None)]);
    let file = answers().file(&seen, "2026-11-26");
    assert!(
        file.contains("[agents.addresses]\n# By the certificates of their apiservers.\n\"cp1\" = \"10.0.0.1:7470\""),
        "{file}"
    );
    assert!(
        file.contains("# No address of cp2 was seen: name each here.\n# [agents.addresses]\n# cp2 = \"HOST:7470\"\n"),
        "{file}"
    );
    // One that leads nothing is found by the name that its certificate alone bears.
    seen.apiservers =
        ["cp1", "cp2", "cp3"].map(|name| server(&format!("10.0.0.{name}"), &["kubernetes", name, "localhost"])).into();
    let all = ["cp1", "cp2", "cp3"].map(|name| (name.to_owned(), Some(format!("10.0.0.{name}"))));
    let found = control_plane(&seen).into_iter().map(|found| (found.name, found.address));
    assert_eq!(found.collect::<Vec<_>>(), all);
    seen.leases.clear();
    seen.apiservers.clear();
    assert!(control_plane(&seen).is_empty());
    assert!(answers().file(&seen, "2026-11-26").contains("No machine of the control plane was seen"));
}

#[test]
fn a_balancer_is_where_the_kubeconfig_leads_if_that_is_no_apiserver_of_several() {
    let at = |server: &str, apiservers: usize| {
        let mut seen = Seen { server: server.into(), ..seen() };
        seen.apiservers.truncate(apiservers);
        balancer(&seen)
    };
    assert_eq!(at("https://k8s.example:6443", 2).as_deref(), Some("https://k8s.example:6443"));
    assert_eq!(at("https://10.0.0.1:6443", 2), None);
    assert_eq!(at("https://cp1:6443", 2), None);
    assert_eq!(at("https://k8s.example:6443", 1), None);
    assert_eq!(at("http://k8s.example", 2), None);
}

#[test]
fn the_names_in_certificates_give_the_pattern_that_all_have_in_common() {
    let pattern = |agents: Vec<AgentSeen>| server_name(&Seen { agents, ..seen() });
    let full = |name: &str| agent(name, &[&format!("{name}.example.org")], &[]);
    let both = |name: &str| agent(name, &[name, &format!("{name}.example.org")], &[]);
    assert_eq!(pattern(vec![full("cp1"), full("w1")]).as_deref(), Some("{node}.example.org"));
    assert_eq!(pattern(vec![both("cp1"), both("w1")]).as_deref(), Some("{node}"));
    assert_eq!(pattern(vec![both("cp1"), full("w1")]).as_deref(), Some("{node}.example.org"));
    assert_eq!(pattern(vec![agent("cp1", &["cp11"], &[])]), None);
    assert_eq!(pattern(vec![agent("cp1", &[], &[])]), None);
}

#[test]
fn only_what_cannot_be_seen_is_asked() {
    let alone = || Seen { server: "https://10.0.0.1:6443".into(), ..seen() };
    assert_eq!(questions(&alone(), true), []);
    assert_eq!(questions(&seen(), true), [Question::Pool]);
    let nameless = Seen { cluster: Some("kubernetes".into()), ..alone() };
    assert_eq!(questions(&nameless, false), [Question::Name, Question::Certificate]);
}

#[test]
fn a_component_of_the_sites_own_is_one_whose_lease_and_unit_were_seen() {
    let mut seen = seen();
    seen.leases.push(lease("cloud-controller-manager", "cp1"));
    assert!(!answers().file(&seen, "2026-11-26").contains("cloud-controller-manager"));
    seen.agents[0].units.push("cloud-controller-manager.service".into());
    let file = answers().file(&seen, "2026-11-26");
    assert!(
        file.contains("[components.cloud-controller-manager]\n# Elected through kube-system/cloud-controller-manager"),
        "{file}"
    );
}

#[test]
fn what_is_written_is_quoted_for_toml() {
    let answers =
        Answers { name: "a\"b\\c\n".into(), depool: vec!["lb".into()], pool: vec!["lb".into()], ..Answers::default() };
    let file = answers.file(&seen(), "2026-11-26");
    assert!(file.contains("name = \"a\\\"b\\\\c\\u000A\"\n"), "{file}");
    assert!(file.contains("depool = [\"lb\"]\npool = [\"lb\"]\n"), "{file}");
}
