//! The moments of a machine: each write of its agent's store, and each call of systemd or login1.

use std::{
    path::Path,
    sync::{Arc, Weak},
};

use usher_agent::disk::DiskWitness;

use super::{blow::Moment, mutant::Mutant, world::World};
use crate::systemd::CallMoment;

/// Lets the world hear of all machines.
pub(super) fn watch(world: &Arc<World>) {
    for (machine, hands) in world.scene().machines() {
        let ears = Ears { machine, world: Arc::downgrade(world), mutant: world.mutant() };
        hands.disk.set_witness(Arc::new(ears));
        let heard = Arc::downgrade(world);
        hands.systemd.on_call(move |call, at| {
            let Some(world) = heard.upgrade() else { return };
            match at {
                CallMoment::Before => world.rules().is_called(world.scene(), machine, call),
                CallMoment::After => world.rules().has_taken(machine, call),
            }
            world.moment(&Moment { machine: Some(machine), what: call.to_owned(), at });
        });
    }
}

struct Ears {
    machine: &'static str,
    world: Weak<World>,
    mutant: Option<Mutant>,
}

impl Ears {
    fn tell(&self, path: &Path, at: CallMoment) {
        let Some(world) = self.world.upgrade() else { return };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The trail is written at each step of a call, and nothing is decided by it.
        if name.starts_with("audit") {
            return;
        }
        let what = format!("write {name}");
        world.moment(&Moment { machine: Some(self.machine), what, at });
    }
}

impl DiskWitness for Ears {
    fn before(&self, path: &Path, content: Option<&[u8]>) -> bool {
        let lies = self.mutant.is_some_and(|mutant| mutant.swallows(path, content));
        self.tell(path, CallMoment::Before);
        !lies
    }

    fn after(&self, path: &Path) {
        self.tell(path, CallMoment::After);
    }
}
