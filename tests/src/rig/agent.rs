//! One agent on real sockets and mutual TLS: its folder, its certificates, its machine, and callers for it.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    pki::{Ca, Identity, Names},
    systemd::FakeSystemd,
};
use clap::Parser as _;
use tempfile::TempDir;
use tonic::{
    Code, Status, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TonicIdentity},
};
use tonic_types::StatusExt as _;
use usher_agent::{
    agent::{Agent, Edges},
    arguments::Arguments,
    config::Config,
    local::{self, Told},
    machine::{Places, bus::Address},
};
use usher_proto::v1::{
    self, Operation, OperationState, Order, node_control_client::NodeControlClient, node_info_client::NodeInfoClient,
};

pub const UNIT: &str = "kube-scheduler.service";
pub const OTHER: &str = "kube-apiserver.service";
/// Configured, but unknown to systemd.
pub const MISSING: &str = "kube-controller-manager.service";

pub struct Rig {
    pub folder: TempDir,
    pub ca: Ca,
    pub systemd: FakeSystemd,
    pub invocation: String,
    agent: Option<Agent>,
    more: String,
}

/// A caller's two clients on one connection.
#[derive(Clone)]
pub struct Caller {
    pub info: NodeInfoClient<Channel>,
    pub control: NodeControlClient<Channel>,
    pub channel: Channel,
}

impl Rig {
    /// An agent with three units without probes.
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// The same with more configuration, after the units' tables.
    pub async fn with(more: &str) -> Self {
        let mut rig = Self::without_agent(more);
        rig.start().await;
        rig
    }

    pub fn without_agent(more: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        let ca = Ca::new("rig").unwrap();
        ca.write(&path.join("ca.pem")).unwrap();
        ca.server(&["node-1"]).unwrap().write(path, "agent").unwrap();
        fs::write(path.join("boot_id"), "boot-1\n").unwrap();
        let journalctl = path.join("journalctl");
        fs::write(&journalctl, "#!/bin/sh\necho \"12:00:01 first line of $2\"\necho '12:00:02 it hurts'\n").unwrap();
        fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
        let systemd = FakeSystemd::new().with_unit(OTHER);
        let invocation = systemd.add_unit(UNIT);
        let rig = Self { folder, ca, systemd, invocation, agent: None, more: more.to_owned() };
        rig.write_config("viewer = ['O=sre']\noperator = ['CN=alice', 'URI:spiffe://usher/op']");
        rig
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write_config(&self, allow: &str) {
        let text = format!(
            "listen = '127.0.0.1:0'\nnode = 'node-1'\nstate_directory = 'state'\nhold_file = 'hold'\nboot_id_file = 'boot_id'\n\
             socket = 'agent.sock'\nlock_files = ['puppet.lock']\n[tls]\ncertificate = 'agent.pem'\nkey = 'agent-key.pem'\nclient_ca = 'ca.pem'\n\
             [allow]\n{allow}\n[units.'{MISSING}']\n{}",
            if self.more.contains(UNIT) { self.more.clone() } else { format!("[units.'{UNIT}']\n{}", self.more) }
        );
        fs::write(self.path().join("agent.toml"), text).unwrap();
    }

    pub async fn start(&mut self) {
        self.start_with(|_| {}).await;
    }

    pub async fn start_on(&mut self, bus: Address) {
        self.start_with(|edges| edges.bus = bus).await;
    }

    /// With other edges than those of the rig: the fake systemd, TCP, the folder on the machine's disk.
    pub async fn start_with(&mut self, change: impl FnOnce(&mut Edges)) {
        let (file, config) = self.config();
        let bus = Address::Open(self.systemd.connect().await.unwrap());
        let mut edges = Edges { bus, places: self.places(), ..Edges::of(&config) };
        change(&mut edges);
        self.agent = Some(Agent::start_on(file, config, edges).await.unwrap());
    }

    fn config(&self) -> (PathBuf, Config) {
        let file = self.path().join("agent.toml");
        let config = Config::load(&file).unwrap();
        (file, config)
    }

    fn places(&self) -> Places {
        Places {
            journalctl: self.path().join("journalctl"),
            reboot_required: self.path().join("reboot-required"),
            boot: self.path().join("boot"),
            dpkg: self.path().join("dpkg"),
        }
    }

    /// Adds a line before all tables of agent.toml, for the next agent.
    pub fn configure(&self, line: &str) {
        let file = self.path().join("agent.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{line}\n{text}")).unwrap();
    }

