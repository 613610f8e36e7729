//! Addresses on loopback: a network of its own for each sandbox, so that the usual ports can be used and two sandboxes
//! do not meet.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// Port of the agents.
pub(super) const AGENT_PORT: u16 = 7470;
/// Port of the apiservers and of the balancer.
pub(super) const API_PORT: u16 = 6443;

/// `127.77.N.0/24`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    third: u8,
}

impl Network {
    /// One on which nobody listens, and the balancer's listener. Its owner has the network to itself.
    pub(super) fn claim() -> anyhow::Result<(Self, TcpListener)> {
        let first = std::process::id().to_le_bytes()[0];
        for offset in 0..=u8::MAX {
            let network = Self { third: first.wrapping_add(offset) };
            let Ok(front) = TcpListener::bind((network.balancer(), API_PORT)) else { continue };
            let mut machines = super::CONTROL_PLANE.iter().chain(&super::WORKERS);
            if machines.all(|machine| TcpListener::bind((network.address(machine), AGENT_PORT)).is_ok()) {
                return Ok((network, front));
            }
        }
        bail!("no network 127.77.0.0/24 to 127.77.255.0/24 is free on loopback (ports {API_PORT} and {AGENT_PORT})")
    }

    pub(super) fn balancer(self) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, self.third, 1)
    }

    /// `cp1` is .11, `w1` is .21.
    pub(super) fn address(self, machine: &str) -> Ipv4Addr {
        let tens = if machine.starts_with("cp") { 10 } else { 20 };
        let number = machine.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or(0);
        Ipv4Addr::new(127, 77, self.third, tens + number)
    }
}
