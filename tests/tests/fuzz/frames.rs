//! Frames of HTTP/2, as a client that is broken or means harm sends them.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use usher_proto::v1::ListOperationsRequest;
use usher_testkit::rig::agent::{Caller, Rig, UNIT, order};

use super::{PANICS, assert_no_panic, count_panics, mutate, plain};

/// Each takes about a millisecond.
const COUNT: usize = 1000;

/// Longer than the agent bears a connection that says nothing sensible.
const ENDS_WITHIN: Duration = Duration::from_secs(1200);

#[tokio::test(start_paused = true)]
async fn a_connection_of_broken_frames_ends_and_other_callers_are_answered() {
    count_panics();
    let mut rig = Rig::new().await;
    rig.kill();
    let door = plain::start(&mut rig).await;
    let mut samples = mutate::corpus("frames");
    for call in 0..3 {
        samples.push(sample(&door, call).await);
    }
    for (number, input) in mutate::inputs(samples, COUNT).enumerate() {
        let before = PANICS.load(Ordering::Relaxed);
        let mut stream = door.open();
        // The agent may have hung up.
        let _ = timeout(ENDS_WITHIN, stream.write_all(&input)).await;
        let _ = stream.shutdown().await;
        let ended = timeout(ENDS_WITHIN, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "the agent neither answers nor hangs up: {}", mutate::shown(&input));
        if number % 20 == 0 {
            let node = Caller::over(door.connect().await.0).node().await;
            assert_eq!(node.name, "node-1", "after {}", mutate::shown(&input));
        }
        assert_no_panic(before, &input);
    }
}

/// What a client writes for a call.
async fn sample(door: &plain::Plain, call: u8) -> Vec<u8> {
    let (channel, written) = door.connect().await;
    let mut caller = Caller::over(channel);
    match call {
        0 => drop(caller.node().await),
        1 => drop(caller.info.list_operations(ListOperationsRequest { limit: 3 }).await.unwrap()),
        _ => drop(caller.restart(order("fuzz"), UNIT, "0123456789abcdef0123456789abcdef").await),
    }
    written.bytes()
}
