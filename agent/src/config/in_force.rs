//! The configuration in force, which follows the file while the agent runs.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Config;

/// The configuration in force. A running operation goes on by the one that it started with.
#[derive(Debug)]
pub(crate) struct InForce {
    now: ArcSwap<Config>,
}

impl InForce {
    pub(crate) fn new(config: Config) -> Self {
        Self { now: ArcSwap::from_pointee(config) }
    }

    /// The configuration as it is now. Load it once for what belongs together: the next load may give another.
    pub(crate) fn load(&self) -> Arc<Config> {
        self.now.load_full()
    }

    /// Puts a new configuration into force and returns the keys that have changed but need a restart of the agent, which is
    /// built from them. They stay as they were at its start.
    pub(crate) fn replace(&self, new: Config) -> Vec<&'static str> {
        let before = self.load();
        let in_force = Config {
            listen: before.listen,
            node: before.node.clone(),
            state_directory: before.state_directory.clone(),
            socket: before.socket.clone(),
            boot_id_file: before.boot_id_file.clone(),
            reflection: before.reflection,
            bus: before.bus.clone(),
            tls: before.tls.clone(),
            metrics: before.metrics,
            // The door has its own.
            allow: before.allow.clone(),
            deny: before.deny.clone(),
            ..new.clone()
        };
        let fixed = [
            ("listen", new.listen == in_force.listen),
            ("node", new.node == in_force.node),
            ("state_directory", new.state_directory == in_force.state_directory),
            ("socket", new.socket == in_force.socket),
            ("boot_id_file", new.boot_id_file == in_force.boot_id_file),
            ("reflection", new.reflection == in_force.reflection),
            ("bus", new.bus == in_force.bus),
            ("tls", new.tls == in_force.tls),
            ("metrics", new.metrics == in_force.metrics),
        ];
        if in_force != *before {
            self.now.store(Arc::new(in_force));
        }
        fixed.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}
