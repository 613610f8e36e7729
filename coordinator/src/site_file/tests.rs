use std::time::Duration;

use super::*;
use crate::site::{Component, PoolCommands, Role};

fn read(text: &str) -> Result<Site, FileError> {
    Ok(config_file::parse(text, Path::new("cluster.toml"), Path::new("/srv/site"), |root| site(root, None))?.value)
}

fn complaint(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn an_empty_file_describes_a_plain_control_plane() {
    let site = read("").unwrap();
    assert_eq!(site, Site::default());
    assert_eq!((site.name, site.control_plane.len(), site.load_balancer), (None, 0, None));
    assert_eq!(site.agents.port, 7470);
    assert_eq!(site.agents.server_name, "{node}");
    assert_eq!(site.agents.certificate, Path::new("/etc/usher/client.pem"));
    assert_eq!(site.agents.key, Path::new("/etc/usher/client-key.pem"));
    assert_eq!(site.agents.ca, Path::new("/etc/usher/ca.pem"));
    assert_eq!(site.defaults, Defaults::default());
    let elected = |name: &str, keeps_lease| Component {
        name: name.into(),
        unit: format!("{name}.service"),
        role: Role::Elected { namespace: "kube-system".into(), lease: name.into(), keeps_lease },
    };
    let apiserver = Component {
        name: "kube-apiserver".into(),
        unit: "kube-apiserver.service".into(),
        role: Role::ApiServer { url: "https://{address}:6443".into(), server_name: None },
    };
    let etcd = Component { name: "etcd".into(), unit: "etcd.service".into(), role: Role::Etcd };
    assert_eq!(
        site.components,
        [apiserver, elected("kube-controller-manager", true), elected("kube-scheduler", false), etcd]
    );
}

#[test]
fn a_full_file_says_everything() {
    let site = read(
        r#"
        name = "eqiad"
        aliases = ["wikikube-eqiad", "main"]
        realm = "production"
        data_centre = "eqiad"
        [api]
        kubeconfig = "kube/config"
        context = "admin@eqiad"
        user = "root"
        users.deploy = "{service}-deploy"
        [env]
        TILLER_NAMESPACE = "{service}"
        [control_plane]
        machines = ["cp1", "cp2"]
        [agents]
        port = 7_471
        address = "{node}.example:7470"
        server_name = "{node}.agents.example"
        certificate = "pki/usher.pem"
        key = "/secret/usher.pem"
        [agents.addresses]
        cp1 = "10.77.0.11:7470"
        "w1.example" = "[fd00::21]:7470"
        [components]
        kube-scheduler = { enabled = false }
        [components.cloud-controller-manager]
        lease = "cloud/ccm"
        [components.kube-apiserver]
        unit = "apiserver@main.service"
        url = "https://{node}.example"
        [load_balancer]
        url = "https://k8s.example:6443"
        depool = ["confctl", "depool", "{node}"]
        pool = ["confctl", "pool", "{node}"]
        settle = "0s"
        pool_timeout = "3m"
        shutdown_delay_covers_checks = true
        machines.cp2.check = ["true"]
        [drain]
        protected_namespaces = ["rook-ceph"]
        wait_for_jobs = true
        order = ["tier=front", "tier in (back, cache)"]
        [defaults]
        gap = "0s"
        reboot_timeout = "1h 30m"
        apiserver_timeout = "10m"
        handover = false
        "#,
    )
    .unwrap();
    assert_eq!(site.name.as_deref(), Some("eqiad"));
    assert_eq!(site.api.kubeconfig.as_deref(), Some(Path::new("/srv/site/kube/config")));
    assert_eq!(site.api.context.as_deref(), Some("admin@eqiad"));
    assert!(site.is_called("main") && site.is_called("eqiad") && !site.is_called("codfw"));
    assert_eq!((site.realm.as_deref(), site.data_centre.as_deref()), (Some("production"), Some("eqiad")));
    assert_eq!((site.api.user.as_str(), site.api.service_user.as_str()), ("root", "{service}"));
    assert_eq!((&*site.api.users["deploy"], &*site.env["TILLER_NAMESPACE"]), ("{service}-deploy", "{service}"));
    assert_eq!(site.control_plane, ["cp1", "cp2"]);
    assert_eq!((site.agents.port, site.agents.address.as_deref()), (7471, Some("{node}.example:7470")));
    assert_eq!(site.agents.certificate, Path::new("/srv/site/pki/usher.pem"));
    assert_eq!(site.agents.key, Path::new("/secret/usher.pem"));
    assert_eq!(site.agents.ca, Path::new("/etc/usher/ca.pem"));
    assert_eq!(site.agents.addresses["w1.example"], "[fd00::21]:7470");
    let names: Vec<_> = site.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["kube-apiserver", "kube-controller-manager", "etcd", "cloud-controller-manager"]);
    assert_eq!(site.components[0].unit, "apiserver@main.service");
    assert_eq!(
        site.components[3].role,
        Role::Elected { namespace: "cloud".into(), lease: "ccm".into(), keeps_lease: false }
    );
    let balancer = site.load_balancer.unwrap();
    assert_eq!(balancer.commands.pool.as_deref(), Some(&["confctl".into(), "pool".into(), "{node}".into()][..]));
    assert_eq!(balancer.machines["cp2"], PoolCommands { check: Some(vec!["true".into()]), ..PoolCommands::default() });
    assert_eq!((balancer.settle, balancer.command_timeout), (Duration::ZERO, Duration::from_secs(30)));
    assert!(balancer.shutdown_delay_covers_checks);
    assert_eq!((site.drain.wait_for_jobs, site.drain.skip.len(), site.drain.order.len()), (true, 0, 2));
    assert_eq!(site.drain.protected_namespaces, ["rook-ceph"]);
    assert_eq!((site.defaults.gap, site.defaults.handover), (Duration::ZERO, false));
    assert_eq!(site.defaults.reboot_timeout, Duration::from_secs(5400));
    assert_eq!(
        (site.defaults.apiserver_timeout, balancer.pool_timeout),
        (Duration::from_secs(600), Duration::from_secs(180))
    );
    assert_eq!(site.defaults.settle, Defaults::default().settle);
}

