use std::collections::BTreeMap;

use jiff::ToSpan as _;

use super::*;
use crate::{
    facts::{
        AgentFacts, Inventory, Machine,
        agent::{AgentStatus, Hold, UnitStatus},
        apiserver::Readiness,
        leader::{Holder, Leadership},
        local::OwnedHold,
    },
    rights::{Right, of_each},
    site::Site,
};

fn now() -> Timestamp {
    "2026-11-02T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    now() + (days * 24).hours()
}

fn unit(name: &str) -> UnitStatus {
    UnitStatus {
        name: name.into(),
        load_state: "loaded".into(),
        active_state: "active".into(),
        ..UnitStatus::default()
    }
}

fn status() -> AgentStatus {
    let units = Site::default().components.iter().map(|component| unit(&component.unit)).collect();
    AgentStatus {
        agent_version: "1.0".into(),
        units,
        certificate_not_after: Some(days(60)),
        now: Some(now()),
        ..AgentStatus::default()
    }
}

fn machine(name: &str, status: AgentStatus) -> Machine {
    let agent = AgentFacts::Answers { status: Box::new(status) };
    Machine { name: name.into(), control_plane: name.starts_with("cp"), listed: true, agent, ..Machine::default() }
}

fn inventory(machines: Vec<Machine>) -> Inventory {
    Inventory { machines, ..Inventory::default() }
}

fn of_agents(machines: Vec<Machine>) -> Vec<Finding> {
    agents(&inventory(machines), &Site::default(), "1.0", now())
}

fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        format!("{} {} → {}", finding.state.word(), finding.message, finding.mend.as_deref().unwrap_or("-"))
    };
    findings.iter().map(line).collect()
}

#[test]
fn agents_that_are_in_order_are_one_line() {
    let findings = of_agents(vec![machine("cp1", status()), machine("w1", status())]);
    assert_eq!(lines(&findings), ["ok all 2 answer, with version 1.0 → -"]);
}

#[test]
fn each_trouble_of_an_agent_is_told_with_what_mends_it() {
    let without = |name: &str| {
        let units = status().units.into_iter().filter(|unit| unit.name != name).collect();
        AgentStatus { units, ..status() }
    };
    for (what, status, expected) in [
        (
            "an older agent",
            AgentStatus { agent_version: "0.9".into(), ..status() },
            "warning cp1: the agent has version 0.9, usher 1.0 → usher version; then upgrade the older one of both packages",
        ),
        (
            "a certificate that ends",
            AgentStatus { certificate_not_after: Some(days(3)), ..status() },
            "warning cp1: its certificate expires on 2026-11-05 → renew tls.certificate of /etc/usher/agent.toml on cp1; the \
             agent reads it by itself",
        ),
        (
            "a certificate that has ended",
            AgentStatus { certificate_not_after: Some(days(-3)), ..status() },
            "WRONG cp1: its certificate expired on 2026-10-30 → renew tls.certificate of /etc/usher/agent.toml on cp1; the \
             agent reads it by itself",
        ),
        (
            "a clock that is off",
            AgentStatus { now: Some(now() - 90.seconds()), ..status() },
            "warning cp1: its clock is 1m30s behind this machine's → ssh cp1 timedatectl",
        ),
        (
            "a component that it may not restart",
            without("kube-scheduler.service"),
            "WRONG cp1: its agent does not manage kube-scheduler.service → add [units.\"kube-scheduler.service\"] to \
             /etc/usher/agent.toml on cp1, or see components in the cluster file",
        ),
        (
            "polkit",
            AgentStatus { reboot_refused: Some("polkit says no".into()), ..status() },
            "WRONG cp1: the agent may not reboot it: polkit says no → install polkit's rule on cp1: 50-usher-agent.rules, which \
             comes with usher-agent",
        ),
        (
            "a hold that was set through the agent, which tells of it for older callers as of a file too",
            AgentStatus {
                holds: vec![OwnedHold { owner: "ann".into(), reason: "disk".into(), ..OwnedHold::default() }],
                hold: Some(Hold { path: "/var/lib/usher-agent/holds.json".into(), ..Hold::default() }),
                ..status()
            },
            "warning cp1: held by ann until it is released: \"disk\" → when that is over: ssh cp1 usher-agent hold release \
             --owner \"ann\"",
        ),
        (
            "its own warning",
            AgentStatus { warnings: vec!["agent.toml is not in use: …".into()], ..status() },
            "warning cp1: agent.toml is not in use: … → usher agent status cp1",
        ),
    ] {
        assert_eq!(lines(&of_agents(vec![machine("cp1", status)])), [expected], "{what}");
    }
}

