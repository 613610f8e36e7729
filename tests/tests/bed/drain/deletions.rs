//! What is deleted while usher drains: the namespace of the pods, the Node itself.

use super::tenant::{Tenant, needs};
use crate::turn::on_the_bed;

#[test]
fn the_pods_of_a_namespace_that_is_deleted_meanwhile_are_waited_for() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            // One is on its way out, the others are still kept by their budget.
            let lives = tenant.run(&[tenant.slow("web", 3, 6), needs("web", 2)], 3).await?;
            let (run, deleted) = tokio::join!(tenant.drain(&[]), async {
                lives.await_told(1).await?;
                bed.kubectl(&["delete", "namespace", &tenant.name, "--wait=false"]).await?.success()
            });
            deleted?;
            let run = run?;
            run.assert_exit(0);
            run.assert_says("3 pods gone");
            assert_eq!(lives.gone(3).await?.len(), 3);
            Ok(())
        })
        .await
    });
}

#[test]
fn a_node_that_is_deleted_meanwhile_is_drained_when_its_pods_have_gone() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let lives = tenant.run(&[tenant.slow("web", 2, 6)], 2).await?;
            let (run, deleted) = tokio::join!(tenant.drain(&[]), async {
                lives.await_told(2).await?;
                bed.kubectl(&["delete", "node", "w1", "--wait=false"]).await?.success()
            });
            deleted?;
            let run = run?;
            run.assert_exit(0);
            run.assert_says("2 pods gone");
            run.assert_says("the Node was deleted meanwhile");
            assert_eq!(lives.gone(2).await?.len(), 2);
            Ok(())
        })
        .await
    });
}
