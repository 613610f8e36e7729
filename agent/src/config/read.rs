//! From TOML to a [`Config`]: every key, its default, and what is wrong with its value.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::Spanned;

use super::{
    Config, Limits, Probe, Problem, Retention, TlsFiles, Trust, UnitPolicy, Url,
    file::{AllowTable, File, ProbeTable, UnitTable},
};
use crate::access::{AllowList, Pattern, Role};

/// Reads `text`; relative paths are taken from `folder`.
pub(super) fn config(text: &str, folder: &Path) -> Result<Config, Vec<Problem>> {
    let file: File = toml::from_str(text).map_err(|error| vec![syntax(text, &error)])?;
    let mut reader = Reader { text, folder, problems: Vec::new() };
    let config = reader.config(file);
    if reader.problems.is_empty() {
        return Ok(config);
    }
    reader.problems.sort();
    Err(reader.problems)
}

/// What the TOML reader itself refuses: bad syntax, an unknown or missing key, a value of the wrong type.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| line_of(text, span.start));
    // A wrong value's span is the value; its key stands before the equals sign of the same line.
    let key = error
        .span()
        .and_then(|span| text.get(..span.start)?.rsplit('\n').next()?.split_once('='))
        .map(|(key, _)| key.trim().to_owned())
        .unwrap_or_default();
    Problem { line, key, message: error.message().trim().replace('\n', " ").replace("unknown field", "unknown key") }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

