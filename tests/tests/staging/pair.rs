//! Two clusters that are alike, and what stands before them: files that scripts change.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use tempfile::TempDir;
use usher_coordinator::{
    agents::Dial,
    cluster::Cluster,
    interrupt::Interrupt,
    problem::Problem,
    site::Site,
    switch::{Event, Switch, SwitchReport, Voice, preflight},
    world::World,
};
use usher_core::staging::{Direction, End, Finding, Look, Preflight, Staging, Step};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{deployment, node},
};

pub(crate) struct Pair {
    pub(crate) source: ApiServer,
    pub(crate) target: ApiServer,
    pub(crate) staging: Staging,
    folder: TempDir,
    /// What the operator was told.
    pub(crate) told: Rc<RefCell<Vec<String>>>,
}

impl Pair {
    /// a is the active one: DNS, Hiera and the proxy point to it.
    pub(crate) fn create() -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in [("dns", "a\n"), ("hiera", "a\n"), ("pool", "a\n"), ("log", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let clusters = ["a", "b"].map(str::to_owned);
        let staging = Staging { clusters, preflight: without_agents(), steps: steps(folder.path()) };
        Self { source: cluster(), target: cluster(), staging, folder, told: Rc::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the commands changed, in order.
    pub(crate) fn log(&self) -> Vec<String> {
        fs::read_to_string(self.file("log")).unwrap().lines().map(str::to_owned).collect()
    }

    pub(crate) fn forget_log(&self) {
        fs::write(self.file("log"), "").unwrap();
    }

    /// Where DNS and Hiera point, and who is in the proxy's pool.
    pub(crate) fn points_to(&self) -> [String; 3] {
        ["dns", "hiera", "pool"].map(|name| {
            let text = fs::read_to_string(self.file(name)).unwrap();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        })
    }

    /// Points something elsewhere, as somebody does by hand.
    pub(crate) fn set(&self, name: &str, text: &str) {
        fs::write(self.file(name), format!("{text}\n")).unwrap();
    }

    pub(crate) fn hiera(&self) -> PathBuf {
        self.file("hiera")
    }

    pub(crate) fn step(&mut self, name: &str) -> &mut Step {
        self.staging.steps.iter_mut().find(|step| step.name == name).unwrap()
    }

    pub(crate) fn to_b() -> Direction {
        let end =
            |name: &str, data_centre: &str| End { name: name.to_owned(), data_centre: Some(data_centre.to_owned()) };
        Direction { from: end("a", "eqiad"), to: end("b", "codfw"), reason: "it's $HOME".to_owned() }
    }

    /// Looks at both before a switch from a to b.
    pub(crate) async fn preflight(&self, policy: &Preflight) -> Vec<Finding> {
        let target = Cluster::over(self.target.client(), "b", "memory b");
        let world = World::open_over(Site::default(), target, Dial::tcp()).await.unwrap();
        let source = Cluster::over(self.source.client(), "a", "memory a");
        preflight(&world, Ok(&source), &Self::to_b(), policy).await.unwrap()
    }

    /// Runs the steps under the locks of both.
    pub(crate) async fn run(
        &self,
        direction: &Direction,
        interrupt: &Interrupt,
        yes: bool,
    ) -> Result<SwitchReport, Problem> {
        let (source, target) = (
            Cluster::over(self.source.client(), "a", "memory a"),
            Cluster::over(self.target.client(), "b", "memory b"),
        );
        let (target, source) = if direction.to.name == "b" { (target, source) } else { (source, target) };
        let (told, asked) = (Rc::clone(&self.told), Rc::clone(&self.told));
        let tell = move |event: &Event| told.borrow_mut().extend(event.to_string().lines().map(str::to_owned));
        let confirm = move |step: String| -> futures::future::LocalBoxFuture<'static, Result<(), Problem>> {
            asked.borrow_mut().push(format!("asked: {step}"));
            Box::pin(async move { if yes { Ok(()) } else { Err(Problem::refused("nothing was typed")) } })
        };
        let voice = Voice { tell: &tell, confirm: &confirm };
        let switch = Switch {
            staging: &self.staging,
            direction,
            target: &target,
            source: Some(&source),
            operation: "4f7k2",
            requester: "ann@bastion",
            task_id: None,
            interrupt,
            voice: &voice,
        };
        switch.carry_out(Vec::new()).await
    }

    /// The same to b, with nobody who interrupts.
    pub(crate) async fn switch(&self) -> SwitchReport {
        let (_signals, interrupt) = Interrupt::by_hand();
        self.run(&Self::to_b(), &interrupt, true).await.unwrap()
    }
}

/// These clusters have no agents.
pub(crate) fn without_agents() -> Preflight {
    Preflight { ignore: vec![Look::Agents], ..Preflight::default() }
}

/// Two nodes, and a Deployment that is rolled out.
fn cluster() -> ApiServer {
    let api = ApiServer::bare();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/front").replicas(2));
    rolled_out(&api, "web/front", 2);
    api
}

/// What its controller would say of it.
pub(crate) fn rolled_out(api: &ApiServer, name: &str, available: u32) {
    let status = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": available});
    api.edit::<Deployment>(name, json!({"status": status}));
}

fn argv(script: String) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

/// DNS, Hiera, and a proxy's pool, into which the new one comes before the old one leaves it.
fn steps(folder: &Path) -> Vec<Step> {
    let log = folder.join("log").display().to_string();
    let step = |name: &str, check: String, apply: String, undo: String| Step {
        name: name.to_owned(),
        says: format!("{name} for {{to}}"),
        check: argv(check),
        apply: argv(format!("{apply} && echo '{name}: apply {{to}}' >> {log}")),
        verify: None,
        undo: Some(argv(format!("{undo} && echo '{name}: undo {{from}}' >> {log}"))),
        confirm: false,
        timeout: Duration::from_secs(20),
        verify_timeout: Duration::from_secs(2),
        settle: Duration::ZERO,
    };
    let points = |name: &str| {
        let file = folder.join(name).display().to_string();
        step(
            name,
            format!("grep -qx {{to}} {file}"),
            format!("echo {{to}} > {file}"),
            format!("echo {{from}} > {file}"),
        )
    };
    let pool = folder.join("pool").display().to_string();
    let has = |name: &str| format!("grep -qx {name} {pool}");
    let add = |name: &str| format!("echo {name} >> {pool}");
    let remove = |name: &str| format!("sed -i /^{name}$/d {pool}");
    vec![
        points("hiera"),
        step("pool", has("{to}"), add("{to}"), remove("{to}")),
        points("dns"),
        step("depool", format!("! {}", has("{from}")), remove("{from}"), add("{from}")),
    ]
}