    /// What `usher-agent` tells root on the node who types these words.
    pub async fn root(&self, words: &[&str]) -> Told {
        let socket = self.path().join("agent.sock");
        let words = ["usher-agent"].iter().chain(words).map(ToString::to_string);
        let words = words.chain(["--socket".to_owned(), socket.display().to_string()]);
        local::run(Arguments::try_parse_from(words).unwrap().command.unwrap()).await
    }

    /// Ends the agent on the spot.
    pub fn kill(&mut self) {
        self.agent = None;
    }

    /// Ends the agent as SIGTERM does.
    pub async fn stop(&mut self) {
        self.agent.take().unwrap().stop().await;
    }

    pub fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    pub fn agent_mut(&mut self) -> &mut Agent {
        self.agent.as_mut().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.agent().address().unwrap()
    }

    pub fn boot(&self, id: &str) {
        fs::write(self.path().join("boot_id"), id).unwrap();
        self.systemd.boot();
    }

    pub async fn operator(&self) -> Caller {
        self.caller(&Names { common_name: "alice", ..Names::default() }).await
    }

    pub async fn viewer(&self) -> Caller {
        self.caller(&Names { common_name: "bob", organisations: &["sre"], ..Names::default() }).await
    }

    pub async fn caller(&self, names: &Names<'_>) -> Caller {
        self.connect(&self.ca.client(names).unwrap()).await.unwrap()
    }

    pub async fn connect(&self, identity: &Identity) -> Result<Caller, tonic::transport::Error> {
        Ok(Caller::over(self.endpoint(identity).connect().await?))
    }

    pub fn endpoint(&self, identity: &Identity) -> Endpoint {
        self.endpoint_to(&format!("https://{}", self.address()), identity)
    }

    pub fn endpoint_to(&self, url: &str, identity: &Identity) -> Endpoint {
        let tls = ClientTlsConfig::new()
            .domain_name("node-1")
            .ca_certificate(Certificate::from_pem(fs::read(self.path().join("ca.pem")).unwrap()))
            .identity(TonicIdentity::from_pem(&identity.certificate, &identity.key));
        Endpoint::from_shared(url.to_owned()).unwrap().tls_config(tls).unwrap()
    }
}

impl Caller {
    pub fn over(channel: Channel) -> Self {
        Self { info: NodeInfoClient::new(channel.clone()), control: NodeControlClient::new(channel.clone()), channel }
    }

    pub async fn node(&mut self) -> v1::Node {
        self.info.get_node(v1::GetNodeRequest {}).await.unwrap().into_inner().node.unwrap()
    }

    pub async fn restart(&mut self, order: Order, unit: &str, expected: &str) -> Result<Operation, Status> {
        let (unit, expected_invocation_id) = (unit.to_owned(), expected.to_owned());
        let request = v1::RestartUnitRequest { order: Some(order), unit, expected_invocation_id };
        Ok(self.control.restart_unit(request).await?.into_inner().operation.unwrap())
    }

    pub async fn stop(&mut self, order: Order, unit: &str, expected: &str) -> Result<Operation, Status> {
        let (unit, expected_invocation_id) = (unit.to_owned(), expected.to_owned());
        let start_again_after = None;
        let request = v1::StopUnitRequest { order: Some(order), unit, expected_invocation_id, start_again_after };
        Ok(self.control.stop_unit(request).await?.into_inner().operation.unwrap())
    }

