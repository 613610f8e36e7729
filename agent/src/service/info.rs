//! `NodeInfo`: reads.

use std::{pin::Pin, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use usher_common::clock;
use usher_proto::v1::{self, node_info_server::NodeInfo};

use super::{Service, convert, facts::Facts};
use crate::{
    host,
    machine::systemd::Unit,
    operations::{blockers, record::Operation, stopping},
};

/// The length of a list if the caller sets no limit; the contract promises it.
const DEFAULT_LIMIT: usize = 50;

/// The longest list. Each operation may carry twenty lines of a journal, and clients accept messages of up to 4 MiB.
const LONGEST_LIST: usize = 150;

/// How many states of an operation to queue for a slow client. It always gets the latest.
const STATES_AHEAD: usize = 1;

/// How long the node's files may take. They are read within milliseconds unless the disk hangs; callers wait for 10 s.
const FILES_WITHIN: Duration = Duration::from_secs(3);

#[tonic::async_trait]
impl NodeInfo for Service {
    async fn get_node(&self, _: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        Ok(Response::new(v1::GetNodeResponse { node: Some(self.node().await) }))
    }

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        let operation = self.operations.follow(&request.get_ref().operation_id).await?.borrow().clone();
        Ok(Response::new(v1::GetOperationResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let limit = usize::try_from(request.get_ref().limit).unwrap_or(usize::MAX);
        let newest = self.operations.newest(if limit == 0 { DEFAULT_LIMIT } else { limit.min(LONGEST_LIST) }).await;
        let operations = newest.into_iter().map(convert::operation).collect();
        Ok(Response::new(v1::ListOperationsResponse { operations }))
    }

    type WatchOperationStream = Pin<Box<dyn Stream<Item = Result<v1::WatchOperationResponse, Status>> + Send>>;

    async fn watch_operation(
        &self,
        request: Request<v1::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        let followed = self.operations.follow(&request.get_ref().operation_id).await?;
        let (sender, receiver) = mpsc::channel(STATES_AHEAD);
        let operations = self.operations.clone();
        tokio::spawn(async move {
            let complete = tokio::select! {
                biased;
                () = sender.closed() => return,
                // Before the stop: if the operation ends at the same moment, the client learns it.
                complete = send_states(followed, &sender) => complete,
                () = operations.stopped() => false,
            };
            if !complete {
                // The client may be gone as well.
                let _ = sender.send(Err(stopping().into())).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Sends the operation now and after each change. Returns true once it has ended or the client is gone, false if the
/// operation's task was dropped first.
async fn send_states(
    mut followed: watch::Receiver<Operation>,
    sender: &mpsc::Sender<Result<v1::WatchOperationResponse, Status>>,
) -> bool {
    loop {
        let operation = followed.borrow_and_update().clone();
        let ended = !operation.is_running();
        let message = v1::WatchOperationResponse { operation: Some(convert::operation(operation)) };
        if sender.send(Ok(message)).await.is_err() || ended {
            return true;
        }
        if followed.changed().await.is_err() {
            return false;
        }
    }
}

impl Service {
    /// The whole status. What cannot be read becomes a warning.
    async fn node(&self) -> v1::Node {
        let (machine, config) = (&self.machine, self.machine.config());
        let mut warnings = self.live.warnings();
        warnings.extend(self.operations.warnings());

        let seen = machine.looks.look(config.units.keys()).await;
        let programs = seen.units.values().filter_map(|unit| unit.program.clone()).collect();
        let unread = |name: &String| Unit { name: name.clone(), ..Unit::default() };
        let units: Vec<_> =
            config.units.keys().map(|name| seen.units.get(name).cloned().unwrap_or_else(|| unread(name))).collect();
        let (packages, facts) =
            tokio::join!(machine.packages.of(programs), timeout(FILES_WITHIN, Facts::read(machine, &units)));
        let facts = facts.ok().flatten().unwrap_or_else(|| Facts::of_a_silent_disk(machine, &units));
        let units = config.units.iter().zip(units).zip(&facts.replaced).map(|(((name, policy), unit), replaced)| {
            if unit.load_state == "not-found" {
                warnings.push(format!("{name} is in the agent's configuration, but systemd knows no such unit"));
            }
            let probe_url = policy.probe.as_ref().map(|probe| probe.url.as_str().to_owned()).unwrap_or_default();
            let package = unit.program.as_ref().and_then(|program| packages.get(program)).cloned();
            convert::unit(unit, probe_url, package, *replaced)
        });
        let units = units.collect();
        warnings.extend(seen.warnings.iter().cloned());
        let blockers = blockers(&seen.inhibitors, &seen.sessions, seen.shutdowns.scheduled.as_ref());
        warnings.extend(facts.warnings);
        let reboots = match self.operations.reboots_within_a_day() {
            Ok(used) => u32::try_from(used).unwrap_or(u32::MAX),
            Err(_) => config.reboots_per_day,
        };

        v1::Node {
            name: config.node.clone(),
            hostname: host::name(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: facts.boot_id,
            booted_at: seen.booted_at.map(convert::timestamp),
            kernel_running: facts.kernel_running,
            kernel_installed: facts.kernel_installed,
            reboot_required: Some(facts.reboot_required),
            units,
            inhibitors: seen.inhibitors.iter().cloned().map(convert::inhibitor).collect(),
            sessions: seen.sessions.iter().cloned().map(convert::session).collect(),
            blockers: blockers.into_iter().map(convert::blocker).collect(),
            lock_files: facts.lock_files,
            hold: facts.hold.map(convert::hold),
            reboot_budget: Some(v1::RebootBudget { used: reboots, allowed: config.reboots_per_day }),
            highest_epoch: self.operations.epoch(),
            certificate_not_after: self.live.certificate_not_after().map(convert::timestamp),
            current_operation: self.operations.running().map(convert::operation),
            now: Some(convert::timestamp(clock::now())),
            warnings,
            scheduled_shutdown: seen.shutdowns.scheduled.clone().map(convert::scheduled_shutdown),
            reboot_refused: seen.reboot_refused.clone().unwrap_or_default(),
        }
    }
}
