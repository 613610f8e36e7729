use jiff::civil::date;

use super::*;

/// `PROGRAM MACHINE VERSION`, a line each.
fn cluster(lines: &str) -> Vec<Instance> {
    let instance = |line: &str| {
        let [program, machine, version] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        Instance::of(Program::named(program).unwrap(), machine, version)
    };
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(instance).collect()
}

/// What is found on 2027-01-01, as `Severity: message`.
fn judged_with(instances: &[Instance], targets: &[(&str, &str)], support: &Support) -> Vec<String> {
    let targets = targets.iter().map(|(project, target)| ((*project).to_owned(), (*target).to_owned())).collect();
    let findings = judge(instances, &targets, support, date(2027, 1, 1));
    findings.into_iter().map(|finding| format!("{:?}: {}", finding.severity, finding.message)).collect()
}

fn judged(instances: &[Instance], targets: &[(&str, &str)]) -> Vec<String> {
    judged_with(instances, targets, &Support::default())
}

#[test]
fn numbers_are_read_as_programs_and_debian_write_them() {
    for (text, expected) in [
        ("v1.37.2", "1.37.2"),
        ("1.37", "1.37.0"),
        ("1.31.4-1", "1.31.4"),
        ("1:3.5.16-4+b1", "3.5.16"),
        ("v1.30.0-gke.100", "1.30.0"),
        ("2.0.0~rc1", "2.0.0"),
    ] {
        assert_eq!(Number::read(text).unwrap().to_string(), expected, "{text}");
    }
    for text in ["", "unknown", "v1", "devel"] {
        assert_eq!(Number::read(text), None, "{text}");
    }
}

#[test]
fn a_cluster_within_the_skew_policy_is_well() {
    let instances = cluster(
        "kube-apiserver cp1 v1.36.4
        kube-apiserver cp2 v1.37.2
        kube-controller-manager cp1 1.36.4
        kube-scheduler cp2 1.36.1
        kubelet w1 v1.36.0
        kubelet w2 v1.34.9
        kube-proxy w2 v1.34.0",
    );
    assert_eq!(judged(&instances, &[]), Vec::<String>::new());
}

#[test]
fn whatever_breaks_the_skew_policy_is_named_with_its_machines() {
    let instances = cluster(
        "kube-apiserver cp1 v1.36.4
        kube-apiserver cp2 v1.38.0
        kube-controller-manager cp1 1.37.0
        kube-scheduler cp2 1.36.1
        kubelet w1 v1.37.0
        kubelet w2 v1.34.0
        kubelet w3 v1.30.0
        kube-proxy w3 v1.34.1",
    );
    assert_eq!(
        judged(&instances, &[]),
        [
            "Wrong: apiservers must be within one minor release of each other: cp1 has 1.36.4, cp2 1.38.0",
            "Wrong: kube-controller-manager 1.37.0 on cp1 is newer than the apiserver on cp1, 1.36.4; it must not be",
            "Wrong: kube-scheduler 1.36.1 on cp2 is too old for the apiserver on cp2, 1.38.0",
            "Wrong: kubelet 1.37.0 on w1 is newer than the apiserver on cp1, 1.36.4; it must not be",
            "Wrong: kubelet 1.30.0 on w3 is too old for the apiserver on cp2, 1.38.0",
            "Wrong: kubelet 1.34.0 on w2 is too old for the apiserver on cp2, 1.38.0",
            "Wrong: kube-proxy 1.34.1 on w3 is too old for the apiserver on cp2, 1.38.0",
            "Wrong: kube-proxy 1.34.1 and kubelet 1.30.0 on w3 are more than three minor releases apart",
        ]
    );
}

#[test]
fn a_kubelet_before_1_25_may_be_two_minor_releases_older_a_later_one_three() {
    let old = cluster("kube-apiserver cp1 v1.27.0\n kubelet w1 v1.24.17\n kubelet w2 v1.25.0");
    assert_eq!(judged(&old, &[]), ["Wrong: kubelet 1.24.17 on w1 is too old for the apiserver on cp1, 1.27.0"]);
}

#[test]
fn the_sites_target_is_a_series_or_a_whole_version() {
    let instances =
        cluster("kube-apiserver cp1 v1.36.4\n kubelet w1 v1.36.1\n etcd cp1 3.5.16-1\n usher-agent w1 0.1.0");
    assert_eq!(judged(&instances, &[("kubernetes", "1.36"), ("etcd", "3.5")]), Vec::<String>::new());
    assert_eq!(
        judged(&instances, &[("kubernetes", "1.36.4"), ("etcd", "3.6")]),
        ["Wrong: kubelet 1.36.1 on w1: the site wants 1.36.4", "Wrong: etcd 3.5.16 on cp1: the site wants 3.6"]
    );
}

#[test]
fn ends_of_support_are_told_sixty_days_before_and_a_series_that_nobody_knows_is_not_judged() {
    let instances = cluster(
        "kubelet w1 v1.33.5\n kubelet w2 v1.35.1\n kubelet w3 v1.36.0\n kubelet w4 v1.99.0\n kubelet w5 v1.20.1",
    );
    let days = [("1.33", date(2026, 6, 28)), ("1.35", date(2027, 2, 28)), ("1.36", date(2027, 6, 28))];
    let days = days.into_iter().map(|(series, day)| (series.to_owned(), day)).collect();
    let support = Support([("kubernetes".to_owned(), days)].into());
    assert_eq!(
        judged_with(&instances, &[], &support),
        [
            "Wrong: support of kubernetes 1.20, on w5, ended before 2026-06-28",
            "Wrong: support of kubernetes 1.33, on w1, ended 2026-06-28",
            "Notice: support of kubernetes 1.35, on w2, ends 2027-02-28"
        ]
    );
}

#[test]
fn who_did_not_answer_is_unknown_and_an_upgrade_without_a_restart_is_told_with_the_command() {
    let mut instances = cluster("kube-scheduler cp1 1.37.2-1\n kube-scheduler cp2 1.37.2-1");
    instances.iter_mut().for_each(|instance| instance.replaced = true);
    instances.extend((1..=9).map(|n| Instance::silent(Program::UsherAgent, &format!("w{n}"), "no answer")));
    instances.push(Instance::untold(Program::Etcd, "cp1", "its program belongs to no Debian package"));
    let findings = judge(&instances, &Targets::new(), &Support::default(), date(2027, 1, 1));
    let severities: Vec<_> = findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Unknown, Severity::Notice, Severity::Notice]);
    let told: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "the version of usher-agent on w1, w2, w3 and 6 more is not known: no answer",
            "kube-scheduler was upgraded on cp1 and cp2 and its old version still runs",
            "the version of etcd on cp1 is not known: its program belongs to no Debian package"
        ]
    );
    assert_eq!(findings[0].machines.len(), 9);
    assert_eq!(findings[1].hint.as_deref(), Some("usher restart kube-scheduler --nodes cp1,cp2 -r 'new version'"));
}
