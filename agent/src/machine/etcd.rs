//! The node's member of etcd, asked over etcd's own gRPC API.
//!
//! Status and the list of members are the member's own word, so that one that has lost its quorum still tells. Alarms are asked of the
//! cluster: no answer is a sign that it has no quorum.

use std::{io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use usher_proto::etcd::{
    AlarmMember, AlarmRequest, AlarmType, Member, MemberListRequest, MoveLeaderRequest, StatusRequest, StatusResponse,
    cluster_client::ClusterClient, maintenance_client::MaintenanceClient,
};

use super::{
    client::{Client, Files, Login},
    trust::TrustError,
};
use crate::config::Etcd;

/// The largest answer that is read. A cluster of a hundred members has some 30 KiB.
const ANSWER_LIMIT: usize = 256 * 1024;

/// How long a hand-over may take. etcd itself takes half an election timeout, callers of the agent wait for 10 s.
const MOVE_WITHIN: Duration = Duration::from_secs(7);

/// How long the member is given to say its first words (HTTP/2 settings, sent at once).
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// Why the member could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    /// A file of `[etcd]` cannot be read or used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server name to verify is not a valid name.
    #[error("{name:?} cannot be a certificate's name")]
    Name { name: String, source: InvalidDnsNameError },
    /// Nothing listens, or one side does not trust the other.
    #[error("{url}")]
    Connect { url: String, source: io::Error },
    /// It does not speak HTTP/2.
    #[error("{url} does not speak gRPC")]
    Http { url: String, source: tonic::transport::Error },
    /// It answered with an error.
    #[error("{url}: {}", status.message())]
    Refused { url: String, status: Status },
    /// It did not answer in time.
    #[error("{url} gives no answer within {within:?}")]
    Slow { url: String, within: Duration },
}

/// What the member says.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) status: StatusResponse,
    pub(crate) members: Vec<Member>,
    /// Those of all members, or why they are unknown.
    pub(crate) alarms: Result<Vec<AlarmMember>, String>,
}

impl Word {
    /// Whether this member takes itself for the leader.
    pub(crate) fn leads(&self) -> bool {
        self.member_id != 0 && self.status.leader == self.member_id
    }
}

/// Asks the member how it is, within the time that the configuration gives it.
pub(crate) async fn ask(etcd: &Etcd, client: &Client) -> Result<Word, EtcdError> {
    let login = login(etcd, client).await?;
    within(etcd, etcd.timeout, async {
        let channel = connect(etcd, client, login).await?;
        let mut cluster = ClusterClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT);
        let mut maintenance = MaintenanceClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT);
        let (status, members) = tokio::join!(
            maintenance.status(StatusRequest {}),
            cluster.member_list(MemberListRequest { linearizable: false })
        );
        let status = status.map_err(|status| refused(etcd, status))?.into_inner();
        let members = match members {
            Ok(answer) => answer.into_inner().members,
            // A learner answers to little more than the question for its status.
            Err(_) if status.is_learner => Vec::new(),
            Err(status) => return Err(refused(etcd, status)),
        };
        let header = status.header.unwrap_or_default();
        // Half of the time at most, so that what the member has said reaches the caller also where the cluster says nothing.
        let alarms = match timeout(etcd.timeout / 2, maintenance.alarm(AlarmRequest::default())).await {
            Ok(Ok(answer)) => Ok(answer.into_inner().alarms),
            Ok(Err(status)) => Err(format!("the cluster does not tell its alarms: {}", status.message())),
            Err(_) => Err("the cluster does not tell its alarms: no answer, as if it had no quorum".to_owned()),
        };
        Ok(Word { cluster_id: header.cluster_id, member_id: header.member_id, status, members, alarms })
    })
    .await
}

/// Lets another member lead, and returns once it does. Only the leader can be asked.
pub(crate) async fn move_leader(etcd: &Etcd, client: &Client, to: u64) -> Result<(), EtcdError> {
    let login = login(etcd, client).await?;
    within(etcd, MOVE_WITHIN, async {
        let mut maintenance = MaintenanceClient::new(connect(etcd, client, login).await?);
        let mut request = Request::new(MoveLeaderRequest { target_id: to });
        // etcd waits for the new leader as long as its caller does.
        request.set_timeout(MOVE_WITHIN);
        maintenance.move_leader(request).await.map(drop).map_err(|status| refused(etcd, status))
    })
    .await
}

/// etcd's word for a kind of alarm.
pub(crate) fn kind_of_alarm(alarm: &AlarmMember) -> String {
    match AlarmType::try_from(alarm.alarm) {
        Ok(kind) => kind.as_str_name().to_owned(),
        Err(_) => alarm.alarm.to_string(),
    }
}

async fn within<T>(
    etcd: &Etcd,
    limit: Duration,
    answer: impl Future<Output = Result<T, EtcdError>>,
) -> Result<T, EtcdError> {
    let slow = |_| Err(EtcdError::Slow { url: etcd.url.as_str().to_owned(), within: limit });
    timeout(limit, answer).await.unwrap_or_else(slow)
}

fn refused(etcd: &Etcd, status: Status) -> EtcdError {
    EtcdError::Refused { url: etcd.url.as_str().to_owned(), status }
}

/// The files take half of the member's time at most: callers wait for one answer twice as long as the member may take.
async fn login(etcd: &Etcd, client: &Client) -> Result<Login, EtcdError> {
    Ok(client.login(Files::of_etcd(etcd), etcd.timeout / 2).await?)
}

/// A connection for one question: the previous one may belong to a process that has ended, or to a certificate that was renewed.
async fn connect(etcd: &Etcd, client: &Client, login: Login) -> Result<Channel, EtcdError> {
    let url = || etcd.url.as_str().to_owned();
    let name = etcd.server_name.as_ref().unwrap_or(&etcd.url.host);
    let name = ServerName::try_from(name.clone()).map_err(|source| EtcdError::Name { name: name.clone(), source })?;
    let mut tls = login.tls;
    // Go's gRPC servers hang up on a client that does not say by ALPN that it speaks HTTP/2.
    Arc::make_mut(&mut tls).alpn_protocols = vec![b"h2".to_vec()];
    let failed = |source| EtcdError::Connect { url: url(), source };
    let stream = client.open(etcd.url.authority()).await.map_err(failed)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(failed)?;
    // With TLS 1.3 a server looks at its client's certificate when the client's handshake is over. Its first words are awaited (and
    // left in the buffer), so that a refusal is told as such and not as a call that broke off.
    let mut stream = BufReader::new(stream);
    match timeout(FIRST_WORDS, stream.fill_buf()).await {
        Ok(Ok([])) => return Err(failed(io::Error::new(io::ErrorKind::ConnectionReset, "it hung up at once"))),
        Ok(Err(error)) => return Err(failed(error)),
        Ok(Ok(_)) | Err(_) => {}
    }

    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let lost = || io::Error::new(io::ErrorKind::NotConnected, "the connection was lost");
        std::future::ready(stream.take().ok_or_else(lost))
    });
    let authority = etcd.url.authority();
    // etcd takes the caller's certificate for a user of its own only from requests that call themselves https.
    let origin = format!("https://{authority}").parse::<http::Uri>();
    let origin = origin.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let failed = |source| EtcdError::Http { url: url(), source };
    Endpoint::from_shared(format!("http://{authority}"))
        .map_err(failed)?
        .origin(origin)
        .connect_with_connector(connector)
        .await
        .map_err(failed)
}
