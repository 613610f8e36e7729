//! A request as the command that makes it, quoted for a shell.

use std::{fmt::Display, path::Path, time::Duration};

use super::{AssumedLeader, Connection, Drain, Eviction, Kind, OnNodes, Rebalance, Reboot, Request, Restart};
use crate::nodeset::{FEW, argument};

impl Request {
    /// The command that makes this request, to be pasted into a POSIX shell: `usher reboot w1 w2 --keep-cordoned -r kernel`.
    /// Flags that were left at their defaults are left out.
    pub fn command_line(&self) -> String {
        let mut words = Words(vec!["usher".to_owned(), self.verb().to_owned()]);
        match &self.kind {
            Kind::Restart(restart) => words.restart(restart),
            Kind::Reboot(reboot) => words.reboot(reboot),
            Kind::Cordon(OnNodes { nodes }) | Kind::Uncordon(OnNodes { nodes }) => words.nodes(nodes),
            Kind::Drain(drain) => words.drain(drain),
            Kind::Rebalance(rebalance) => words.rebalance(rebalance),
        }
        words.connection(&self.connection);
        words.0.extend(["-r".to_owned(), quote(&self.reason)]);
        if let Some(task_id) = &self.task_id {
            words.0.extend(["-t".to_owned(), quote(task_id)]);
        }
        words.0.join(" ")
    }
}

impl Connection {
    /// The flags that lead there, each quoted for a shell. Those that were not given are left out.
    pub fn flags(&self) -> Vec<String> {
        let mut words = Words(Vec::new());
        words.connection(self);
        words.0
    }
}

/// The words of a command, quoted. Every `let` below takes a struct apart without `..`, so that a new field cannot be forgotten.
struct Words(Vec<String>);

impl Words {
    fn restart(&mut self, restart: &Restart) {
        let Restart { components, wanted, machines, gap, handover, assumed_leaders } = restart;
        self.arguments(components);
        self.flag("wanted", *wanted);
        if !machines.is_empty() {
            self.value("nodes", argument(machines));
        }
        self.duration("gap", *gap);
        self.option("handover", handover.as_ref());
        for AssumedLeader { component, machine } in assumed_leaders {
            self.value("assume-leader", format!("{component}={}", machine.as_deref().unwrap_or("none")));
        }
    }

    fn reboot(&mut self, reboot: &Reboot) {
        let Reboot { machines, impolite, keep_cordoned, handover, override_blockers, rebalance, eviction } = reboot;
        self.nodes(machines);
        self.flag("impolite", *impolite);
        self.flag("keep-cordoned", *keep_cordoned);
        self.option("handover", handover.as_ref());
        self.each("override-blocker", override_blockers);
        self.flag("rebalance", *rebalance);
        self.eviction(eviction);
    }

    fn drain(&mut self, drain: &Drain) {
        let Drain { nodes, concurrency, eviction } = drain;
        self.nodes(nodes);
        self.unless("concurrency", concurrency, &1);
        self.eviction(eviction);
    }

    fn rebalance(&mut self, rebalance: &Rebalance) {
        let Rebalance { nodes, max_moves, concurrency, pod_selector, skip_pods } = rebalance;
        self.nodes(nodes);
        self.option("max-moves", max_moves.as_ref());
        self.unless("concurrency", concurrency, &1);
        self.option("pod-selector", pod_selector.as_ref());
        self.each("skip-pods", skip_pods);
    }

    fn eviction(&mut self, eviction: &Eviction) {
        let plain = Eviction::default();
        let Eviction {
            force,
            ignore_daemonsets,
            delete_emptydir_data,
            grace_period,
            drain_timeout,
            pod_selector,
            disable_eviction,
            skip_wait_for_delete_timeout,
            chunk_size,
            skip_pods,
            wait_for,
            wait_for_jobs,
            evict_first,
            surge,
            wait_for_volumes,
            kill_after,
            delete_after,
            allow_namespace,
            ignore_verdicts,
        } = eviction;
        self.flag("force", *force);
        self.unless("ignore-daemonsets", ignore_daemonsets, &plain.ignore_daemonsets);
        self.flag("delete-emptydir-data", *delete_emptydir_data);
        self.option("grace-period", grace_period.as_ref());
        self.duration("drain-timeout", *drain_timeout);
        self.option("pod-selector", pod_selector.as_ref());
        self.flag("disable-eviction", *disable_eviction);
        let skip = skip_wait_for_delete_timeout.map(|limit| limit.as_secs());
        self.option("skip-wait-for-delete-timeout", skip.as_ref());
        self.unless("chunk-size", chunk_size, &plain.chunk_size);
        self.each("skip-pods", skip_pods);
        self.each("wait-for", wait_for);
        self.flag("wait-for-jobs", *wait_for_jobs);
        self.each("evict-first", evict_first);
        self.each("surge", surge);
        self.option("wait-for-volumes", wait_for_volumes.as_ref());
        self.duration("kill-after", *kill_after);
        self.duration("delete-after", *delete_after);
        self.each("allow-namespace", allow_namespace);
        self.flag("ignore-verdicts", *ignore_verdicts);
    }

