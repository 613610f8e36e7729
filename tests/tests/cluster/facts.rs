//! Facts by need: what a plan does not use is not read.

use usher_coordinator::{
    facts::{Identity, Scope},
    site::Site,
};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{apiservers_at, lease, node, pod},
};

use super::{machines, requests, seconds, server, site, world};

#[tokio::test(start_paused = true)]
async fn a_plan_is_made_from_the_nodes_it_speaks_of() {
    let api = server();
    let world = world(&api, site()).await;
    assert_eq!(requests(&api), ["GET /api/v1/nodes"]);

    let nodes =
        |names: &[&str]| Scope { nodes: names.iter().map(|&name| name.to_owned()).collect(), ..Scope::default() };
    for (what, scope, expected) in [
        ("nothing", Scope::default(), &[][..]),
        ("the Nodes of a drain", nodes(&["w1", "w2"]), &["GET /api/v1/nodes/w1", "GET /api/v1/nodes/w2"]),
        ("a Node that is gone", nodes(&["w9"]), &["GET /api/v1/nodes/w9"]),
    ] {
        api.forget_requests();
        let facts = world.facts(&scope).await.unwrap();
        assert_eq!(requests(&api), expected, "{what}");
        let names: Vec<_> = facts.machines.iter().map(|machine| machine.name.as_str()).collect();
        let there: Vec<_> = scope.nodes.iter().filter(|&name| name != "w9").collect();
        assert_eq!(names, there, "{what}");
    }

    // The first plan is made from what was read when the command began, and from the server's clock.
    api.forget_requests();
    assert!(world.first_facts(&nodes(&["w1"])).await.unwrap().machine("w1").unwrap().node.is_some());
    assert_eq!(requests(&api), ["GET /version"]);
}

#[tokio::test(start_paused = true)]
async fn many_nodes_are_listed_page_by_page() {
    let api = server();
    for number in 0..1200 {
        api.add(node(&format!("n{number}")));
    }
    let world = world(&api, site()).await;
    assert_eq!(requests(&api), ["GET /api/v1/nodes"; 3]);
    assert_eq!(world.facts(&Scope { all: true, ..Scope::default() }).await.unwrap().machines.len(), 1205);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_runs_the_control_plane_is_no_worker_whatever_the_lists_say() {
    let apiserver = || pod("kube-system/kube-apiserver-cp4").on("cp4").mirror();
    type Arrange<'a> = &'a dyn Fn(&ApiServer);
    let cases: [(&str, Arrange<'_>, &[&str]); 5] = [
        ("a worker", &|api| _ = api.add(node("cp4")), &[]),
        (
            "the label",
            &|api| _ = api.add(node("cp4").control_plane()),
            &["its Node has the label node-role.kubernetes.io/control-plane"],
        ),
        (
            "the label of old clusters",
            &|api| _ = api.add(node("cp4").labelled("node-role.kubernetes.io/master", "")),
            &["its Node has the label node-role.kubernetes.io/control-plane"],
        ),
        (
            "a static pod",
            &|api| _ = api.add(node("cp4")).add(apiserver()),
            &["the static pod kube-system/kube-apiserver-cp4 runs on it"],
        ),
        (
            "a lease, also one that nobody renews any more",
            &|api| {
                api.add(node("cp4"));
                let name = "kube-system/kube-scheduler";
                api.add(
                    lease(name)
                        .held_by("cp4.example.org_6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1")
                        .renewed_ago(seconds(900)),
                );
            },
            &["it holds the lease of kube-scheduler"],
        ),
    ];
    for (what, arrange, expected) in cases {
        let api = server();
        arrange(&api);
        let world = world(&api, site()).await;
        for facts in [world.first_facts(&machines(&["cp4"])).await, world.facts(&machines(&["cp4"])).await] {
            let facts = facts.unwrap();
            let machine = facts.machine("cp4").unwrap();
            let found: Vec<_> = machine.control_plane_evidence.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{what}");
            assert_eq!((machine.control_plane, machine.listed), (!expected.is_empty(), false), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_at_whose_address_an_apiserver_serves_belongs_to_the_control_plane_though_it_has_lost_its_label() {
    let control_plane = Scope { control_plane: true, ..Scope::default() };
    let labelled = Site { control_plane: Vec::new(), ..site() };
    for (what, site, may_read, expected) in [
        ("nothing is listed, and cp4 has no label", labelled.clone(), true, &["cp4"][..]),
        ("the file lists three", site(), true, &["cp4"]),
        ("nobody may read where apiservers are", labelled, false, &[]),
    ] {
        let api = server();
        api.add(node("cp4").at("10.0.0.4")).add(apiservers_at(&["10.0.0.4", "10.0.0.99"]));
        if !may_read {
            api.forbid("list", "endpointslices");
        }
        let world = world(&api, site).await;
        assert_eq!(world.look(&control_plane).await.unwrap().unlisted, expected, "{what}");
        assert_eq!(world.first_facts(&control_plane).await.unwrap().unlisted, expected, "{what}");
        assert_eq!(world.facts(&machines(&["w1"])).await.unwrap().unlisted, [""; 0], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_and_a_node_of_two_names_are_one_if_exactly_one_fits() {
    let api = server();
    api.add(node("cp9.example.org").at("10.0.0.9"))
        .add(node("cp8.a.example").at("10.0.8.1"))
        .add(node("cp8.b.example"));
    let site = Site { control_plane: ["cp9", "cp8"].map(str::to_owned).to_vec(), ..site() };
    let world = world(&api, site).await;
    assert_eq!(world.node_name("cp9"), "cp9.example.org");
    assert_eq!(world.agents.host("cp9").unwrap(), "10.0.0.9");
    assert_eq!(world.machine_named("cp9.example.org"), Some("cp9"));
    assert_eq!((world.machine_named("cp9"), world.machine_named("w1")), (Some("cp9"), Some("w1")));
    assert_eq!(world.machine_named("cp7"), None);

    let facts = world.facts(&machines(&["cp8", "cp9"])).await.unwrap();
    assert_eq!(facts.machine("cp9").unwrap().node.as_ref().unwrap().name, "cp9.example.org");
    let rivals = facts.machine("cp8").unwrap();
    assert_eq!((rivals.node.is_none(), rivals.rival_nodes.len()), (true, 2));
    assert!(matches!(rivals.identity(), Identity::Unknown { .. }), "{:?}", rivals.identity());
}
