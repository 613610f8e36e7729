//! Deterministic simulation: whole commands of usher in one process, on one thread and in paused time, with everything going wrong that
//! can, and its promises checked at each step.
//!
//! ```text
//! History (seed, command, faults) ── plays on ── TestSite: API server, systemd, agents
//!    │                                              │ edges: API client, Dial, D-Bus, disk
//!    │                                           World: log, chance, moments, faults
//!    └── Played: log to the byte, violations  ◄──── Rules: what must hold
//! ```
//!
//! A process is dead when nothing of it has any effect any more. Four gates are all it has: the API client (`api`), the connections
//! to agents (`link`), the line to systemd, and the disk (`machine`). Equal histories give equal logs, to the byte.

mod after;
mod api;
mod blow;
mod by_hand;
mod check;
mod command;
mod crowd;
mod history;
mod link;
mod machine;
mod mutant;
mod process;
pub mod random;
mod scene;
pub mod sweep;
mod world;

pub use blow::{ApiFault, Blow, Fault, Moment, When};
pub use check::{Rule, Violation};
pub use command::Command;
pub use crowd::{Found, play};
pub use history::{History, Played};
pub use mutant::Mutant;