    /// Stops a unit that the agent is to start again this many seconds later.
    pub async fn stop_for(
        &mut self,
        seconds: i64,
        order: Order,
        unit: &str,
        expected: &str,
    ) -> Result<Operation, Status> {
        let (unit, expected_invocation_id) = (unit.to_owned(), expected.to_owned());
        let start_again_after = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = v1::StopUnitRequest { order: Some(order), unit, expected_invocation_id, start_again_after };
        Ok(self.control.stop_unit(request).await?.into_inner().operation.unwrap())
    }

    pub async fn cancel(&mut self, order: Order, id: &str) -> Result<Operation, Status> {
        let request = v1::CancelOperationRequest { order: Some(order), operation_id: id.to_owned() };
        Ok(self.control.cancel_operation(request).await?.into_inner().operation.unwrap())
    }

    /// Raises the epoch, and tells the highest that is on disk then.
    pub async fn fence(&mut self, epoch: u64) -> Result<u64, Status> {
        let request = v1::FenceRequest { epoch, requester: "alice@cumin1001".to_owned() };
        Ok(self.control.fence(request).await?.into_inner().highest_epoch)
    }

    pub async fn start(&mut self, order: Order, unit: &str) -> Result<Operation, Status> {
        let request = v1::StartUnitRequest { order: Some(order), unit: unit.to_owned() };
        Ok(self.control.start_unit(request).await?.into_inner().operation.unwrap())
    }

    pub async fn reboot(&mut self, order: Order, boot_id: &str, overrides: &[&str]) -> Result<Operation, Status> {
        let override_blockers = overrides.iter().map(|name| (*name).to_owned()).collect();
        let request =
            v1::RebootNodeRequest { order: Some(order), expected_boot_id: boot_id.to_owned(), override_blockers };
        Ok(self.control.reboot_node(request).await?.into_inner().operation.unwrap())
    }

    pub async fn operation(&mut self, id: &str) -> Result<Operation, Status> {
        let request = v1::GetOperationRequest { operation_id: id.to_owned() };
        Ok(self.info.get_operation(request).await?.into_inner().operation.unwrap())
    }

    /// Begins to follow an operation. The call is under way once this returns.
    pub async fn watch(&mut self, id: &str) -> Streaming<v1::WatchOperationResponse> {
        let request = v1::WatchOperationRequest { operation_id: id.to_owned() };
        self.info.watch_operation(request).await.unwrap().into_inner()
    }

    /// Follows an operation to its end.
    pub async fn end_of(&mut self, id: &str) -> Operation {
        last_of(self.watch(id).await).await
    }

    /// Follows an operation until it has a step of this name.
    pub async fn until_step(&mut self, id: &str, step: &str) -> Operation {
        let mut watch = self.watch(id).await;
        while let Some(message) = watch.message().await.unwrap() {
            let operation = message.operation.unwrap();
            if operation.steps.iter().any(|told| told.name == step) {
                return operation;
            }
        }
        panic!("{id} ended without the step {step}");
    }
}

/// An order with this id under epoch 1.
pub fn order(id: &str) -> Order {
    Order {
        operation_id: id.to_owned(),
        epoch: 1,
        reason: "new CA".to_owned(),
        task_id: "T1".to_owned(),
        requester: "alice@cumin1001".to_owned(),
        dry_run: false,
        node: "node-1".to_owned(),
    }
}

/// A refusal's code, reason, and what its metadata says under `key`.
pub fn refused(status: &Status, key: &str) -> (Code, String, String) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, usher_proto::reason::DOMAIN);
    (status.code(), info.reason.clone(), info.metadata.get(key).cloned().unwrap_or_default())
}

pub fn steps(operation: &Operation) -> Vec<&str> {
    operation.steps.iter().map(|step| step.name.as_str()).collect()
}

pub fn succeeded(operation: &Operation) -> bool {
    operation.state() == OperationState::Succeeded
}

/// The operation as a watch tells it last.
pub async fn last_of(mut watch: Streaming<v1::WatchOperationResponse>) -> Operation {
    let mut last = None;
    while let Some(message) = watch.message().await.unwrap() {
        last = message.operation;
    }
    last.expect("the operation is told at once")
}