    fn connection(&mut self, connection: &Connection) {
        let Connection {
            cluster_file,
            kubeconfig,
            context,
            cluster,
            user,
            server,
            impersonate,
            impersonate_groups,
            impersonate_uid,
            certificate_authority,
            tls_server_name,
            insecure_skip_tls_verify,
            request_timeout,
        } = connection;
        self.path("cluster-file", cluster_file.as_deref());
        self.path("kubeconfig", kubeconfig.as_deref());
        self.option("context", context.as_ref());
        self.option("cluster", cluster.as_ref());
        self.option("user", user.as_ref());
        self.option("server", server.as_ref());
        self.option("as", impersonate.as_ref());
        self.each("as-group", impersonate_groups);
        self.option("as-uid", impersonate_uid.as_ref());
        self.path("certificate-authority", certificate_authority.as_deref());
        self.option("tls-server-name", tls_server_name.as_ref());
        self.flag("insecure-skip-tls-verify", *insecure_skip_tls_verify);
        self.duration("request-timeout", *request_timeout);
    }

    fn arguments(&mut self, values: &[String]) {
        self.0.extend(values.iter().map(quote));
    }

    /// Machines: a few by their names, more as one set.
    fn nodes(&mut self, names: &[String]) {
        if names.len() > FEW { self.0.push(quote(argument(names))) } else { self.arguments(names) }
    }

    fn flag(&mut self, name: &str, given: bool) {
        if given {
            self.0.push(format!("--{name}"));
        }
    }

    fn value(&mut self, name: &str, value: impl Display) {
        self.0.push(format!("--{name}={}", quote(value)));
    }

    fn option(&mut self, name: &str, value: Option<&impl Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn unless<T: Display + PartialEq>(&mut self, name: &str, value: &T, default: &T) {
        if value != default {
            self.value(name, value);
        }
    }

    fn each(&mut self, name: &str, values: &[impl Display]) {
        values.iter().for_each(|value| self.value(name, value));
    }

    fn path(&mut self, name: &str, path: Option<&Path>) {
        self.option(name, path.map(Path::display).as_ref());
    }

    fn duration(&mut self, name: &str, duration: Option<Duration>) {
        let text = duration.map(|duration| humantime::format_duration(duration).to_string().replace(' ', ""));
        self.option(name, text.as_ref());
    }
}

/// A word as a POSIX shell reads it back.
pub fn quote(word: impl Display) -> String {
    shell_words::quote(&word.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn reboot(machines: &[&str]) -> Request {
        Request {
            kind: Kind::Reboot(Reboot {
                machines: machines.iter().map(|&name| name.to_owned()).collect(),
                impolite: false,
                keep_cordoned: true,
                handover: None,
                override_blockers: vec!["user:alice".into()],
                rebalance: false,
                eviction: Eviction { drain_timeout: Some(Duration::from_secs(90)), ..Eviction::default() },
            }),
            reason: "kernel `6.1` isn't $new".into(),
            task_id: Some("T400123".into()),
            connection: Connection { context: Some("eqiad".into()), ..Connection::default() },
        }
    }

    #[test]
    fn a_request_is_a_command_with_every_flag_quoted_for_a_shell() {
        assert_eq!(
            reboot(&["w1", "w2"]).command_line(),
            "usher reboot w1 w2 --keep-cordoned --override-blocker=user:alice --drain-timeout=1m30s --context=eqiad \
             -r 'kernel `6.1` isn'\\''t $new' -t T400123"
        );
    }

    #[test]
    fn what_is_left_of_a_request_keeps_its_flags() {
        let left = reboot(&["w1", "w2", "w3"]).only(&[&Target::machine_turn("w2"), &Target::machine_turn("w3")]);
        let [left] = &left[..] else { panic!("{left:#?}") };
        assert!(left.command_line().starts_with("usher reboot w2 w3 --keep-cordoned "), "{}", left.command_line());
        assert_eq!(reboot(&["w1"]).only(&[]), []);
    }

    #[test]
    fn what_is_left_of_a_restart_of_several_components_restarts_nothing_twice() {
        let restart = Restart {
            components: ["a", "b", "c"].map(str::to_owned).to_vec(),
            wanted: false,
            machines: Vec::new(),
            gap: None,
            handover: None,
            assumed_leaders: Vec::new(),
        };
        let request = Request { kind: Kind::Restart(restart), reason: "x".into(), ..reboot(&[]) };
        let request = Request { task_id: None, connection: Connection::default(), ..request };
        for (left, expected) in [
            (
                "cp2 a, cp3 a, cp1 b, cp2 b, cp3 b, cp3 c, cp2 c, cp1 c",
                &["restart a --nodes=cp2,cp3", "restart b c --nodes=cp1,cp2,cp3"][..],
            ),
            ("cp1 b, cp2 b, cp3 b, cp1 c, cp3 c, cp2 c", &["restart b c"]),
            ("cp3 c", &["restart c --nodes=cp3"]),
            ("cp1 a, cp2 b", &["restart a --nodes=cp1", "restart b --nodes=cp2"]),
            ("", &[]),
        ] {
            let targets: Vec<_> = left.split(", ").filter_map(|turn| turn.split_once(' ')).collect();
            let targets: Vec<_> =
                targets.into_iter().map(|(machine, component)| Target::instance(machine, component)).collect();
            let requests = request.only(&targets.iter().collect::<Vec<_>>());
            let commands: Vec<_> = requests.iter().map(Request::command_line).collect();
            let expected: Vec<_> = expected.iter().map(|command| format!("usher {command} -r x")).collect();
            assert_eq!(commands, expected, "{left}");
        }
    }

    #[test]
    fn a_request_survives_being_stored() {
        let request = reboot(&["w1"]);
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
        assert!(json.contains(r#""kind":"reboot""#) && json.contains(r#""drainTimeoutSeconds":90.0"#), "{json}");
    }
}
