use super::*;
use crate::plan::fixtures::{etcd, etcd_member};

/// What is said against the member's going, of three members of which cp1 leads.
fn against(machine: &str, change: impl FnOnce(&mut Etcd)) -> Vec<String> {
    let mut etcd = etcd("cp1");
    change(&mut etcd);
    etcd.without(machine).objections().iter().map(ToString::to_string).collect()
}

fn silent() -> Word {
    Word::Silent { message: "connection refused".into() }
}

fn no_member() -> Word {
    Word::NoMember { message: "it has no [etcd]".into() }
}

#[test]
fn a_member_goes_only_while_all_others_are_well_agree_and_are_enough() {
    type Change = Box<dyn FnOnce(&mut Etcd)>;
    let put = |machine: &'static str, word: Word| -> Change {
        Box::new(move |etcd| drop(etcd.0.insert(machine.to_owned(), word)))
    };
    let change = |machine: &'static str, change: fn(&mut Member)| -> Change {
        Box::new(move |etcd| change(etcd_member(etcd, machine)))
    };
    let cases: Vec<(&str, &str, Change, &[&str])> = vec![
        ("all is well", "cp1", Box::new(|_| {}), &[]),
        ("it is itself dead", "cp3", put("cp3", silent()), &[]),
        (
            "another is dead",
            "cp1",
            put("cp3", silent()),
            &[
                "the member on cp3 does not answer: connection refused",
                "1 of 3 voting members would be left, and it takes 2 to write",
            ],
        ),
        (
            "another has lost the cluster",
            "cp1",
            change("cp2", |member| member.leader = Id::default()),
            &["the member on cp2 knows no leader", "1 of 3 voting members would be left, and it takes 2 to write"],
        ),
        ("another lags a little", "cp1", change("cp2", |member| member.raft_applied_index -= 5000), &[]),
        (
            "another lags",
            "cp1",
            change("cp2", |member| member.raft_applied_index -= 5001),
            &[
                "the member on cp2 is 5001 entries of the log behind",
                "1 of 3 voting members would be left, and it takes 2 to write",
            ],
        ),
        (
            "another does not get an answer of the cluster",
            "cp1",
            change("cp2", |member| member.errors = vec!["the cluster does not tell its alarms".into()]),
            &[
                "the member on cp2 says: the cluster does not tell its alarms",
                "1 of 3 voting members would be left, and it takes 2 to write",
            ],
        ),
        (
            "an alarm",
            "cp1",
            change("cp2", |member| {
                member.alarms = vec![Alarm { member: member.id, kind: "NOSPACE".into() }];
                member.errors = vec![format!("memberID:{} alarm:NOSPACE ", member.id.0)];
            }),
            &["cp2 has raised the alarm NOSPACE"],
        ),
        (
            "another cluster",
            "cp1",
            change("cp2", |member| member.cluster = Id(7)),
            &["the members are of different clusters (cp1: cdf818194e3a8c32, cp2: 7, cp3: cdf818194e3a8c32)"],
        ),
        (
            "the others disagree",
            "cp1",
            change("cp2", |member| member.leader = member.id),
            &["the members do not agree on who leads (cp2: cp2, cp3: cp1): an election may be under way"],
        ),
    ];
    for (what, machine, change, expected) in cases {
        assert_eq!(against(machine, change), expected, "{what}");
    }
}

#[test]
fn the_members_of_a_cluster_of_two_are_both_needed_and_the_only_one_of_one_is_only_away() {
    let fewer = |names: &'static [&'static str]| {
        move |etcd: &mut Etcd| {
            etcd.0.retain(|machine, _| names.contains(&machine.as_str()));
            for machine in names {
                etcd_member(etcd, machine).members.retain(|peer| names.contains(&peer.name.as_str()));
            }
        }
    };
    assert_eq!(
        against("cp1", fewer(&["cp1", "cp2"])),
        ["1 of 2 voting members would be left, and it takes 2 to write"]
    );
    assert!(against("cp1", fewer(&["cp1"])).is_empty());
}

#[test]
fn a_learner_is_no_voter_and_keeps_members_from_going() {
    let joined = |etcd: &mut Etcd| {
        let learner = Peer { id: Id(4), is_learner: true, ..Peer::default() };
        for machine in ["cp1", "cp2", "cp3"] {
            etcd_member(etcd, machine).members.push(learner.clone());
        }
        let member = Member { id: Id(4), is_learner: true, ..etcd_member(etcd, "cp1").clone() };
        etcd.0.insert("cp4".into(), Word::Member(Box::new(member)));
    };
    assert_eq!(against("cp1", joined), ["cp4 is a learner: a change of the membership is under way"]);
}

#[test]
fn a_member_that_no_agent_speaks_for_is_not_taken_to_be_well() {
    let lost = |etcd: &mut Etcd| drop(etcd.0.insert("cp3".into(), no_member()));
    assert_eq!(
        against("cp1", lost),
        [
            "1 of 3 members (cp3) is on machines whose agents do not know of etcd",
            "1 of 3 voting members would be left, and it takes 2 to write",
        ]
    );
    // The one that goes may be the unknown one.
    assert!(against("cp3", lost).is_empty());
}

#[test]
fn a_machine_without_a_member_takes_nothing_away() {
    let elsewhere = |etcd: &mut Etcd| {
        etcd.0.insert("cp9".into(), no_member());
        etcd.0.insert("cp3".into(), silent());
    };
    assert!(against("cp9", elsewhere).is_empty());
    let nobody = |etcd: &mut Etcd| etcd.0.values_mut().for_each(|word| *word = no_member());
    assert!(against("cp1", nobody).is_empty());
}

#[test]
fn the_leader_is_the_one_of_the_latest_term() {
    let mut etcd = etcd("cp1");
    assert_eq!(etcd.leader().map(|(machine, _)| machine), Some("cp1"));
    let member = etcd_member(&mut etcd, "cp2");
    (member.leader, member.raft_term) = (member.id, member.raft_term + 1);
    assert_eq!(etcd.leader().map(|(machine, _)| machine), Some("cp2"), "cp1 has not heard of its successor");
}