#[test]
fn the_same_trouble_of_many_machines_is_one_line_with_their_names_folded() {
    let old = || AgentStatus { agent_version: "0.9".into(), ..status() };
    let findings = of_agents((1..=5000).map(|number| machine(&format!("w{number}"), old())).collect());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "w[1-5000]: the agent has version 0.9, usher 1.0");
    assert_eq!(findings[0].machines.len(), 5000);
}

#[test]
fn silent_agents_are_a_line_each_until_they_are_many() {
    let silent = |number: usize| {
        let (name, hint) =
            (format!("w{number}"), Some(format!("Is it running?  ssh w{number} systemctl status usher-agent")));
        let message = format!("w{number}: no answer from its agent at 10.0.0.{number}:7470 for 1.5s");
        Machine { name, agent: AgentFacts::Silent { message, hint }, ..Machine::default() }
    };
    let two = lines(&of_agents((1..=2).map(silent).collect()));
    let first = "WRONG w1: no answer from its agent at 10.0.0.1:7470 for 1.5s → Is it running?  ssh w1 systemctl status usher-agent";
    assert!(two.len() == 2 && two.iter().any(|line| line == first), "{two:?}");
    let many = of_agents((1..=20).map(silent).collect());
    assert_eq!((many.len(), many[0].machines.len()), (1, 20));
    assert!(many[0].message.starts_with("20 agents do not answer: "), "{}", many[0].message);
}

#[test]
fn a_certificate_is_told_when_a_quarter_of_its_life_is_left_and_a_key_that_all_may_read() {
    let facts = |from: i64, until: i64| CertificateFacts {
        path: "/etc/usher/client.pem".into(),
        subject: "CN=ann".into(),
        not_before: days(from),
        not_after: days(until),
        key_path: "/etc/usher/client-key.pem".into(),
        key_is_public: false,
    };
    let said = |facts: &CertificateFacts| lines(&certificate(facts, now()));
    let renew = "usher certificates renew /etc/usher/client.pem, or have your own CA renew it";
    assert_eq!(said(&facts(-60, 30)), ["ok CN=ann, valid until 2026-12-02 → -"]);
    let soon = "warning CN=ann (/etc/usher/client.pem) expires in 20 days, on 2026-11-22";
    assert_eq!(said(&facts(-70, 20)), [format!("{soon} → {renew}")]);
    // One that is made for a week is not told on its first day.
    assert_eq!(said(&facts(-1, 6)), ["ok CN=ann, valid until 2026-11-08 → -"]);
    let expired = "WRONG CN=ann (/etc/usher/client.pem) expired on 2026-11-01";
    assert_eq!(said(&facts(-91, -1)), [format!("{expired} → {renew}")]);
    let early = "WRONG CN=ann (/etc/usher/client.pem) is not valid before 2026-11-03 12:00 UTC → timedatectl";
    assert_eq!(said(&facts(1, 90)), [early]);
    let public = said(&CertificateFacts { key_is_public: true, ..facts(-1, 89) });
    assert_eq!(
        public[1],
        "warning every user of this machine may read /etc/usher/client-key.pem: they can do what you can → chmod 600 \
         /etc/usher/client-key.pem"
    );
}

