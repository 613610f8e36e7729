//! Scenario 8: `usher agent` needs no Kubernetes.

use usher_testkit::bed::CONTROL_PLANES;

use crate::{
    observe::{boot_id, invocation},
    turn::on_the_bed,
};

#[test]
fn agents_are_asked_and_told_while_all_apiservers_are_stopped() {
    on_the_bed(async |bed| {
        for machine in CONTROL_PLANES {
            bed.shell(machine.name, "systemctl stop kube-apiserver.service").await?;
        }
        let refused = bed.usher(&["restart", "kube-scheduler", "--reason", "bed test", "--yes"]).await?;
        assert_ne!(refused.code, Some(0), "the API is down: {refused}");

        bed.usher(&["agent", "status", "cp1"]).await?.success()?;
        let units = bed.usher(&["agent", "units", "cp1"]).await?.success()?;
        assert!(units.says("kube-apiserver.service"), "{units}");

        let before = invocation(bed, "cp1", "kube-apiserver.service").await?;
        let words = ["agent", "restart", "cp1", "kube-apiserver", "--reason", "bed test", "--yes"];
        bed.usher(&words).await?.success()?;
        assert_ne!(before, invocation(bed, "cp1", "kube-apiserver.service").await?);
        bed.api_ready(&CONTROL_PLANES[0]).await?;

        let before = boot_id(bed, "cp2").await?;
        bed.usher(&["agent", "reboot", "cp2", "--reason", "bed test", "--yes"]).await?.success()?;
        assert_ne!(before, boot_id(bed, "cp2").await?);
        Ok(())
    });
}
