//! An operation whose terminal goes away, as when an SSH connection is lost, or whose operator insists on an end.

use std::{fs::File, os::unix::fs::OpenOptionsExt as _, path::Path, process::Stdio, time::Duration};

use k8s_openapi::api::{
    coordination::v1::{Lease, LeaseSpec},
    core::v1::{Node, Pod},
};
use nix::{
    fcntl::OFlag,
    pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::{
        signal::{Signal, kill},
        termios::{FlowArg, tcflow},
    },
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};
use usher_testkit::{
    apiserver::fixtures::pod,
    sandbox::{Programs, Sandbox},
};

use super::programs;

/// The longest that is awaited here is the renewal of the lock, every ten seconds; a busy machine takes longer.
const LIMIT: Duration = Duration::from_secs(40);

/// More than the half second within which signals pass for echoes of one another.
const PAUSE: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_goes_away_has_the_turn_taken_back_and_usher_ends_with_130() {
    let site = Site::start().await;
    let terminal = Terminal::open();
    let mut usher = site.on_a_terminal(&terminal, &DRAIN);
    site.in_the_middle_of_the_drain().await;
    assert!(site.is_cordoned("w1") && site.lock_holder().is_some());

    drop(terminal);
    // The kernel has told usher. The shell tells its jobs too, and whatever ends the session does so once more.
    signal(&usher, Signal::SIGHUP);
    sleep(PAUSE).await;
    // It may have ended by now.
    let _ = usher.id().map(|_| kill(id(&usher), Signal::SIGHUP));

    let status = timeout(LIMIT, usher.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130), "{status}");
    assert!(!site.is_cordoned("w1"), "the cordon was not taken back");
    assert_eq!(site.lock_holder(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_takes_no_output_does_not_keep_usher_from_renewing_its_lock() {
    let site = Site::start().await;
    let terminal = Terminal::open();
    let mut usher = site.on_a_terminal(&terminal, &DRAIN);
    site.in_the_middle_of_the_drain().await;

    // ^S
    tcflow(terminal.screen(), FlowArg::TCOOFF).unwrap();
    let taken = site.lock().unwrap().renew_time;
    within(|| site.lock().is_some_and(|lock| lock.renew_time > taken)).await;
    // ^Q
    tcflow(terminal.screen(), FlowArg::TCOON).unwrap();

    signal(&usher, Signal::SIGINT);
    let status = timeout(LIMIT, usher.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_waits_for_no_api_and_a_third_one_for_nothing() {
    for signals in [2, 3] {
        let site = Site::start().await;
        let usher = site.usher(&DRAIN).stderr(Stdio::piped()).spawn().unwrap();
        site.in_the_middle_of_the_drain().await;
        site.sandbox.api().set_reachable(false);
        for _ in 0..signals {
            signal(&usher, Signal::SIGINT);
            sleep(PAUSE).await;
        }
        // Left to itself, usher waits half a minute for an API that is away.
        let output = timeout(LIMIT / 2, usher.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert_eq!(said.contains("the lock was not given back"), signals == 2, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_goes_on_when_nobody_can_read_its_progress_any_more() {
    let site = Site::start().await;
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (verb, stderr) in [("cordon", Stdio::from(full)), ("uncordon", Stdio::from(closed))] {
        let mut usher = site.usher(&[verb, "w2", "-r", "test", "--yes"]);
        let status = usher.stderr(stderr).status().await.unwrap();
        assert_eq!(status.code(), Some(0), "{verb}: {status}");
        assert_eq!(site.is_cordoned("w2"), verb == "cordon");
    }
}

const DRAIN: [&str; 5] = ["drain", "w1", "-r", "test", "--yes"];

/// A sandbox with a pod on w1 that never ends: a drain of w1 stays in the middle of its turn.
struct Site {
    sandbox: Sandbox,
    programs: Programs,
}

impl Site {
    async fn start() -> Self {
        // An error means that another test has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let programs = Programs::built_in(programs()).unwrap();
        let sandbox = Sandbox::start(&programs, Path::new(env!("CARGO_BIN_EXE_sandbox"))).await.unwrap();
        sandbox.api().add(pod("shop/slow").on("w1").owned_by_job("batch").never_stops());
        Self { sandbox, programs }
    }

    fn usher(&self, arguments: &[&str]) -> Command {
        self.configured(Command::new(self.programs.usher()), arguments)
    }

    /// Runs usher as the leader of the terminal's session, which the kernel tells when the terminal goes away.
    fn on_a_terminal(&self, terminal: &Terminal, arguments: &[&str]) -> Child {
        let mut setsid = Command::new("setsid");
        setsid.arg("--ctty").arg(self.programs.usher()).env("TERM", "xterm");
        let mut usher = self.configured(setsid, arguments);
        usher.stdin(terminal.screen()).stdout(terminal.screen()).stderr(terminal.screen()).spawn().unwrap()
    }

    fn configured(&self, mut command: Command, arguments: &[&str]) -> Command {
        let cluster_file = self.sandbox.folder().join("cluster.toml");
        command.args(arguments).env("USHER_CLUSTER_FILE", cluster_file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn in_the_middle_of_the_drain(&self) {
        let evicted = || {
            let slow = self.sandbox.api().get::<Pod>("shop/slow").unwrap();
            slow.metadata.deletion_timestamp.is_some()
        };
        within(evicted).await;
    }

    fn is_cordoned(&self, node: &str) -> bool {
        let spec = self.sandbox.api().get::<Node>(node).unwrap().spec;
        spec.and_then(|spec| spec.unschedulable) == Some(true)
    }

    fn lock(&self) -> Option<LeaseSpec> {
        self.sandbox.api().get::<Lease>("kube-system/usher")?.spec
    }

    fn lock_holder(&self) -> Option<String> {
        self.lock()?.holder_identity.filter(|holder| !holder.is_empty())
    }
}

/// A terminal window, or the server's end of an SSH connection. It goes away when it is dropped.
struct Terminal(PtyMaster);

impl Terminal {
    fn open() -> Self {
        // Not inherited by what other tests start meanwhile: that would keep the terminal open.
        let terminal = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        Self(terminal)
    }

    /// The end that programs use.
    fn screen(&self) -> File {
        let path = ptsname_r(&self.0).unwrap();
        File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(path).unwrap()
    }
}

async fn within(condition: impl Fn() -> bool) {
    let fulfilled = timeout(LIMIT, async {
        while !condition() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    fulfilled.await.unwrap();
}

fn id(usher: &Child) -> Pid {
    Pid::from_raw(usher.id().unwrap().try_into().unwrap())
}

fn signal(usher: &Child, signal: Signal) {
    kill(id(usher), signal).unwrap();
}
