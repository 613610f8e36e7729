//! kubectl's filters, in kubectl's order and words: which pods go, which stay, which forbid the drain, and what is warned of.
//!
//! kubectl lets each filter's warning overwrite the one before; so most warnings are lost, and are lost here too.

use std::slice;

use futures::{StreamExt as _, stream};
use kube::Client;
use usher_coordinator::drain::{
    Confirm, DrainError, DrainPreview, Drained, Drainer, MovedPod, PodRef, RefusedPod, StayingPod,
};

use super::{
    AT_A_TIME,
    kubelet::Kubelet,
    options,
    place::{LIVE, POD, Place, Sketch, bare, of, replaced},
    report,
};

const GOES: &str = "goes";
const STAYS_AS_DAEMON: &str = "stays (DaemonSet), Warning: ignoring DaemonSet-managed Pods";
const STAYS_AS_MIRROR: &str = "stays (Mirror)";
const GOES_UNMANAGED: &str = "goes, Warning: deleting Pods that declare no controller";
const DAEMON: &str = "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
const NO_DAEMON_SET: &str = "cannot delete daemonsets.apps \"gone\" not found";
const STORAGE: &str = "cannot delete Pods with local storage (use --delete-emptydir-data to override)";
const UNMANAGED: &str = "cannot delete Pods that declare no controller (use --force to override)";

/// What it is, the pod, and what becomes of it under which flags.
type Row = (&'static str, Sketch, &'static [(&'static str, &'static str)]);

fn rows() -> Vec<Row> {
    let daemon = || of("apps/v1", "DaemonSet", LIVE);
    let orphan = || of("apps/v1", "DaemonSet", "gone");
    vec![
        ("of a ReplicaSet", replaced(), &[("", GOES), ("--force", GOES)]),
        ("of a controller of any kind, even if it is gone", of("example.com/v1", "Thing", "gone"), &[("", GOES)]),
        ("with an owner that is no controller", bare().owner("v1", "ConfigMap", "x", false), &[("", UNMANAGED)]),
        ("bare", bare(), &[("", UNMANAGED), ("--delete-emptydir-data", UNMANAGED), ("--force", GOES_UNMANAGED)]),
        ("bare and ended well", bare().phase("Succeeded"), &[("", GOES), ("--force", GOES)]),
        ("bare and ended badly", bare().phase("Failed"), &[("", GOES)]),
        ("bare and not started", bare().phase("Pending"), &[("", UNMANAGED)]),
        // A DaemonSet's.
        (
            "of a DaemonSet",
            daemon(),
            &[
                ("", STAYS_AS_DAEMON),
                ("--force", STAYS_AS_DAEMON),
                ("--ignore-daemonsets=false", DAEMON),
                ("--ignore-daemonsets=false --force --delete-emptydir-data", DAEMON),
            ],
        ),
        ("of a DaemonSet, ended", daemon().phase("Succeeded"), &[("", GOES), ("--ignore-daemonsets=false", GOES)]),
        (
            "of a DaemonSet, with emptyDir",
            daemon().with_empty_dir(),
            &[("", STAYS_AS_DAEMON), ("--ignore-daemonsets=false", DAEMON)],
        ),
        ("of a DaemonSet, and a mirror", daemon().mirror(), &[("", STAYS_AS_DAEMON)]),
        (
            "of a DaemonSet of an old version",
            of("extensions/v1beta1", "DaemonSet", LIVE),
            &[("", GOES), ("--ignore-daemonsets=false", GOES)],
        ),
        (
            "of a DaemonSet that is gone",
            orphan(),
            &[
                ("", NO_DAEMON_SET),
                ("--ignore-daemonsets=false", NO_DAEMON_SET),
                // The warning about it is lost.
                ("--force", GOES),
                ("--force --ignore-daemonsets=false", GOES),
            ],
        ),
        ("of a DaemonSet that is gone, ended", orphan().phase("Failed"), &[("", GOES)]),
        (
            "of a DaemonSet that is gone, with emptyDir",
            orphan().with_empty_dir(),
            &[
                ("--delete-emptydir-data", NO_DAEMON_SET),
                ("--force", STORAGE),
                ("--force --delete-emptydir-data", GOES),
            ],
        ),
        // Static pods.
        ("a mirror", bare().mirror(), &[("", STAYS_AS_MIRROR), ("--force", STAYS_AS_MIRROR)]),
        ("a mirror with emptyDir", bare().mirror().with_empty_dir(), &[("", STAYS_AS_MIRROR)]),
        ("a mirror that has ended", bare().mirror().phase("Failed"), &[("", STAYS_AS_MIRROR)]),
        // Local storage.
        (
            "with emptyDir",
            replaced().with_empty_dir(),
            &[
                ("", STORAGE),
                ("--force", STORAGE),
                // The warning about it is lost.
                ("--delete-emptydir-data", GOES),
            ],
        ),
        ("with emptyDir, ended", replaced().with_empty_dir().phase("Succeeded"), &[("", GOES)]),
        ("with a path of the node", replaced().with_host_path(), &[("", GOES)]),
        (
            "bare, with emptyDir",
            bare().with_empty_dir(),
            &[
                ("", STORAGE),
                ("--force", STORAGE),
                ("--delete-emptydir-data", UNMANAGED),
                ("--force --delete-emptydir-data", GOES_UNMANAGED),
            ],
        ),
        // What is not asked for is not there: it can forbid nothing.
        (
            "bare, among others",
            bare().labelled("tier", "back"),
            &[("--pod-selector=tier=back", UNMANAGED), ("--pod-selector=tier=front", "is not looked at")],
        ),
    ]
}