struct Reader<'a> {
    text: &'a str,
    folder: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn config(&mut self, file: File) -> Config {
        let listen = file.listen.unwrap_or_else(|| Spanned::new(0..0, "[::]:7470".to_owned()));
        let listen = listen.get_ref().parse().unwrap_or_else(|_| {
            self.problem(
                listen.span(),
                "listen",
                format!("{:?} is no address and port (example: [::]:7470)", listen.get_ref()),
            );
            ([127, 0, 0, 1], 0).into()
        });
        let state_directory = self.path(file.state_directory, "/var/lib/usher-agent");
        Config {
            listen,
            node: self.words("node", file.node).unwrap_or_else(crate::host::name),
            state_directory,
            hold_file: self.path(file.hold_file, "/etc/usher/hold"),
            boot_id_file: self.path(file.boot_id_file, "/proc/sys/kernel/random/boot_id"),
            reflection: file.reflection.unwrap_or(true),
            bus: self.words("bus", file.bus),
            tls: TlsFiles {
                certificate: self.folder.join(file.tls.certificate),
                key: self.folder.join(file.tls.key),
                client_ca: self.folder.join(file.tls.client_ca),
            },
            allow: self.allow(file.allow),
            limits: Limits {
                connections: self.positive("limits.connections", file.limits.connections, 64),
                handshake_timeout: self.duration("limits.handshake_timeout", file.limits.handshake_timeout, 10),
                idle_timeout: self.duration("limits.idle_timeout", file.limits.idle_timeout, 600),
            },
            operations: Retention {
                keep: self.duration("operations.keep", file.operations.keep, 90 * 24 * 3600),
                keep_count: file.operations.keep_count.unwrap_or(1000),
            },
            reboots_per_day: file.reboot.budget_per_day.unwrap_or(4),
            lock_files: match file.lock_files {
                Some(paths) => paths.into_iter().map(|path| self.folder.join(path)).collect(),
                None => vec![
                    "/var/lib/puppet/state/agent_catalog_run.lock".into(),
                    "/var/cache/puppet/state/agent_catalog_run.lock".into(),
                ],
            },
            units: file.units.into_iter().map(|(name, unit)| self.unit(name, unit)).collect(),
        }
    }

    fn allow(&mut self, allow: AllowTable) -> AllowList {
        let mut list = AllowList::default();
        for (key, role, names) in
            [("allow.viewer", Role::Viewer, allow.viewer), ("allow.operator", Role::Operator, allow.operator)]
        {
            for name in names {
                match name.get_ref().parse::<Pattern>() {
                    Ok(pattern) => list.insert(pattern, role),
                    Err(error) => self.problem(name.span(), key, error.to_string()),
                }
            }
        }
        list
    }

    fn unit(&mut self, name: Spanned<String>, unit: UnitTable) -> (String, UnitPolicy) {
        let key = format!("units.{:?}", name.get_ref());
        if !is_unit_name(name.get_ref()) {
            let message = "is no unit's name; write it with its suffix (example: kube-scheduler.service)";
            self.problem(name.span(), &key, message.to_owned());
        }
        let policy = UnitPolicy {
            job_timeout: self.duration(&format!("{key}.job_timeout"), unit.job_timeout, 120),
            probe: unit.probe.and_then(|probe| self.probe(&format!("{key}.probe"), probe)),
        };
        (name.into_inner(), policy)
    }

    fn probe(&mut self, key: &str, probe: Spanned<ProbeTable>) -> Option<Probe> {
        let span = probe.span();
        let probe = probe.into_inner();
        let url = self.url(&format!("{key}.url"), &probe.url);
        let fallback_url = probe.fallback_url.as_ref().map(|url| self.url(&format!("{key}.fallback_url"), url));
        let loopback =
            [url.as_ref(), fallback_url.as_ref().and_then(Option::as_ref)].into_iter().flatten().all(Url::is_loopback);
        let successes = self.positive(&format!("{key}.successes"), probe.successes, 3);
        let interval = self.duration(&format!("{key}.interval"), probe.interval, 1);
        let deadline = self.duration(&format!("{key}.deadline"), probe.deadline, 60);
        if interval.saturating_mul(successes.saturating_sub(1)) > deadline {
            let message =
                format!("{successes} answers, one every {interval:?}, cannot come within the deadline of {deadline:?}");
            self.problem(span.clone(), key, message);
        }
        let trust = match (probe.ca, probe.verify) {
            (Some(ca), None | Some(true)) => Some(Trust::Ca(self.folder.join(ca))),
            (None, Some(false)) if loopback => Some(Trust::Nobody),
            (None, Some(false)) => {
                self.problem(span, key, "verify = false is for loopback alone; name a ca".to_owned());
                None
            }
            _ => {
                let message = "needs either ca (a PEM file) or, on loopback, verify = false";
                self.problem(span, key, message.to_owned());
                None
            }
        };
        let status = probe.status.map_or(200, |status| {
            if !(100..600).contains(status.get_ref()) {
                self.problem(
                    status.span(),
                    &format!("{key}.status"),
                    format!("{} is no HTTP status", status.get_ref()),
                );
            }
            status.into_inner()
        });
        Some(Probe {
            status,
            server_name: self.words(&format!("{key}.server_name"), probe.server_name),
            successes,
            interval,
            timeout: self.duration(&format!("{key}.timeout"), probe.timeout, 5),
            deadline,
            url: url?,
            fallback_url: fallback_url.flatten(),
            trust: trust?,
        })
    }

    fn url(&mut self, key: &str, text: &Spanned<String>) -> Option<Url> {
        let url = parse_url(text.get_ref());
        if url.is_none() {
            let message = format!("{:?} is no HTTPS URL (example: https://127.0.0.1:10259/readyz)", text.get_ref());
            self.problem(text.span(), key, message);
        }
        url
    }

    fn duration(&mut self, key: &str, text: Option<Spanned<String>>, default_seconds: u64) -> Duration {
        let default = Duration::from_secs(default_seconds);
        let Some(text) = text else { return default };
        match humantime::parse_duration(text.get_ref()) {
            Ok(duration) if !duration.is_zero() => duration,
            _ => {
                let message = format!("{:?} is no duration above zero (examples: 10s, 5m, 90d)", text.get_ref());
                self.problem(text.span(), key, message);
                default
            }
        }
    }

    fn positive<T: Copy + Default + PartialEq>(&mut self, key: &str, number: Option<Spanned<T>>, default: T) -> T {
        let Some(number) = number else { return default };
        if *number.get_ref() == T::default() {
            self.problem(number.span(), key, "must be at least 1".to_owned());
        }
        number.into_inner()
    }

    fn words(&mut self, key: &str, text: Option<Spanned<String>>) -> Option<String> {
        let text = text?;
        if text.get_ref().trim().is_empty() {
            self.problem(text.span(), key, "must not be empty; leave the key out for the default".to_owned());
        }
        Some(text.into_inner())
    }

    fn path(&self, path: Option<PathBuf>, default: &str) -> PathBuf {
        path.map_or_else(|| PathBuf::from(default), |path| self.folder.join(path))
    }

    fn problem(&mut self, span: Range<usize>, key: &str, message: String) {
        self.problems.push(Problem { line: Some(line_of(self.text, span.start)), key: key.to_owned(), message });
    }
}

