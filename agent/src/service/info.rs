//! `NodeInfo`: reads.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use usher_common::clock;
use usher_proto::v1::{self, node_info_server::NodeInfo};

use super::{Service, convert};
use crate::{
    host,
    machine::systemd::Unit,
    operations::{blockers, record::Operation},
};

/// The length of a list if the caller sets no limit; the contract promises it.
const DEFAULT_LIMIT: usize = 50;

/// The longest list. Each operation may carry twenty lines of a journal, and clients accept messages of up to 4 MiB.
const LONGEST_LIST: usize = 150;

/// How many states of an operation to queue for a slow client. It always gets the latest.
const STATES_AHEAD: usize = 1;

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
                let _ = sender.send(Err(Status::unavailable("the agent is stopping; attach again"))).await;
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

        let (seen, reboots) =
            tokio::join!(machine.looks.look(config.units.keys()), self.operations.reboots_within_a_day());
        let programs = seen.units.values().filter_map(|unit| unit.program.clone()).collect();
        let packages = machine.packages.of(programs).await;
        let units = config.units.iter().map(|(name, policy)| {
            let unit = seen.units.get(name).cloned().unwrap_or_else(|| Unit { name: name.clone(), ..Unit::default() });
            if unit.load_state == "not-found" {
                warnings.push(format!("{name} is in the agent's configuration, but systemd knows no such unit"));
            }
            let probe_url = policy.probe.as_ref().map(|probe| probe.url.as_str().to_owned()).unwrap_or_default();
            let package = unit.program.as_ref().and_then(|program| packages.get(program)).cloned();
            let replaced = machine.program_replaced(&unit);
            convert::unit(unit, probe_url, package, replaced)
        });
        let units = units.collect();
        warnings.extend(seen.warnings.iter().cloned());
        let blockers = blockers(&seen.inhibitors, &seen.sessions, seen.shutdowns.scheduled.as_ref());
        let boot_id = machine.boot_id().unwrap_or_else(|error| {
            warnings.push(format!("the boot id cannot be read: {error}"));
            String::new()
        });
        let locks = machine.lock_files();
        warnings.extend(locks.warnings);
        let reboot_required = machine.reboot_required();

        v1::Node {
            name: config.node.clone(),
            hostname: host::name(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id,
            booted_at: seen.booted_at.map(convert::timestamp),
            kernel_running: machine.kernel_running(),
            kernel_installed: machine.kernel_installed().unwrap_or_default(),
            reboot_required: Some(v1::RebootRequired {
                required: reboot_required.required,
                packages: reboot_required.packages,
            }),
            units,
            inhibitors: seen.inhibitors.iter().cloned().map(convert::inhibitor).collect(),
            sessions: seen.sessions.iter().cloned().map(convert::session).collect(),
            blockers: blockers.into_iter().map(convert::blocker).collect(),
            lock_files: locks.present.iter().map(|path| path.display().to_string()).collect(),
            hold: machine.hold().map(convert::hold),
            reboot_budget: Some(v1::RebootBudget {
                used: u32::try_from(reboots).unwrap_or(u32::MAX),
                allowed: config.reboots_per_day,
            }),
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
