//! `usher-agent --check-config`: what it says of a site before the agent starts there.

use std::fs;

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use usher_agent::{arguments::Check, check::check};
use usher_testkit::rig::agent::{OTHER, Rig, UNIT};

/// What is wrong, a line each. Nobody else's rights are looked at.
fn told(rig: &Rig, what: Check) -> Vec<String> {
    match check(&rig.path().join("agent.toml"), what, None) {
        Ok(()) => Vec::new(),
        Err(error) => format!("{error:#}").lines().map(str::to_owned).collect(),
    }
}

#[test]
fn a_good_site_passes_and_before_its_certificates_are_there_its_configuration_does() {
    let rig = Rig::without_agent("");
    assert_eq!(told(&rig, Check::Files), [""; 0]);
    let files = ["agent.pem", "agent-key.pem", "ca.pem"].map(|name| rig.path().join(name));
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    let expected = files.map(|file| {
        let file = file.display();
        format!("[tls] needs {file}: No such file or directory (os error 2); put it there, or name another file")
    });
    assert_eq!(told(&rig, Check::Files), expected);
    assert_eq!(told(&rig, Check::Syntax), [""; 0]);
}

#[test]
fn a_certificate_of_the_agents_own_that_callers_would_not_accept_is_told_with_what_to_do() {
    let rig = Rig::without_agent("");
    let with = |change: fn(&mut rcgen::CertificateParams)| rig.ca.server_with("node-1", change).unwrap();
    let cases = [
        (
            with(|certificate| certificate.not_after = date_time_ymd(2020, 1, 1)),
            "it expired at 2020-01-01T00:00:00Z; renew it",
        ),
        (
            with(|certificate| certificate.not_before = date_time_ymd(2098, 1, 1)),
            "it is not valid before 2098-01-01T00:00:00Z; compare the clocks of this machine and of the CA",
        ),
        (
            with(|certificate| certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "it is not for servers: its extended key usage lacks serverAuth. Does the CA use its profile for servers?",
        ),
        (
            rig.ca.server(&["node-2"]).unwrap(),
            "it carries the DNS names [\"node-2\"], and not node-1, under which usher calls this agent (tls.server_name)",
        ),
    ];
    for (identity, why) in cases {
        let (certificate, _) = identity.write(rig.path(), "agent").unwrap();
        assert_eq!(told(&rig, Check::Files), [format!("callers would not accept {}: {why}", certificate.display())]);
    }
}

#[test]
fn each_file_that_is_missing_or_broken_is_told_once() {
    let probe = "probe = { url = 'https://127.0.0.1/', ca = 'probe-ca.pem', token_file = 'token' }";
    let rig = Rig::without_agent(&format!(
        "[units.'{UNIT}']\n{probe}\n[units.'{OTHER}']\n{probe}\n\
         [etcd]\nurl = 'https://127.0.0.1:2379'\nca = 'ca.pem'\ncertificate = 'etcd.pem'\nkey = 'agent-key.pem'\n"
    ));
    for name in ["agent-key.pem", "token"] {
        fs::write(rig.path().join(name), "garbage").unwrap();
    }
    fs::remove_file(rig.path().join("ca.pem")).unwrap();
    fs::write(rig.path().join("state"), "").unwrap();
    let shown = |name: &str| rig.path().join(name).display().to_string();
    let missing = |name: &str| {
        format!("{}: No such file or directory (os error 2); put it there, or name another file", shown(name))
    };
    let told = told(&rig, Check::Files);
    let expected = [
        format!("cannot read {}: ", shown("agent-key.pem")),
        format!("[tls] needs {}", missing("ca.pem")),
        format!("the probe of {OTHER} needs {}", missing("probe-ca.pem")),
        format!("[etcd] needs {}", missing("etcd.pem")),
        format!("the state directory {} is no folder", shown("state")),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(&expected) {
        assert!(told.starts_with(expected), "{told:?} does not begin with {expected:?}");
    }
}

#[test]
fn each_mistake_in_the_configuration_is_told_once_with_its_place_and_no_file_is_looked_at() {
    let rig = Rig::without_agent("[operations]\nkeep_count = 0\nkept = '1h'\n");
    fs::remove_file(rig.path().join("agent.pem")).unwrap();
    for what in [Check::Syntax, Check::Files] {
        let told = told(&rig, what);
        let words = [
            "operations.keep_count: must be at least 1",
            "operations.kept: unknown key (known here: keep, keep_count)",
        ];
        assert_eq!(told.len(), words.len(), "{told:#?}");
        for (told, words) in told.iter().zip(words) {
            let place = format!("{}:", rig.path().join("agent.toml").display());
            assert!(told.starts_with(&place) && told.contains(words), "{told:?}");
        }
    }
}