fn parse_url(text: &str) -> Option<Url> {
    let uri: http::Uri = text.parse().ok()?;
    let host = uri.host()?;
    let userinfo = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if uri.scheme_str() != Some("https") || host.is_empty() || userinfo {
        return None;
    }
    Some(Url {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: uri.port_u16().unwrap_or(443),
        path: uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned(),
        text: text.to_owned(),
    })
}

/// systemd's rule for unit names (`unit_name_is_valid`), for the types that have something to restart.
fn is_unit_name(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let suffix =
        [".service", ".socket", ".timer", ".path", ".mount"].iter().find_map(|suffix| name.strip_suffix(suffix));
    name.len() < 256 && suffix.is_some_and(|stem| !stem.is_empty() && stem.chars().all(valid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[tls]\ncertificate = 'a.pem'\nkey = '/k.pem'\nclient_ca = 'ca.pem'\n";

    fn problems(text: &str) -> Vec<String> {
        let problems = config(text, Path::new("/etc/usher")).unwrap_err();
        problems.iter().map(|problem| format!("{}: {problem}", problem.line.unwrap_or(0))).collect()
    }

    #[test]
    fn three_paths_are_enough_and_the_rest_has_defaults() {
        let config = config(LEAST, Path::new("/etc/usher")).unwrap();
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
        let config = config(&text, Path::new("/")).unwrap();
        let unit = &config.units["kube-scheduler.service"];
        let probe = unit.probe.as_ref().unwrap();
        assert_eq!((probe.url.host.as_str(), probe.url.port, probe.url.path.as_str()), ("127.0.0.1", 10259, "/readyz"));
        let fallback = probe.fallback_url.as_ref().unwrap();
        assert_eq!((fallback.host.as_str(), fallback.port, fallback.path.as_str()), ("::1", 443, "/healthz?verbose"));
        assert_eq!((probe.status, probe.successes, &probe.trust), (200, 3, &Trust::Nobody));
        assert_eq!(unit.job_timeout, Duration::from_secs(120));
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
                "7: allow.operator: \"root\" ",
                "9: limits.connections: must be at least 1",
                "10: limits.idle_timeout: \"soon\" is no duration",
                "11: units.\"kubelet\": is no unit's name",
                "12: units.\"kubelet\".job_timeout: \"0s\"",
                "13: units.\"a.service\".probe: needs either ca",
                "14: units.\"a.service\".probe.url: \"http://127.0.0.1/\" is no HTTPS URL",
                "15: units.\"b.service\".probe: verify = false is for loopback alone",
                "18: units.\"c.service\".probe: 10 answers, one every 10s, cannot come within the deadline of 60s",
            ],
        );
    }

    #[test]
    fn unknown_missing_and_mistyped_keys_are_errors() {
        assert!(problems(&format!("listne = 'x'\n{LEAST}"))[0].starts_with("1: unknown key `listne`"));
        assert!(problems(&format!("reflection = 'x'\n{LEAST}"))[0].starts_with("1: reflection: invalid type"));
        assert!(problems("listen = '[::]:1'")[0].contains("missing field `tls`"));
    }

    fn begin_with(told: &[String], expected: &[&str]) {
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told:?} does not begin with {expected:?}");
        }
    }
}
