//! What both programs do alike, each rule once. No Kubernetes, no systemd.

mod chain;
pub mod clock;
pub mod config_file;
pub mod host;
pub mod stream;
pub mod tls;
pub mod trace;
pub mod unit;

pub use self::chain::chain;
