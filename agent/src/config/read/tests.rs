use std::path::Path;

use usher_common::config_file::{FileError, parse};

use super::*;
use crate::access::{Verb, Wanted};

const LEAST: &str = "[tls]\ncertificate = 'a.pem'\nkey = '/k.pem'\nclient_ca = 'ca.pem'\n";

fn read(text: &str, folder: &str) -> Result<Config, FileError> {
    Ok(parse(text, Path::new("agent.toml"), Path::new(folder), config)?.value)
}

/// Each without the file's name.
fn problems(text: &str) -> Vec<String> {
    let error = read(text, "/etc/usher").unwrap_err().to_string();
    error.lines().map(|line| line.trim_start_matches("agent.toml:").trim_start().to_owned()).collect()
}

#[test]
fn three_paths_are_enough_and_the_rest_has_defaults() {
    let config = read(LEAST, "/etc/usher").unwrap();
    assert_eq!(config.listen.port(), 7470);
    assert_eq!(config.tls.certificate, Path::new("/etc/usher/a.pem"));
    assert_eq!(config.tls.key, Path::new("/k.pem"));
    assert_eq!(config.limits.connections, 64);
    assert_eq!(config.operations.keep, Duration::from_secs(90 * 86400));
    assert_eq!(config.reboots_per_day, 4);
    assert!(config.units.is_empty() && config.allow.is_empty() && config.reflection && config.bus.is_none());
}

#[test]
fn a_probe_is_read_with_its_defaults() {
    let text = format!(
        "{LEAST}[units.'kube-scheduler.service'.probe]\nurl = 'https://127.0.0.1:10259/readyz'\n\
         fallback_url = 'https://[::1]/healthz?verbose'\nverify = false\n"
    );
    let config = read(&text, "/").unwrap();
    let unit = &config.units["kube-scheduler.service"];
    let probe = unit.probe.as_ref().unwrap();
    assert_eq!((probe.url.host.as_str(), probe.url.port, probe.url.path.as_str()), ("127.0.0.1", 10259, "/readyz"));
    let fallback = probe.fallback_url.as_ref().unwrap();
    assert_eq!((fallback.host.as_str(), fallback.port, fallback.path.as_str()), ("::1", 443, "/healthz?verbose"));
    assert_eq!((probe.status, probe.successes, &probe.trust), (200, 3, &Trust::Nobody));
    assert_eq!(unit.job_timeout, Duration::from_secs(120));
}

#[test]
fn a_member_of_etcd_is_read_with_its_defaults_and_needs_all_three_files() {
    let text = format!("{LEAST}[etcd]\nurl = 'https://127.0.0.1:2379'\nca = 'ca.pem'\n");
    let more = "certificate = 'etcd.pem'\nkey = 'etcd-key.pem'\n";
    let etcd = read(&format!("{text}{more}"), "/etc/usher").unwrap().etcd.unwrap();
    assert_eq!((etcd.url.authority().as_str(), etcd.unit.as_str()), ("127.0.0.1:2379", "etcd.service"));
    assert_eq!((etcd.timeout, etcd.server_name), (Duration::from_secs(3), None));
    assert_eq!(etcd.certificate.key, Path::new("/etc/usher/etcd-key.pem"));
    let told = problems(&text);
    assert!(told.iter().any(|line| line.contains("etcd.certificate")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("etcd.key")), "{told:?}");
    assert!(read(LEAST, "/").unwrap().etcd.is_none());
}

#[test]
fn every_problem_is_told_at_once_with_its_line_and_key() {
    let text = format!(
        "listen = 'nowhere'\n{LEAST}[allow]\noperator = ['CN=x', 'root']\n[limits]\nconnections = 0\nidle_timeout = 'soon'\n\
         [units.kubelet]\njob_timeout = '0s'\n[units.'a.service'.probe]\nurl = 'http://127.0.0.1/'\n\
         [units.'b.service'.probe]\nurl = 'https://10.0.0.1/'\nverify = false\n\
         [units.'c.service'.probe]\nurl = 'https://[::1]/'\nverify = false\nsuccesses = 10\ninterval = '10s'\n"
    );
    begin_with(
        &problems(&text),
        &[
            "1: listen: \"nowhere\" is no address",
            "7: allow.operator: item 2: \"root\" names nobody",
            "9: limits.connections: must be at least 1",
            "10: limits.idle_timeout: \"soon\" is no duration",
            "11: units.kubelet: is no name of a unit",
            "12: units.kubelet.job_timeout: a time limit must be longer than 0s",
            "13: units.\"a.service\".probe: needs either ca",
            "14: units.\"a.service\".probe.url: \"http://127.0.0.1/\" is no HTTPS URL",
            "15: units.\"b.service\".probe: verify = false is for loopback alone",
            "18: units.\"c.service\".probe: 10 answers, one every 10s, cannot come within the deadline of 60s",
        ],
    );
}

