//! Requests: the bytes of each method's message.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tonic_types::StatusExt as _;
use usher_proto::v1;
use usher_testkit::rig::agent::{Rig, UNIT, order};

use super::{PANICS, assert_no_panic, count_panics, mutate, plain};

/// For each method. Each takes a millisecond or two.
const COUNT: usize = 100;

/// Longer than the agent takes for any answer; the time is paused.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// A request as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

/// Requests that make sense. The fields of the messages overlap, so that one's sample is a good beginning for another.
fn samples(invocation: &str) -> Vec<Vec<u8>> {
    let (unit, expected_invocation_id) = (UNIT.to_owned(), invocation.to_owned());
    let restart = v1::RestartUnitRequest { order: Some(order("r")), unit: unit.clone(), expected_invocation_id };
    let start = v1::StartUnitRequest { order: Some(order("s")), unit };
    let reboot = v1::RebootNodeRequest {
        order: Some(order("b")),
        expected_boot_id: "boot-1".to_owned(),
        override_blockers: vec!["apt".to_owned()],
    };
    let named = v1::GetOperationRequest { operation_id: "r".to_owned() };
    vec![restart.encode_to_vec(), start.encode_to_vec(), reboot.encode_to_vec(), named.encode_to_vec()]
}

/// The paths of all methods of the contract.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(usher_proto::FILE_DESCRIPTOR_SET).unwrap();
    let files = set.file.iter();
    let services = files.flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    let methods = services.flat_map(|(package, service)| {
        service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
    });
    methods.collect()
}

async fn call(channel: &Channel, path: &str, body: Vec<u8>) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path: PathAndQuery = path.parse().unwrap();
    let mut answers = client.server_streaming(Request::new(body), path, Raw).await?.into_inner();
    answers.message().await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn every_request_is_answered_and_refusals_say_why() {
    count_panics();
    let mut rig = Rig::new().await;
    rig.kill();
    let door = plain::start(&mut rig).await;
    let (channel, _) = door.connect().await;
    let samples = [samples(&rig.invocation), mutate::corpus("requests")].concat();
    for method in methods() {
        for input in mutate::inputs(samples.clone(), COUNT) {
            let before = PANICS.load(Ordering::Relaxed);
            let answer = timeout(ANSWERED_WITHIN, call(&channel, &method, input.clone())).await;
            let shown = format!("{method} {}", mutate::shown(&input));
            let Ok(answer) = answer else { panic!("no answer: {shown}") };
            if let Err(status) = answer {
                assert_ne!(status.code(), Code::Unknown, "{status:?}: {shown}");
                let is_explained = status.get_details_error_info().is_some();
                assert!(is_explained || status.message().contains("decode"), "no reason in {status:?}: {shown}");
            }
            assert_no_panic(before, &input);
        }
    }
}