/// Runs every row, and then all that forbid a drain together.
pub async fn hold(client: &Client) {
    let _kubelet = Kubelet::start(client.clone());
    let rows = rows().into_iter().flat_map(|(what, pod, runs)| runs.iter().map(move |run| (what, pod.clone(), *run)));
    let rows = rows.enumerate().map(async |(number, (what, pod, (flags, expected)))| {
        let place = Place::new(client, format!("filter-{number}")).await;
        let uid = place.pod(POD, &pod).await;
        let options = options(flags);
        let drainer = Drainer::new(client.clone());
        let previews = drainer.previews(slice::from_ref(&place.name), &options, Confirm::Nothing).await;
        let foreseen = foreseen(&previews.expect("a preview")[0]);
        let became = became(drainer.drain(&place.name, &options, &mut |_| {}).await);
        let left = place.find(&uid).await;
        let touched = left.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
        let right = foreseen == expected && became == expected && touched == expected.starts_with(GOES);
        (!right).then(|| {
            let fate = if touched { "touched" } else { "untouched" };
            format!("{what}: {flags}\n  wanted   {expected}\n  foreseen {foreseen}\n  became   {became}, {fate}")
        })
    });
    report(stream::iter(rows).buffer_unordered(AT_A_TIME).collect().await);
    all_or_none(client).await;
}

/// If one pod forbids it none is touched, and every reason is a line of its own.
async fn all_or_none(client: &Client) {
    let place = Place::new(client, "filter-all".to_owned()).await;
    let gone = || of("apps/v1", "DaemonSet", "gone");
    let daemon = of("apps/v1", "DaemonSet", LIVE);
    for (name, sketch) in [
        ("fine", replaced()),
        ("shell", bare()),
        ("cache", replaced().with_empty_dir()),
        ("tool", bare()),
        ("orphan", gone()),
        ("proxy", daemon),
    ] {
        place.pod(name, &sketch).await;
    }
    let error =
        Drainer::new(client.clone()).drain(&place.name, &options(""), &mut |_| {}).await.expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "4 pods on filter-all forbid a drain\n\
         cannot delete Pods that declare no controller (use --force to override): filter-all/shell, filter-all/tool\n\
         cannot delete Pods with local storage (use --delete-emptydir-data to override): filter-all/cache\n\
         cannot delete daemonsets.apps \"gone\" not found: filter-all/orphan"
    );
    assert!(error.nothing_was_evicted());
    let pods = place.api::<k8s_openapi::api::core::v1::Pod>().list(&kube::api::ListParams::default()).await;
    let pods = pods.expect("a list").items;
    assert_eq!(pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count(), 6);
}

fn foreseen(preview: &DrainPreview) -> String {
    told(preview.evict.iter(), &preview.stay, &preview.refused, &preview.warnings)
}

fn became(ended: Result<Drained, DrainError>) -> String {
    match ended {
        Ok(drained) => {
            told(drained.moved.iter().map(|MovedPod { pod, .. }| pod), &drained.stayed, &[], &drained.warnings)
        }
        Err(DrainError::Refused { pods, .. }) => told([].iter(), &[], &pods, &[]),
        Err(error) => error.to_string(),
    }
}

/// What is said of the only pod there is.
fn told<'p>(
    mut gone: impl Iterator<Item = &'p PodRef>,
    stayed: &[StayingPod],
    refused: &[RefusedPod],
    warnings: &[String],
) -> String {
    let mut text = match (gone.next(), stayed, refused) {
        (Some(_), [], []) => GOES.to_owned(),
        (None, [staying], []) => format!("stays ({:?})", staying.reason),
        (None, [], [refused]) => format!("cannot delete {}", refused.message),
        (None, [], []) => "is not looked at".to_owned(),
        _ => "is one, and another".to_owned(),
    };
    for warning in warnings {
        let (words, _pods) = warning.rsplit_once(": ").unwrap_or((warning, ""));
        text += &format!(", Warning: {words}");
    }
    text
}
