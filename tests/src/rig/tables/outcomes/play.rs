//! One row, from the first pod to what came of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::time::sleep;
use usher_coordinator::drain::{Confirm, DrainError, Drained, Drainer, Verdict};

use super::{
    super::{
        SHORT,
        kubelet::Kubelet,
        options,
        place::{POD, Place},
    },
    GOES,
    interposed::interposed,
    row::{Event, Row},
};

/// Runs a row, and tells in what it differs.
pub(super) async fn run(client: &Client, kubelet: &Kubelet, number: usize, row: Row) -> Option<String> {
    let place = Place::new(client, format!("outcome-{number}")).await;
    let uid = place.pod(POD, &row.pod).await;
    for (name, spec, status) in &row.budgets {
        place.budget(name, spec, status).await;
    }
    before(&place, row.event).await;

    let mut options = options(row.flags);
    let nodes = [place.name.clone()];
    let before = place.find(&uid).await;
    let previews =
        Drainer::new(client.clone()).previews(&nodes, &options, Confirm::Everything).await.expect("a preview");
    let foreseen = foreseen(&previews[0].pods[0].verdict).replace(&place.name, "HERE");
    assert_eq!(place.find(&uid).await, before, "{}: a preview has changed the pod", row.what);

    if row.expected.1.starts_with("waits") {
        options.timeout = SHORT;
    }
    let interposed = interposed(&place, &row);
    let drainer = Drainer::new(interposed);
    let drain = async { drainer.drain(&place.name, &options, &mut |_| {}).await };
    let (ended, ()) = tokio::join!(drain, meanwhile(&place, row.event));
    let became = became(&place, ended);

    let given = row.grace.map(|_| kubelet.grace(&uid).unwrap_or_default());
    let mut differences = Vec::new();
    if (foreseen.as_str(), became.as_str()) != row.expected || given != row.grace {
        differences.push(format!("foreseen {foreseen}\n  became   {became}\n  given    {given:?}"));
    }
    let gone = place.find(&uid).await.is_none();
    if gone != row.expected.1.starts_with(GOES) {
        differences.push(format!("gone     {gone}"));
    }
    if row.event == Event::ReplacedElsewhere {
        let successor = place.api::<Pod>().get_opt(POD).await.expect("an answer");
        if successor.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some()) {
            differences.push("its successor was hit".to_owned());
        }
    }
    let (foreseen, became) = row.expected;
    (!differences.is_empty()).then(|| {
        let differences = differences.join("\n  ");
        format!("{} {}\n  wanted   {foreseen}\n  wanted   {became}\n  {differences}", row.what, row.flags)
    })
}

async fn before(place: &Place, event: Event) {
    match event {
        Event::DeletedBefore => place.delete(20).await,
        Event::LongDeleted => {
            place.delete(1).await;
            // kubectl compares with the clock on the wall: a second of grace, and more than one after it.
            let over = usher_common::clock::now() + Duration::from_millis(3_500);
            while usher_common::clock::now() < over {
                sleep(Duration::from_millis(100)).await;
            }
        }
        Event::NamespaceDeleted | Event::NamespaceEmptied => place.delete_namespace().await,
        Event::BothDeleted => {
            place.delete(20).await;
            place.delete_namespace().await;
        }
        Event::Nothing
        | Event::Vanishes
        | Event::ReplacedElsewhere
        | Event::ReplacedHere
        | Event::Denied
        | Event::DeniedAndMoved => {}
    }
}

async fn meanwhile(place: &Place, event: Event) {
    if event == Event::NamespaceEmptied {
        sleep(Duration::from_millis(1_500)).await;
        place.delete(0).await;
    }
}

fn foreseen(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Now => "now".to_owned(),
        Verdict::Wait { budget, needs, has } => format!("waits for {budget}: needs {needs}, has {has}"),
        Verdict::Never { because, .. } => format!("never: {because}"),
        Verdict::Finish => "ends by itself".to_owned(),
        Verdict::Replace { deployment } => format!("replaced first by {deployment}"),
        Verdict::Stay { reason } => format!("stays ({reason:?})"),
    }
}

fn became(place: &Place, ended: Result<Drained, DrainError>) -> String {
    let pod = format!("{}/{POD}", place.name);
    match ended {
        Ok(drained) => match (&drained.moved[..], &drained.stayed[..]) {
            ([_], []) => GOES.to_owned(),
            ([_, _], []) => "goes, and its successor".to_owned(),
            ([], [staying]) => format!("stays ({:?})", staying.reason),
            _ => format!("{drained:?}"),
        },
        Err(error) => {
            let lines = error.remains().lines(usher_common::clock::now());
            let line = lines.first().map_or_else(|| error.to_string(), Clone::clone);
            let words = line.strip_prefix(&format!("{pod}: ")).unwrap_or(&line);
            let words = words.split(" (refused for").next().unwrap_or_default();
            match error {
                DrainError::TimedOut { .. } => format!("waits: {words}"),
                DrainError::Failed { .. } => format!("fails: {words}"),
                _ => words.to_owned(),
            }
        }
    }
}
