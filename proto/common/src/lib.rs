//! What both programs do alike, each rule once. No network, no Kubernetes, no systemd.

mod chain;
pub mod clock;
pub mod unit;

pub use self::chain::chain;
