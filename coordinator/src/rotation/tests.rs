#![allow(clippy::disallowed_methods)] // real sockets, as a balancer has

use std::sync::Mutex;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// Less than any pause between rounds, and more than between the connections of one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(40);

fn certificate() -> TlsAcceptor {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Something that ends TLS with this certificate.
async fn machine(acceptor: TlsAcceptor) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    url
}

/// Sends connections to each machine of the pool in turn, TLS passing through.
async fn balancer(pool: Arc<Mutex<Vec<String>>>) -> String {
    shared_balancer(pool, 0, 0).await
}

/// The same beside other clients, who make so many connections whenever ours pauses. `turn` is whose turn it is at first.
async fn shared_balancer(pool: Arc<Mutex<Vec<String>>>, turn: usize, by_others: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut turn, mut last) = (turn, Instant::now());
        while let Ok((mut near, _)) = listener.accept().await {
            turn += if last.elapsed() > SHORTEST_PAUSE { by_others + 1 } else { 1 };
            last = Instant::now();
            let chosen = {
                let pool = pool.lock().unwrap();
                pool.get(turn % pool.len().max(1)).cloned()
            };
            let Some(url) = chosen else { continue };
            tokio::spawn(async move {
                let mut far = TcpStream::connect(url.trim_start_matches("https://")).await.unwrap();
                copy_bidirectional(&mut near, &mut far).await.map(drop)
            });
        }
    });
    url
}

fn pool(machines: &[&String]) -> Arc<Mutex<Vec<String>>> {
    Arc::new(Mutex::new(machines.iter().map(|url| (*url).clone()).collect()))
}

#[tokio::test]
async fn a_machine_in_the_pool_is_met_and_one_out_of_it_is_not() {
    let (cp1, cp2) = (machine(certificate()).await, machine(certificate()).await);
    let pool = pool(&[&cp2]);
    let balancer = balancer(Arc::clone(&pool)).await;
    let others = [cp2.clone()];
    let found = await_in_rotation(&Dial::tcp(), &balancer, &cp1, &others, SHORT).await.unwrap();
    let Rotation::NotSeen { connections: 1.., failure: None } = found else { panic!("{found:?}") };

    pool.lock().unwrap().push(cp1.clone());
    let found = await_in_rotation(&Dial::tcp(), &balancer, &cp1, &others, LONG).await.unwrap();
    let Rotation::Seen { connections: 1..=2, .. } = found else { panic!("{found:?}") };
}

#[tokio::test]
async fn a_client_that_connects_in_step_with_the_pauses_hides_no_machine() {
    let (cp1, cp2, cp3) = (machine(certificate()).await, machine(certificate()).await, machine(certificate()).await);
    for turn in 0..3 {
        let balancer = shared_balancer(pool(&[&cp1, &cp2, &cp3]), turn, 2).await;
        let others = [cp2.clone(), cp3.clone()];
        let found = await_in_rotation(&Dial::tcp(), &balancer, &cp1, &others, LONG).await.unwrap();
        let Rotation::Seen { .. } = found else { panic!("{turn}: {found:?}") };
    }
}

#[tokio::test]
async fn it_is_waited_for_until_it_is_back() {
    let (cp1, cp2) = (machine(certificate()).await, machine(certificate()).await);
    let pool = pool(&[&cp2]);
    let balancer = balancer(Arc::clone(&pool)).await;
    let waiting = tokio::spawn({
        let (cp1, cp2) = (cp1.clone(), cp2.clone());
        async move { await_in_rotation(&Dial::tcp(), &balancer, &cp1, &[cp2], LONG).await }
    });
    sleep(SHORT).await;
    assert!(!waiting.is_finished());
    pool.lock().unwrap().push(cp1);
    let Rotation::Seen { .. } = waiting.await.unwrap().unwrap() else { panic!() };
}

#[tokio::test]
async fn a_shared_certificate_proves_nothing() {
    let shared = certificate();
    let (cp1, cp2) = (machine(shared.clone()).await, machine(shared).await);
    let balancer = balancer(pool(&[&cp2])).await;
    let found = await_in_rotation(&Dial::tcp(), &balancer, &cp1, std::slice::from_ref(&cp2), SHORT).await.unwrap();
    assert_eq!(found, Rotation::SharedCertificate { other: cp2 });
}

#[tokio::test]
async fn a_balancer_that_ends_tls_shows_no_machine() {
    let (cp1, cp2, balancer) =
        (machine(certificate()).await, machine(certificate()).await, machine(certificate()).await);
    assert_eq!(await_in_rotation(&Dial::tcp(), &balancer, &cp1, &[cp2], SHORT).await.unwrap(), Rotation::EndsTls);
}

#[tokio::test]
async fn what_does_not_answer_is_said() {
    let cp1 = machine(certificate()).await;
    let gone = "https://127.0.0.1:1".to_owned();
    let found = await_in_rotation(&Dial::tcp(), &gone, &cp1, &[], SHORT).await.unwrap();
    let Rotation::NotSeen { connections: 0, failure: Some(failure) } = found else { panic!("{found:?}") };
    assert!(failure.contains("refused"), "{failure}");

    let error = await_in_rotation(&Dial::tcp(), &cp1, &gone, &[], SHORT).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot see the certificate at https://127.0.0.1:1");
    let error = await_in_rotation(&Dial::tcp(), "k8s.example", "/", &[], SHORT).await.unwrap_err();
    assert_eq!(error.to_string(), "\"/\" is no URL of an apiserver");
}

#[tokio::test]
async fn a_balancer_that_keeps_a_client_on_one_machine_is_told_from_a_machine_that_is_out() {
    let (cp1, cp2, cp3) = (machine(certificate()).await, machine(certificate()).await, machine(certificate()).await);
    let balancer = balancer(pool(&[&cp2])).await;
    let found = await_in_rotation(&Dial::tcp(), &balancer, &cp1, &[cp2.clone(), cp3], SHORT).await.unwrap();
    let Rotation::Sticky { other, connections: 1.. } = found else { panic!("{found:?}") };
    assert_eq!(other, cp2);
}
