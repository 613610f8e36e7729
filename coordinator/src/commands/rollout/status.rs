//! `usher rollout status`.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use serde::Serialize;

use super::{
    AT_A_SIGNAL, Found, WithoutWords, found,
    tell::{indented, tell},
};
use crate::{
    cli::{Global, RolloutStatus},
    commands::interrupt::listen,
    exit::Exit,
    output,
    problem::Problem,
    show,
    workloads::rollout::{
        Change, Entry, Kind, Outcome, Run, Settings, Standing, Stop, Workload, WorkloadId, reasons, standing,
    },
};

/// Workloads whose pods are looked at side by side.
const LOOKS: usize = 8;

/// An item of what `usher rollout status -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    namespace: String,
    kind: Kind,
    name: String,
    replicas: i32,
    updated: i32,
    available: i32,
    standing: Word,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    /// Why it is missing, a line each.
    why: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Word {
    Complete,
    Rolling,
    Failed,
    ByHand,
}

pub(super) async fn status(global: &Global, arguments: RolloutStatus) -> Result<Exit, Problem> {
    let found = found(global, &arguments.scope, WithoutWords::All).await?;
    let (mut seen, mut stop) = (BTreeMap::new(), None);
    if arguments.wait {
        let Outcome { entries, stop: stopped } = wait(global, &found, &arguments).await?;
        stop = stopped;
        seen.extend(entries.into_iter().map(|entry| (entry.workload.id.clone(), entry)));
    }
    let items = items(&found, seen).await;
    show::list(show::Kind::RolloutList, &items, global.output, || to_text(&items))?;
    Ok(exit(&items, stop))
}

/// Follows those that are not complete, all at once.
async fn wait(global: &Global, found: &Found, arguments: &RolloutStatus) -> Result<Outcome, Problem> {
    let rolling = found.workloads.iter().filter(|workload| matches!(standing(workload), Standing::Rolling(_)));
    let changes: Vec<_> = rolling.cloned().map(Change::follow).collect();
    let settings = Settings {
        concurrency: usize::MAX,
        max_failures: usize::MAX,
        timeout: arguments.timeout.filter(|timeout| !timeout.is_zero()),
        wait: true,
    };
    let interrupt = listen(AT_A_SIGNAL)?;
    let run = Run { cluster: &found.cluster, places: &found.places, settings, interrupt: &interrupt };
    Ok(run.to_end(changes, |event| tell(global.progress, event)).await)
}

async fn items(found: &Found, mut seen: BTreeMap<WorkloadId, Entry>) -> Vec<Item> {
    let latest: Vec<_> = found
        .workloads
        .iter()
        .map(|workload| match seen.remove(&workload.id) {
            Some(entry) => entry.workload,
            None => workload.clone(),
        })
        .collect();
    stream::iter(latest).map(|workload| item(found, workload)).buffered(LOOKS).collect().await
}

async fn item(found: &Found, workload: Workload) -> Item {
    let (standing, what) = match standing(&workload) {
        Standing::Complete => (Word::Complete, None),
        Standing::Rolling(what) => (Word::Rolling, Some(what)),
        Standing::Failed(what) => (Word::Failed, Some(what)),
        Standing::ByHand(what) => (Word::ByHand, Some(what)),
    };
    let why = match standing {
        Word::Rolling | Word::Failed => reasons(&found.cluster, &workload, standing == Word::Failed).await,
        Word::Complete | Word::ByHand => Vec::new(),
    };
    let WorkloadId { namespace, kind, name } = workload.id;
    let (updated, available) = (workload.status.updated, workload.status.available);
    Item { namespace, kind, name, replicas: workload.replicas, updated, available, standing, what, why }
}

fn exit(items: &[Item], stop: Option<Stop>) -> Exit {
    let any = |word| items.iter().any(|item| item.standing == word);
    match stop {
        Some(Stop::Interrupted) => Exit::Interrupted,
        _ if any(Word::Failed) => Exit::Failed,
        Some(Stop::TimedOut) => Exit::TimedOut,
        _ if any(Word::Rolling) || any(Word::ByHand) => Exit::Partly,
        _ => Exit::Done,
    }
}

fn to_text(items: &[Item]) -> String {
    let rows = items.iter().map(|item| {
        let standing = match item.standing {
            Word::Complete => "complete",
            Word::Rolling => "rolling",
            Word::Failed => "FAILED",
            Word::ByHand => "by hand",
        };
        let numbers = [item.replicas, item.updated, item.available].map(|number| number.to_string());
        let mut row = vec![item.namespace.clone(), format!("{}/{}", item.kind, item.name)];
        row.extend(numbers);
        row.extend([standing.to_owned(), item.what.clone().unwrap_or_default()]);
        row
    });
    let header = ["NAMESPACE", "WORKLOAD", "REPLICAS", "NEW", "AVAILABLE", "STANDING", "WHAT IS MISSING"];
    let table = output::table(&header, rows);
    let troubled = items.iter().filter(|item| !item.why.is_empty());
    troubled.fold(table, |text, Item { namespace, kind, name, why, .. }| {
        format!("{text}\n{}", indented(format!("{namespace} {kind}/{name}:"), why))
    })
}