#[test]
fn unknown_missing_and_mistyped_keys_are_all_named() {
    begin_with(
        &problems(
            "listne = 'x'\nreflection = 'x'\n[tls]\nkye = 'a'\ncertificate = 5\n[limits]\nconnections = '9'\n\
             [reboot]\nbudget = 1\n[unit.x]\n",
        ),
        &[
            "1: listne: unknown key; did you mean \"listen\"?",
            "2: reflection: expected true or false, found a string",
            "3: tls.key: is missing (Its key, PEM)",
            "3: tls.client_ca: is missing (The CAs that sign callers' certificates, PEM)",
            "4: tls.kye: unknown key; did you mean \"key\"?",
            "5: tls.certificate: expected a string, found an integer",
            "7: limits.connections: expected a number, found a string",
            "9: reboot.budget: unknown key (known here: budget_per_day)",
            "10: unit: unknown key; did you mean \"units\"?",
        ],
    );
    assert_eq!(problems("listen = '[::]:1'").len(), 3);
    assert!(problems("listen = '[::]:1'")[0].starts_with("tls.certificate: is missing"));
}

#[test]
fn a_probe_needs_one_way_to_trust_and_is_told_of_it_once() {
    let probe = |more: &str| {
        let text = format!("{LEAST}[units.'a.service'.probe]\nurl = 'https://127.0.0.1/'\n{more}\n");
        read(&text, "/").map(|config| config.units["a.service"].probe.clone().unwrap().trust)
    };
    assert_eq!(probe("ca = 'ca.pem'").unwrap(), Trust::Ca("/ca.pem".into()));
    assert_eq!(probe("ca = 'ca.pem'\nverify = true").unwrap(), Trust::Ca("/ca.pem".into()));
    assert_eq!(probe("verify = false").unwrap(), Trust::Nobody);
    for (more, expected) in [
        ("", "needs either ca"),
        ("verify = true", "needs either ca"),
        ("ca = 'ca.pem'\nverify = false", "needs either ca"),
        ("ca = 5", "expected a string"),
    ] {
        let error = probe(more).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_probes_certificate_and_key_go_together_and_a_name_is_no_loopback() {
    let probe = |url: &str, more: &str| {
        let text = format!("{LEAST}[units.'a.service'.probe]\nurl = '{url}'\n{more}\n");
        read(&text, "/").map(|config| config.units["a.service"].probe.clone().unwrap())
    };
    let own = probe("https://127.0.0.1/", "verify = false\ncertificate = 'p.pem'\nkey = 'p-key.pem'\ntoken_file = 't'")
        .unwrap();
    let certificate = own.certificate.unwrap();
    assert_eq!((certificate.certificate, certificate.key), ("/p.pem".into(), "/p-key.pem".into()));
    assert_eq!(own.token_file, Some("/t".into()));
    for (url, more, expected) in [
        ("https://127.0.0.1/", "verify = false\nkey = 'p-key.pem'", "certificate and key go together"),
        ("https://127.0.0.1/", "verify = false\ncertificate = 'p.pem'", "certificate and key go together"),
        ("https://localhost/", "verify = false", "verify = false is for loopback alone"),
    ] {
        let error = probe(url, more).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn metrics_are_for_loopback_alone() {
    let listen = |address: &str| read(&format!("{LEAST}[metrics]\nlisten = '{address}'\n"), "/");
    assert_eq!(listen("127.0.0.1:7471").unwrap().metrics, "127.0.0.1:7471".parse().ok());
    assert_eq!(read(LEAST, "/").unwrap().metrics, None);
    assert!(listen("0.0.0.0:7471").unwrap_err().to_string().contains("must be a loopback address"));
}

#[test]
fn a_history_without_operations_or_time_is_no_history() {
    let keep = |key: &str| read(&format!("{LEAST}[operations]\n{key}\n"), "/").map(|config| config.operations);
    let shortest = Retention { keep: Duration::from_secs(1), keep_count: 1 };
    assert_eq!(keep("keep = '1s'\nkeep_count = 1").unwrap(), shortest);
    for (key, expected) in [
        ("keep_count = 0", "6: operations.keep_count: must be at least 1"),
        ("keep = '0s'", "6: operations.keep: a time limit must be longer than 0s"),
    ] {
        begin_with(&problems(&format!("{LEAST}[operations]\n{key}\n")), &[expected]);
    }
}

#[test]
fn a_template_is_no_unit_to_manage() {
    let error = read(&format!("{LEAST}[units.'foo@.service']\n"), "/").unwrap_err().to_string();
    assert!(error.contains("is a template; name an instance of it (example: foo@1.service)"), "{error}");
}

#[test]
fn an_entry_of_the_allow_list_may_be_a_table_with_limits() {
    let text = format!(
        "{LEAST}[allow]\nviewer = [{{ name = 'O=sre', from = ['2001:db8::/32', '192.0.2.1'] }}]\noperator = ['CN=a', {{ name = 'CN=b', \
         units = ['a.service'], may = ['restart', 'override'], until = 2027-01-01T00:00:00+01:00 }}]\n[deny]\nfingerprints = \
         ['{}']\n",
        "AB:".repeat(31) + "AB"
    );
    let config = read(&text, "/").unwrap();
    let wanted = |verb, unit| Wanted { verb, unit: Some(unit), overrides: false };
    let permitted = |name: &str, at: &str, wanted| {
        let at = at.parse().unwrap();
        config.allow.permit(&[name.to_owned()], [192, 0, 2, 1].into(), at, &wanted).is_ok()
    };
    for (name, at, wanted, expected) in [
        ("CN=a", "2099-01-01T00:00:00Z", wanted(Verb::Stop, "b.service"), true),
        ("CN=b", "2026-12-31T22:59:59Z", wanted(Verb::Restart, "a.service"), true),
        ("CN=b", "2026-12-31T23:00:00Z", wanted(Verb::Restart, "a.service"), false),
        ("CN=b", "2026-01-01T00:00:00Z", wanted(Verb::Restart, "b.service"), false),
        ("CN=b", "2026-01-01T00:00:00Z", wanted(Verb::Stop, "a.service"), false),
        ("O=sre", "2026-01-01T00:00:00Z", wanted(Verb::Start, "a.service"), false),
    ] {
        assert_eq!(permitted(name, at, wanted), expected, "{name} {at} {wanted:?}");
    }
    assert_eq!(config.deny.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ab".repeat(32)]);
}

#[test]
fn mistakes_in_an_entry_of_the_allow_list_are_told_with_their_key() {
    for (list, expected) in [
        ("operator = [{ units = ['a.service'] }]", "allow.operator: name is missing"),
        ("operator = ['CN=a', { name = 'b' }]", "allow.operator: item 2: name: \"b\" names nobody"),
        (
            "operator = [{ name = 'CN=a', unit = ['a.service'] }]",
            "allow.operator: unit: unknown key; did you mean \"units\"?",
        ),
        ("operator = [{ name = 'CN=a', units = ['a'] }]", "allow.operator: units: \"a\" is no name of a unit"),
        ("operator = [{ name = 'CN=a', may = ['fly'] }]", "allow.operator: may: \"fly\" is none of restart"),
        ("operator = [{ name = 'CN=a', may = [] }]", "allow.operator: may: must not be empty"),
        ("operator = [{ name = 'CN=a', from = ['10.0.0.1/8'] }]", "allow.operator: from: \"10.0.0.1/8\" is no range"),
        (
            "operator = [{ name = 'CN=a', until = 2027-01-01 }]",
            "allow.operator: until: 2027-01-01 is no time with an offset",
        ),
        ("viewer = [{ name = 'CN=a', may = ['stop'] }]", "allow.viewer: may: unknown key"),
        ("viewer = [5]", "allow.viewer: expected a name or a table, found an integer"),
        ("[deny]\nfingerprints = ['ab']", "deny.fingerprints: \"ab\" is no SHA-256 fingerprint"),
    ] {
        let told = problems(&format!("{LEAST}[allow]\n{list}\n"));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains(expected), "{told:?} instead of {expected}");
    }
}

fn begin_with(told: &[String], expected: &[&str]) {
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told:?} does not begin with {expected:?}");
    }
}