#[test]
fn etcd_that_somebody_else_runs_is_none_of_the_sites_components_and_an_apiserver_may_have_a_name_of_its_own() {
    let site =
        read("[components.etcd]\nmanaged = true\n[components.kube-apiserver]\nserver_name = '{node}.internal'\n")
            .unwrap();
    assert!(site.etcd().is_none() && site.component("etcd").is_none());
    let Role::ApiServer { server_name, .. } = &site.components[0].role else { panic!("{:?}", site.components) };
    assert_eq!(server_name.as_deref(), Some("{node}.internal"));
    let site = read("[components.etcd]\nunit = 'etcd@main.service'\n").unwrap();
    assert_eq!(site.etcd().map(|etcd| etcd.unit.as_str()), Some("etcd@main.service"));
}

#[test]
fn a_component_may_do_without_leader_election_and_then_has_no_lease() {
    let site = read("[components.kube-scheduler]\nleader_election = false").unwrap();
    let scheduler = site.component("kube-scheduler").unwrap();
    assert_eq!((scheduler.role.clone(), scheduler.lease()), (Role::Unelected, None));
    let wrong = complaint("[components.kube-scheduler]\nleader_election = false\nlease = 'kube-system/kube-scheduler'");
    assert!(
        wrong.contains("components.kube-scheduler.lease: a component without leader election has no lease"),
        "{wrong}"
    );
}

