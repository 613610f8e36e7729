//! The test kit of usher.

pub mod apiserver;
pub mod bed;
pub mod docs;
pub mod etcd;
pub mod hexadecimal;
pub mod pki;
pub mod rig;
pub mod sandbox;
pub mod sim;
pub mod stub_agents;
pub mod systemd;
