use std::collections::BTreeSet;

use super::*;

const HERE: &str = "10.64.32.25";

fn list() -> AllowList {
    let mut list = AllowList::default();
    for (name, role) in [
        ("CN=cumin1001", Role::Operator),
        ("O=sre", Role::Viewer),
        ("DNS:usher.example", Role::Viewer),
        ("DNS:usher.example", Role::Operator),
    ] {
        list.insert(name.parse::<Pattern>().unwrap(), role);
    }
    list
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn role(list: &AllowList, of: &[&str]) -> Option<Role> {
    list.role(&names(of), HERE.parse().unwrap(), Timestamp::UNIX_EPOCH).ok()
}

#[test]
fn the_highest_role_of_all_names_counts() {
    for (names, expected) in [
        (&["CN=cumin1001"][..], Some(Role::Operator)),
        (&["CN=someone", "O=sre"], Some(Role::Viewer)),
        (&["O=sre", "DNS:usher.example"], Some(Role::Operator)),
        (&["CN=sre"], None),
        (&["CN=usher.example"], None),
        (&["DNS:USHER.example"], None),
        (&[], None),
    ] {
        assert_eq!(role(&list(), names), expected, "{names:?}");
    }
}

#[test]
fn a_name_without_a_known_prefix_or_without_a_value_is_refused() {
    for text in ["cumin1001", "cn=x", "CN=", "DNS: ", "*", ""] {
        assert_eq!(text.parse::<Pattern>(), Err(BadPattern(text.to_owned())));
    }
}

fn narrowed() -> Grant {
    Grant {
        name: "CN=deploy".parse().unwrap(),
        from: vec!["10.0.0.0/8".parse().unwrap()],
        units: Some(BTreeSet::from(["kube-scheduler.service".to_owned()])),
        may: Some(BTreeSet::from([Verb::Restart, Verb::Reboot])),
        until: Some(at("2026-12-31T00:00:00Z")),
    }
}

#[test]
fn each_limit_of_an_entry_refuses_by_its_name_and_says_what_it_permits() {
    let mut list = AllowList::default();
    list.insert(narrowed(), Role::Operator);
    let now = "2026-06-01T00:00:00Z";
    let scheduler = Wanted { verb: Verb::Restart, unit: Some("kube-scheduler.service"), overrides: false };
    let reboot = Wanted { verb: Verb::Reboot, unit: None, overrides: false };
    for (address, time, wanted, refused) in [
        (HERE, now, scheduler, None),
        (HERE, now, reboot, None),
        (
            "192.0.2.1",
            now,
            scheduler,
            Some((Limit::From, "callers from 10.0.0.0/8, and this one calls from 192.0.2.1")),
        ),
        (HERE, "2026-12-31T00:00:00Z", scheduler, Some((Limit::Until, "it ended at 2026-12-31T00:00:00Z"))),
        (
            HERE,
            now,
            Wanted { verb: Verb::Stop, ..scheduler },
            Some((Limit::May, "permits restart, reboot, and the call needs stop")),
        ),
        (HERE, now, Wanted { overrides: true, ..reboot }, Some((Limit::May, "the call needs override"))),
        (
            HERE,
            now,
            Wanted { unit: Some("a.service"), ..scheduler },
            Some((Limit::Units, "kube-scheduler.service, and not for a.service")),
        ),
    ] {
        let told = list.permit(&names(&["CN=deploy"]), address.parse().unwrap(), at(time), &wanted);
        match (told, refused) {
            (Ok(()), None) => {}
            (Err(Denial::Limited { limit, message }), Some((expected, words))) => {
                assert_eq!(limit, expected, "{message}");
                assert!(message.contains("CN=deploy") && message.contains(words), "{message}");
            }
            (told, expected) => panic!("{told:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn an_entry_that_permits_any_change_is_told_from_one_that_permits_none() {
    for (may, permitted) in [
        (None, true),
        (Some(vec![Verb::Restart]), true),
        (Some(vec![Verb::Reboot, Verb::Override]), true),
        (Some(vec![Verb::Override]), false),
    ] {
        let mut list = AllowList::default();
        let may: Option<std::collections::BTreeSet<_>> = may.map(|verbs| verbs.into_iter().collect());
        list.insert(Grant { may: may.clone(), ..narrowed() }, Role::Operator);
        let told = list.permit_any(&names(&["CN=deploy"]), HERE.parse().unwrap(), at("2026-06-01T00:00:00Z"));
        assert_eq!(told.is_ok(), permitted, "{may:?}");
        let elsewhere =
            list.permit_any(&names(&["CN=deploy"]), "192.0.2.1".parse().unwrap(), at("2026-06-01T00:00:00Z"));
        assert!(elsewhere.is_err(), "the other limits hold: {may:?}");
    }
}

#[test]
fn one_entry_that_permits_a_call_is_enough() {
    let mut list = list();
    list.insert(narrowed(), Role::Operator);
    let stop = Wanted { verb: Verb::Stop, unit: Some("a.service"), overrides: false };
    let both = names(&["CN=deploy", "CN=cumin1001"]);
    assert_eq!(list.permit(&both, HERE.parse().unwrap(), Timestamp::UNIX_EPOCH, &stop), Ok(()));
    let viewer = list.permit(&names(&["O=sre"]), HERE.parse().unwrap(), Timestamp::UNIX_EPOCH, &stop);
    assert_eq!(viewer, Err(Denial::NotListed { viewers: 2, operators: 3 }));
}

#[test]
fn narrowing_a_list_takes_rights_away_and_adds_none() {
    let mut new = AllowList::default();
    for (name, role) in [("CN=mallory", Role::Operator), ("O=sre", Role::Operator), ("CN=cumin1001", Role::Viewer)] {
        new.insert(name.parse::<Pattern>().unwrap(), role);
    }
    let narrowed = list().narrowed_to(&new);
    assert_eq!(role(&narrowed, &["CN=cumin1001"]), Some(Role::Viewer));
    for gone in ["CN=mallory", "O=sre", "DNS:usher.example"] {
        assert_eq!(role(&narrowed, &[gone]), None, "{gone}");
    }
}
