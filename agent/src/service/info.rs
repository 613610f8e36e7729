//! `NodeInfo`: reads.

use std::{pin::Pin, sync::Arc, time::Duration};

use prost::Message as _;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use usher_common::clock;
use usher_proto::{
    reason,
    v1::{self, node_info_server::NodeInfo},
};

use super::{Service, convert, facts::Facts};
use crate::{
    door::KeptUntilTaken,
    host,
    machine::systemd::Unit,
    operations::{blockers, record::Operation, stopping},
    refusal::Refusal,
};

/// The length of a list if the caller sets no limit; the contract promises it.
const DEFAULT_LIMIT: usize = 50;

/// The longest list.
const LONGEST_LIST: usize = 150;

/// The largest list, as it is sent. Clients accept messages of up to 4 MiB, and the agent's memory holds two lists.
const LARGEST_LIST: usize = 1024 * 1024;

/// The length of a list of audit records if the caller sets no limit; the contract promises it.
const DEFAULT_RECORDS: usize = 100;

/// How long a caller waits for others to take their lists.
const LISTING_PATIENCE: Duration = Duration::from_secs(5);

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
        let permit = self.listing().await?;
        let limit = usize::try_from(request.get_ref().limit).unwrap_or(usize::MAX);
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit.min(LONGEST_LIST) };
        let (newest, truncated) = self.operations.newest(limit).await;
        let mut list = bounded(newest.into_iter().map(convert::operation));
        list.truncated |= truncated;
        Ok(kept(list, permit))
    }

    async fn list_audit_records(
        &self,
        request: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        let permit = self.listing().await?;
        let v1::ListAuditRecordsRequest { before, limit } = *request.get_ref();
        let limit = if limit == 0 { DEFAULT_RECORDS } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let records = self.audit.newest_before(before, limit).await.map_err(|error| {
            Refusal::new(
                reason::STATE_UNAVAILABLE,
                format!("the audit trail in the state directory cannot be read: {error}"),
            )
        })?;
        // The first record of all is number 1.
        let next_before = records.last().map(|oldest| oldest.seq).filter(|oldest| *oldest > 1).unwrap_or_default();
        let records = records.into_iter().map(convert::audit_record).collect();
        Ok(kept(v1::ListAuditRecordsResponse { records, next_before }, permit))
    }

    async fn get_etcd_member(
        &self,
        _: Request<v1::GetEtcdMemberRequest>,
    ) -> Result<Response<v1::GetEtcdMemberResponse>, Status> {
        Ok(Response::new(v1::GetEtcdMemberResponse { member: Some(self.etcd_member().await?) }))
    }

    async fn probe_unit(
        &self,
        request: Request<v1::ProbeUnitRequest>,
    ) -> Result<Response<v1::ProbeUnitResponse>, Status> {
        Ok(Response::new(self.probe_now(&request.get_ref().unit).await?))
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

/// A list of operations that ends before it grows too large.
fn bounded(operations: impl IntoIterator<Item = v1::Operation>) -> v1::ListOperationsResponse {
    let (mut list, mut size) = (v1::ListOperationsResponse::default(), 0);
    for operation in operations {
        size += operation.encoded_len();
        // The newest is always told: a list without it would say that there was none.
        if size > LARGEST_LIST && !list.operations.is_empty() {
            list.truncated = true;
            break;
        }
        list.operations.push(operation);
    }
    list
}

/// An answer that keeps its permit until the caller has taken it.
fn kept<T>(answer: T, permit: KeptUntilTaken) -> Response<T> {
    let mut response = Response::new(answer);
    response.extensions_mut().insert(permit);
    response
}

impl Service {
    /// Waits until a list may be made.
    async fn listing(&self) -> Result<KeptUntilTaken, Refusal> {
        match timeout(LISTING_PATIENCE, Arc::clone(&self.listings).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit.into()),
            _ => Err(Refusal::new(
                reason::TOO_MANY_LISTINGS,
                "other callers read lists from this agent and have not taken them; ask again in a moment",
            )),
        }
    }

    /// The whole status. What cannot be read becomes a warning.
    async fn node(&self) -> v1::Node {
        let (machine, config) = (&self.machine, self.machine.config());
        let mut warnings = self.live.warnings();
        warnings.extend(self.operations.warnings());
        warnings.extend(self.audit.warning());
        warnings.extend(self.replaced.warning());

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
        let holds = self.operations.holds();
        let wanted = self.operations.wanted_restarts().into_iter();

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
            hold: convert::any_hold(facts.hold, &holds, &self.operations.holds_file()),
            reboot_budget: Some(v1::RebootBudget { used: reboots, allowed: config.reboots_per_day }),
            highest_epoch: self.operations.epoch(),
            certificate_not_after: self.live.certificate_not_after().map(convert::timestamp),
            current_operation: self.operations.running().map(convert::operation),
            now: Some(convert::timestamp(clock::now())),
            warnings,
            scheduled_shutdown: seen.shutdowns.scheduled.clone().map(convert::scheduled_shutdown),
            reboot_refused: seen.reboot_refused.clone().unwrap_or_default(),
            wanted_restarts: wanted.map(|(unit, wanted)| convert::wanted(unit, wanted)).collect(),
            unannounced: self.operations.unannounced().into_iter().map(convert::unannounced).collect(),
            holds: holds.into_iter().map(convert::owned_hold).collect(),
            replaced_binary: self.replaced.now().map(|replaced| convert::replaced_binary(&replaced)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(bytes: usize) -> v1::Operation {
        v1::Operation { id: "x".repeat(bytes), ..v1::Operation::default() }
    }

    #[test]
    fn a_list_ends_before_a_mebibyte_says_so_and_has_the_newest_in_any_case() {
        let list = bounded((0..150).map(|_| operation(20_000)));
        assert!(list.truncated && list.encoded_len() <= LARGEST_LIST, "{}", list.encoded_len());
        assert_eq!(list.operations.len(), 52);
        let list = bounded((0..50).map(|_| operation(20_000)));
        assert_eq!((list.operations.len(), list.truncated), (50, false));
        let list = bounded([operation(2 << 20), operation(1)]);
        assert_eq!((list.operations.len(), list.truncated), (1, true));
    }
}
