//! What is written to a workload, and what the server makes of it.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Places, workload::Workload};
use crate::cluster::{
    Cluster, ClusterError,
    names::{FIELD_MANAGER, RESTARTED_AT},
};

/// What `kubectl rollout history` shows as the cause of a revision.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// How often a write is tried again because the workload's status has changed meanwhile, as it does during a rollout.
const TRIES: usize = 10;

/// One workload, and what is to be written to it.
#[derive(Debug, Clone)]
pub struct Change {
    pub workload: Workload,
    what: What,
    /// The template's restart annotation once it is written.
    pub(super) restarted_at: Option<String>,
}

/// Strategic merge patches.
#[derive(Debug, Clone, PartialEq)]
enum What {
    /// Nothing: only follows the rollout that is under way.
    Nothing,
    /// Adds an annotation, whatever else has changed meanwhile.
    Restart(Value),
    /// Puts a whole template in place of the present one, unless somebody has changed the workload meanwhile.
    Template(Value),
}

impl Change {
    /// Restarts it as kubectl does. `at` identifies the operation: it is the same for all its workloads.
    pub fn restart(workload: Workload, at: &str, reason: Option<&str>) -> Self {
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}}});
        let what = What::Restart(with_metadata(patch, &workload, reason));
        Self { workload, what, restarted_at: Some(at.to_owned()) }
    }

    /// Changes nothing and only follows the rollout.
    pub fn follow(workload: Workload) -> Self {
        Self { restarted_at: workload.restarted_at.clone(), workload, what: What::Nothing }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.what == What::Nothing
    }

    pub(super) fn template(workload: Workload, mut template: Value, reason: Option<&str>) -> Self {
        let restarted_at = template["metadata"]["annotations"][RESTARTED_AT].as_str().map(str::to_owned);
        // Without it the server would merge the two.
        template["$patch"] = "replace".into();
        let patch = json!({"spec": {"template": template}});
        let what = What::Template(with_metadata(patch, &workload, reason));
        Self { workload, what, restarted_at }
    }

    /// Writes it, and returns the workload as it is then. With `dry_run` the server only tries.
    ///
    /// # Errors
    ///
    /// What the server answers; that it changed nothing, or that somebody else did; if no server answers.
    pub async fn apply(&self, cluster: &Cluster, places: &Places, dry_run: bool) -> Result<Workload, ClusterError> {
        let id = &self.workload.id;
        let verb = if matches!(self.what, What::Template(_)) { "take back" } else { "restart" };
        let write = Write { cluster, places, change: self, dry_run, doing: format!("{verb} {id}") };
        match &self.what {
            What::Nothing => Ok(self.workload.clone()),
            What::Restart(patch) => {
                let workload = write.patch(patch).await?;
                match workload.generation == self.workload.generation {
                    true => Err(write.failed("it was restarted within this very second, so nothing would change")),
                    false => Ok(workload),
                }
            }
            What::Template(patch) => write.unless_changed(patch.clone()).await,
        }
    }
}

struct Write<'a> {
    cluster: &'a Cluster,
    places: &'a Places,
    change: &'a Change,
    dry_run: bool,
    doing: String,
}

impl Write<'_> {
    /// Safe to repeat: it writes the same again.
    async fn patch(&self, patch: &Value) -> Result<Workload, ClusterError> {
        let id = &self.change.workload.id;
        let api = self.places.api_in(self.cluster.client(), id.kind, &id.namespace);
        let params = PatchParams { dry_run: self.dry_run, ..PatchParams::apply(FIELD_MANAGER) };
        let patch = Patch::Strategic(patch);
        let patched = self.cluster.patiently(&self.doing, || api.patch(&id.name, &params, &patch)).await?;
        Workload::of(id.kind, patched).ok_or_else(|| self.failed("the answer is of another kind"))
    }

    /// The version in the patch stands for everything that was looked at. It moves with each change of the status, too, so the
    /// generation decides whether to look again.
    async fn unless_changed(&self, mut patch: Value) -> Result<Workload, ClusterError> {
        let Change { workload, restarted_at, .. } = self.change;
        let id = &workload.id;
        let api = self.places.api_in(self.cluster.client(), id.kind, &id.namespace);
        for _ in 0..TRIES {
            let read = self.cluster.patiently(&self.doing, || api.get(&id.name)).await?;
            let now = Workload::of(id.kind, read).ok_or_else(|| self.failed("the answer is of another kind"))?;
            if now.generation != workload.generation {
                // The answer to an earlier try may have been lost.
                let is_ours = now.restarted_at == *restarted_at && now.generation == workload.generation + 1;
                return if is_ours {
                    Ok(now)
                } else {
                    Err(self.failed("somebody has changed it since it was looked at"))
                };
            }
            patch["metadata"]["resourceVersion"] = now.version.into();
            match self.patch(&patch).await {
                Err(error) if error.is_conflict() => {}
                patched => return patched,
            }
        }
        Err(self.failed("it changes too often"))
    }

    fn failed(&self, problem: &str) -> ClusterError {
        ClusterError::Malformed { doing: self.doing.clone(), problem: problem.to_owned() }
    }
}

/// The uid makes the server refuse a patch of another workload that has the name by now.
fn with_metadata(mut patch: Value, workload: &Workload, reason: Option<&str>) -> Value {
    patch["metadata"] = json!({"uid": workload.uid});
    if let Some(reason) = reason {
        patch["metadata"]["annotations"] = json!({CHANGE_CAUSE: reason});
    }
    patch
}
