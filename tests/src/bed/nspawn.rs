//! How a machine is started: the arguments of systemd-nspawn, and what it tells on its notify socket.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{Folder, Machine, Role, folder::Settings, init::BRIDGE};

/// What nspawn ends with when the machine wants to be rebooted and there is no unit manager around it to do so.
pub(super) const REBOOT: i32 = 133;

/// Where a machine finds the Kubernetes binaries.
pub(super) const KUBERNETES: &str = "/opt/kube";
/// Where it finds its certificates and kubeconfigs.
pub(super) const PKI: &str = "/etc/kubernetes/pki";
/// Where a worker finds the image of its containers.
const IMAGE: &str = "/opt/image.tar";

/// The arguments for `machine` with its root at `root`.
pub(super) fn arguments(folder: &Folder, settings: &Settings, machine: &Machine, root: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "--quiet",
        "--boot",
        // There is no systemd around us to register with or to make a scope.
        "--register=no",
        "--keep-unit",
        "--notify-ready=yes",
        "--link-journal=no",
        "--console=read-only",
        // IPAddressDeny= and DevicePolicy= of units are silently void without these.
        "--capability=CAP_BPF,CAP_PERFMON",
        "--system-call-filter=bpf",
    ]
    .map(Into::into)
    .into();
    arguments.push(format!("--machine={}", machine.name).into());
    arguments.push(format!("--network-bridge={BRIDGE}").into());
    arguments.push(option("--directory=", root));
    arguments.push(bind(&settings.kubernetes, KUBERNETES));
    arguments.push(bind(&folder.machine_pki(machine), PKI));
    if machine.role == Role::Worker {
        arguments.push(bind(&settings.base.join("image.tar"), IMAGE));
    }
    arguments
}

fn bind(from: &Path, to: &str) -> OsString {
    let mut argument = option("--bind-ro=", from);
    argument.push(":");
    argument.push(to);
    argument
}

fn option(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(path);
    argument
}

/// Where nspawn sends its messages. In the sandbox's own /run, since a socket's path is short.
pub(super) fn notify_socket(machine: &Machine) -> PathBuf {
    format!("/run/{}.notify", machine.name).into()
}

/// A message of nspawn, as far as the supervisor cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The machine's PID 1, as the sandbox sees it.
    Leader(i32),
    /// The machine's default target is reached.
    Ready,
    /// The machine goes down.
    Stopping,
}

/// Reads one datagram, which may hold several messages.
pub(super) fn messages(datagram: &str) -> impl Iterator<Item = Message> {
    datagram.lines().filter_map(|line| match line.split_once('=')? {
        ("X_NSPAWN_LEADER_PID", pid) => pid.parse().ok().map(Message::Leader),
        ("READY", "1") => Some(Message::Ready),
        ("STOPPING", "1") => Some(Message::Stopping),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Message, messages};

    #[test]
    fn a_datagram_is_read_line_by_line_and_what_is_unknown_is_left_out() {
        let read: Vec<_> = messages("X_NSPAWN_LEADER_PID=42\nSTATUS=Container running.\nREADY=1\n").collect();
        assert_eq!(read, [Message::Leader(42), Message::Ready]);
        let read: Vec<_> = messages("STOPPING=1\nSTATUS=Restarting...").collect();
        assert_eq!(read, [Message::Stopping]);
        assert_eq!(messages("READY=0\ngarbage\nX_NSPAWN_LEADER_PID=none").count(), 0);
    }
}