#[test]
fn missing_rights_are_told_with_the_commands_that_need_them_and_the_rules() {
    let of_each = of_each(&Site::default());
    let all: BTreeMap<Right, Option<bool>> =
        of_each.iter().flat_map(|(_, needs)| needs).map(|need| (need.right.clone(), Some(true))).collect();
    let said = lines(&rights(&of_each, &all));
    assert_eq!(said, ["ok all that restart, reboot, drain, rebalance, cordon and uncordon need → -"]);

    let without = |resource: &str, said: Option<bool>| {
        let mut some = all.clone();
        some.iter_mut().filter(|(right, _)| right.resource == resource).for_each(|(_, granted)| *granted = said);
        rights(&of_each, &some)
    };
    let missing = without("pods/eviction", Some(false));
    assert_eq!(missing[0].state, State::Wrong);
    assert_eq!(missing[0].details[0], "create pods/eviction: reboot, drain and rebalance");
    assert_eq!(missing[0].details[1], "rules of a ClusterRole:");
    let fewer = without("csinodes", Some(false));
    assert_eq!(fewer[0].state, State::Warning);
    assert_eq!(fewer[0].details[0], "list csinodes.storage.k8s.io: without it, pods with volumes stay where they are");
    let unknown = without("nodes", None);
    assert_eq!(unknown[0].state, State::Warning);
    assert!(unknown[0].message.starts_with("the server does not say of 3 rights"), "{}", unknown[0].message);
}

#[test]
fn a_control_plane_is_well_when_each_component_is_led_by_a_known_machine_and_all_apiservers_are_ready() {
    let holder = |machine: Option<&str>| Holder {
        identity: "cp1_x".into(),
        machine: machine.map(str::to_owned),
        rivals: Vec::new(),
        preferred: None,
        acquired: None,
        renewed: None,
        transitions: 1,
    };
    let well = |leadership: Leadership| {
        let mut facts = inventory(vec![machine("cp1", status())]);
        facts.leaders.insert("kube-scheduler".into(), leadership);
        facts.apiservers.insert("cp1".into(), Readiness::Ready);
        facts
    };
    let said = |facts: &Inventory| lines(&control_plane(facts, &Site::default()));
    assert_eq!(said(&well(Leadership::Held(holder(Some("cp1"))))), ["ok cp1; kube-scheduler led by cp1 → -"]);
    assert_eq!(
        said(&well(Leadership::Absent)),
        ["WRONG there is no lease kube-system/kube-scheduler, so nobody knows who leads kube-scheduler → \
          components.kube-scheduler.lease in the cluster file (see: kubectl get leases -A), or leader_election = false there if \
          it runs with --leader-elect=false"]
    );
    let stranger = &said(&well(Leadership::Held(holder(None))))[0];
    assert!(stranger.contains("led by \"cp1_x\", which is no machine that usher knows"), "{stranger}");
    let mut facts = well(Leadership::Held(holder(Some("cp1"))));
    facts.apiservers.insert("cp1".into(), Readiness::Unreachable { message: "connection refused".into() });
    assert!(said(&facts)[0].starts_with("WRONG the apiserver on cp1 does not answer: connection refused"));
    let unlisted = Machine { listed: false, ..machine("cp1", status()) };
    assert!(said(&inventory(vec![unlisted]))[0].contains("add \"cp1\" to control_plane.machines"));
    assert!(said(&inventory(Vec::new()))[0].starts_with("WRONG no control-plane machine is known"));
}

#[test]
fn clocks_are_told_apart_from_five_seconds_on() {
    let said = |seconds: i64| clock(Some(SignedDuration::from_secs(seconds)));
    assert_eq!(said(4).state, State::Ok);
    assert_eq!(said(-61).message, "the API server's clock is 1m1s behind this machine's");
    assert_eq!(clock(None).state, State::Warning);
}