#[test]
fn a_broken_file_is_refused_with_line_key_and_what_would_be_right() {
    let table = [
        // Keys.
        ("nmae = 'x'", "1: nmae: unknown key; did you mean \"name\"?"),
        ("\n[defaults]\ngpa = '10s'", "3: defaults.gpa: unknown key; did you mean \"gap\"?"),
        (
            "[api]\nproxy = 'x'",
            "2: api.proxy: unknown key (known here: kubeconfig, context, user, service_user, users)",
        ),
        // The site, and what stands for it.
        ("name = 'a b'", "1: name: \"a b\" is no name of a site (letters, digits and \"-_.:@/\")"),
        ("aliases = ['--x']", "1: aliases: \"--x\" is no name of a site (letters, digits and \"-_.:@/\")"),
        ("data_center = 'eqiad'", "1: data_center: unknown key; did you mean \"data_centre\"?"),
        (
            "[api]\nkubeconfig = '/etc/{user}-{clutser}'",
            "2: api.kubeconfig: \"/etc/{user}-{clutser}\" has an unknown placeholder {clutser}; did you mean {cluster}?",
        ),
        (
            "[api]\ncontext = '{cluster}'",
            "2: api.context: {cluster} stands for the site's name, and the file has none: set name",
        ),
        (
            "[api.users]\ndeploy = '{servcie}-deploy'",
            "2: api.users.deploy: \"{servcie}-deploy\" has an unknown placeholder {servcie}; did you mean {service}?",
        ),
        ("[env]\n'A B' = 'x'", "2: env.\"A B\": \"A B\" is no name of a shell's variable (letters, digits and '_')"),
        ("[load-balancer]", "1: load-balancer: unknown key; did you mean \"load_balancer\"?"),
        ("defaults = 5", "1: defaults: expected a table, found an integer"),
        (
            "[components.kube-schedular]",
            "1: components.kube-schedular: unknown component; did you mean \"kube-scheduler\"?",
        ),
        ("[components.CCM]", "1: components.CCM: no name of a component (lower-case letters, digits and '-')"),
        (
            "[components.kube-apiserver]\nlease = 'a/b'",
            "2: components.kube-apiserver.lease: unknown key (known here: enabled, unit, url, server_name)",
        ),
        // Strings.
        ("name = ''", "1: name: must not be empty"),
        ("name = 5", "1: name: expected a string, found an integer"),
        (
            "[drain]\nskip = ['a b']",
            "2: drain.skip: \"a b\" is no label selector (examples: app=web, tier in (front,back), !canary)",
        ),
        ("[defaults]\nhandover = 'yes'", "2: defaults.handover: expected true or false, found a string"),
        // Durations.
        ("[defaults]\ngap = '10x'", "2: defaults.gap: \"10x\" is no duration (examples: 10s, 5m)"),
        (
            "[defaults]\ngap = 10",
            "2: defaults.gap: 10 is no duration: a string with a unit is wanted (examples: \"10s\", \"5m\")",
        ),
        (
            "[defaults]\ngap = true",
            "2: defaults.gap: expected a duration as a string (examples: \"10s\", \"5m\"), found a boolean",
        ),
        ("[defaults]\ndrain_timeout = '0s'", "2: defaults.drain_timeout: a time limit must be longer than 0s"),
        // Machines.
        ("[control_plane]\nmachines = 'cp1'", "2: control_plane.machines: expected a list of strings, found a string"),
        (
            "[control_plane]\nmachines = ['cp1', 2]",
            "2: control_plane.machines: item 2: expected a string, found an integer",
        ),
        ("[control_plane]\nmachines = ['cp1', 'cp1']", "2: control_plane.machines: \"cp1\" is listed twice"),
        (
            "[control_plane]\nmachines = ['CP_1']",
            "2: control_plane.machines: \"CP_1\" is no machine's name (lower-case letters, digits, '-' and '.', as in \
             \"cp1.example\")",
        ),
        // Addresses.
        ("[agents]\nport = 0", "2: agents.port: 0 is no port (1 to 65535)"),
        ("[agents]\nport = 70000", "2: agents.port: 70000 is no port (1 to 65535)"),
        ("[agents]\nport = '7470'", "2: agents.port: expected a port number, found a string"),
        ("[agents]\naddress = '{node}.example'", "2: agents.address: \"{node}.example\" is no HOST:PORT"),
        (
            "[agents]\naddress = 'agent.example:7470'",
            "2: agents.address: \"agent.example:7470\" has no {node} in it, so that it is the same for all machines",
        ),
        (
            "[agents]\naddress = '{noed}.example:7470'",
            "2: agents.address: \"{noed}.example:7470\" has an unknown placeholder {noed}; did you mean {node}?",
        ),
        (
            "[agents.addresses]\ncp1 = 'fd00::1:7470'",
            "2: agents.addresses.cp1: \"fd00::1:7470\" is no HOST:PORT (examples: 10.0.0.1:7470, [fd00::1]:7470)",
        ),
        (
            "[agents.addresses]\n'w 1' = '10.0.0.1:7470'",
            "2: agents.addresses.\"w 1\": \"w 1\" is no machine's name (lower-case letters, digits, '-' and '.', as in \
             \"cp1.example\")",
        ),
        // Components.
        (
            "[components.kube-scheduler]\nunit = 'kube-scheduler'",
            "2: components.kube-scheduler.unit: \"kube-scheduler\" has no suffix of a unit; did you mean \
             \"kube-scheduler.service\"?",
        ),
        (
            "[components.kube-scheduler]\nunit = '../x.service'",
            "2: components.kube-scheduler.unit: \"../x.service\" is no name of a systemd unit",
        ),
        (
            "[components.ccm]\nunit = 'kube-scheduler.service'",
            "2: components.ccm.unit: \"kube-scheduler.service\" is the unit of kube-scheduler already",
        ),
        (
            "[components.kube-scheduler]\nlease = 'kube-scheduler'",
            "2: components.kube-scheduler.lease: \"kube-scheduler\" is no NAMESPACE/NAME of a Lease (example: \
             kube-system/kube-scheduler)",
        ),
        (
            "[components.kube-apiserver]\nurl = 'http://{address}:8080'",
            "2: components.kube-apiserver.url: \"http://{address}:8080\" does not begin with https:// (example: \
             https://{address}:6443)",
        ),
        (
            "[components.kube-apiserver]\nurl = 'https://{address}:6443/readyz'",
            "2: components.kube-apiserver.url: \"https://{address}:6443/readyz\" has a path: only scheme, host and port are \
             wanted (example: https://{address}:6443)",
        ),
        // The load balancer.
        (
            "[load_balancer]\nurl = 'https://{node}:6443'",
            "2: load_balancer.url: \"https://{node}:6443\" has an unknown placeholder {node}; nothing is filled in here",
        ),
        (
            "[load_balancer]\ndepool = 'confctl depool {node}'\npool = ['x']",
            "2: load_balancer.depool: a list of arguments is wanted, as no shell is run: [\"confctl\", \"depool\", \
             \"{node}\"]",
        ),
        (
            "[load_balancer]\ndepool = ['x']",
            "2: load_balancer.depool: there is no \"pool\" command: a machine taken out could not be put back",
        ),
        ("[load_balancer]\ncheck = []", "2: load_balancer.check: an empty list is no command"),
        (
            "[load_balancer]\ncheck = ['x', '{host}']",
            "2: load_balancer.check: \"{host}\" has an unknown placeholder {host}; known here: {node}, {address}",
        ),
        (
            "control_plane.machines = ['cp1', 'cp2']\n[load_balancer.machines.cp9]\ncheck = ['x']",
            "2: load_balancer.machines.cp9: no such machine in control_plane.machines (cp1, cp2)",
        ),
        (
            "[load_balancer.machines.cp1]\ndepool = ['x']",
            "2: load_balancer.machines.cp1.depool: there is no \"pool\" command: a machine taken out could not be put back",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(complaint(text), format!("cluster.toml:{expected}"), "{text}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = "[defaults]\nsettle = 'soon'\n[agents]\nport = 'x'\nkye = 'k'\n[apis]\n";
    assert_eq!(
        complaint(text),
        "cluster.toml:2: defaults.settle: \"soon\" is no duration (examples: 10s, 5m)\n\
         cluster.toml:4: agents.port: expected a port number, found a string\n\
         cluster.toml:5: agents.kye: unknown key; did you mean \"key\"?\n\
         cluster.toml:6: apis: unknown key; did you mean \"api\"?"
    );
}

#[test]
fn a_file_that_is_not_toml_is_refused_by_line() {
    let complaint = complaint("name = 'a'\ngap 5\n");
    assert!(complaint.starts_with("cluster.toml:2: not TOML: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert_eq!(self::complaint("name = 'a'\nname = 'b'"), "cluster.toml:2: not TOML: duplicate key");
}

#[test]
fn braces_that_are_no_placeholders_belong_to_the_command() {
    let text = r#"load_balancer.check = ["sh", "-c", "echo '{\"a\": {}}' ${HOME} {node}"]"#;
    assert!(read(text).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nonexistent/cluster.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the cluster file /nonexistent/cluster.toml");
}

#[test]
fn wanted_versions_are_series_or_whole_versions_of_known_projects() {
    let site = read(
        "[versions.target]\nkubernetes = '1.37'\netcd = '3.6.1'\n[versions.support.kubernetes]\n'1.33' = '2027-06-28'",
    )
    .unwrap();
    assert_eq!(site.versions.targets["kubernetes"], "1.37");
    assert_eq!(site.versions.targets["etcd"], "3.6.1");
    assert_eq!(site.versions.support.0["kubernetes"]["1.33"].to_string(), "2027-06-28");
    for (text, expected) in [
        ("[versions.target]\nkuberentes = '1.37'", "did you mean \"kubernetes\"?"),
        ("[versions.target]\nkubernetes = 'latest'", "\"latest\" is no version"),
        ("[versions.support.kubernetes]\n'1.33' = 'June'", "\"June\" is no day"),
        ("[versions.support.kubernetes]\nnewest = '2027-06-28'", "is no series of releases"),
        ("[versions.support.kubernets]\n'1.33' = '2027-06-28'", "did you mean \"kubernetes\"?"),
    ] {
        assert!(complaint(text).contains(expected), "{text}: {}", complaint(text));
    }
}

#[test]
fn helmfile_services_have_a_folder_a_program_and_a_command_that_rolls_them() {
    let site = read(
        "name = 'codfw'\n[helmfile]\nfolder = 'charts/{cluster}'\nprogram = 'bin/helmfile'\nuser = 'deploy'\n\
         environment = 'live'\narguments = ['--selector', 'tier=front', 'apply']\ntimeout = '10m'",
    )
    .unwrap();
    let helmfile = site.helmfile;
    assert_eq!(helmfile.folder_of("web", "codfw").unwrap(), Path::new("/srv/site/charts/codfw/web"));
    assert_eq!(helmfile.roll("live").join(" "), "/srv/site/bin/helmfile -e live --selector tier=front apply");
    assert_eq!((helmfile.user.as_deref(), helmfile.timeout), (Some("deploy"), Duration::from_secs(600)));
    for (text, expected) in [
        ("[helmfile]\nfolder = '/srv/{servcie}'", "unknown placeholder {servcie}; did you mean {service}?"),
        ("[helmfile]\nfolder = '/srv/{cluster}'", "the file has none: set name"),
        ("[helmfile]\narguments = 'sync'", "a list of arguments is wanted, as no shell is run: [\"sync\"]"),
        ("[helmfile]\narguments = ['diff']", "has neither \"sync\" nor \"apply\""),
        ("[helmfile]\nenvironment = '-x'", "\"-x\" is no name of a site"),
        ("[helmfile]\ntimeout = '0s'", "a time limit must be longer than 0s"),
    ] {
        assert!(complaint(text).contains(expected), "{text}: {}", complaint(text));
    }
}

#[test]
fn the_file_of_metrics_is_relative_to_the_folder_and_must_be_one_that_node_exporter_reads() {
    let site = read("[metrics]\ntextfile = 'm/usher-{cluster}.prom'").unwrap();
    assert_eq!(site.metrics.textfile.as_deref(), Some(Path::new("/srv/site/m/usher-{cluster}.prom")));
    let wrong = complaint("[metrics]\ntextfile = '/m/usher.txt'");
    assert!(wrong.contains("metrics.textfile: \"/m/usher.txt\" does not end in .prom"), "{wrong}");
    let wrong = complaint("[metrics]\ntextfile = '/m/{node}.prom'");
    assert!(wrong.contains("{node}"), "{wrong}");
}
