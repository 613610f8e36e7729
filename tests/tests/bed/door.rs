//! Scenario 6, second half: certificates are renewed while calls come in, and none of them fails.

use std::time::Duration;

use usher_testkit::bed::{Bed, Generation, Output, machine, until};

use crate::turn::on_the_bed;

/// Renewals, one and back again; each is picked up within seconds.
const RENEWALS: usize = 6;

#[test]
fn certificates_are_renewed_under_load_and_no_call_fails() {
    on_the_bed(async |bed| {
        let mut calls = 0;
        let failure = tokio::select! {
            renewed = renew(bed) => renewed,
            failed = call_for_ever(bed, &mut calls) => Err(failed),
        };
        failure?;
        assert!(calls > RENEWALS, "only {calls} calls");
        Ok(())
    });
}

/// Calls the agent, over a new connection each time, until a call fails.
async fn call_for_ever(bed: &Bed, calls: &mut usize) -> anyhow::Error {
    loop {
        match bed.usher(&["agent", "units", "cp1"]).await.and_then(Output::success) {
            Ok(_) => *calls += 1,
            Err(error) => return error,
        }
    }
}

async fn renew(bed: &Bed) -> anyhow::Result<()> {
    let cp1 = machine("cp1")?;
    for renewal in 0..RENEWALS {
        let generation = if renewal % 2 == 0 { Generation::Second } else { Generation::First };
        bed.renew_certificate(cp1, generation).await?;
        await_generation(bed, generation).await?;
    }
    Ok(())
}

/// Waits until the agent shows the new certificate to new connections.
async fn await_generation(bed: &Bed, generation: Generation) -> anyhow::Result<()> {
    let cp1 = machine("cp1")?;
    until("the renewed certificate", Duration::from_secs(30), async || {
        Ok((bed.shown_generation(cp1).await? == Some(generation)).then_some(()))
    })
    .await
}
