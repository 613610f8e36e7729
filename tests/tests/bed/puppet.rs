//! The Puppet module on a machine with a real agent, applied by Debian's own Puppet.

use std::time::Duration;

use usher_testkit::bed::{Bed, until};

use crate::{observe::invocation, turn::on_the_bed};

const MACHINE: &str = "cp3";
const AGENT: &str = "usher-agent.service";
const SCHEDULER: &str = "kube-scheduler.service";
/// From the reload until the agent goes by its new allow-list.
const RELOAD_LIMIT: Duration = Duration::from_secs(30);

/// What differs between the runs of one test.
struct Manifest<'a> {
    operators: &'a [&'a str],
    units: &'a [&'a str],
    settings: &'a str,
}

impl Manifest<'_> {
    /// The certificates are those that the bed has put there, from another folder: as a site's own files would come.
    fn text(&self) -> String {
        let quoted = |names: &[&str]| names.iter().map(|name| format!("'{name}', ")).collect::<String>();
        let units: String = self.units.iter().map(|unit| format!("'{unit}' => {{}}, ")).collect();
        format!(
            "class {{ 'usher::agent':
               manage_package => false,
               node_name      => '{MACHINE}',
               identity       => {{
                 'certificate' => {{ 'source' => '/root/pki/agent.pem' }},
                 'key'         => {{ 'source' => '/root/pki/agent-key.pem' }},
                 'ca'          => {{ 'source' => '/root/pki/ca.pem' }},
               }},
               units          => {{ {units} }},
               operators      => [{operators}],
               viewers        => ['CN=viewer'],
               settings       => {{ {settings} }},
             }}",
            operators = quoted(self.operators),
            settings = self.settings,
        )
    }
}

const SETTINGS: &str = "'reboot' => { 'budget_per_day' => 1000 }";
const UNITS: [&str; 3] = ["kube-apiserver.service", "kube-controller-manager.service", SCHEDULER];
const FIRST: Manifest<'_> = Manifest { operators: &["CN=operator"], units: &UNITS, settings: SETTINGS };

#[test]
fn puppet_configures_a_running_agent_and_never_restarts_it() {
    on_the_bed(async |bed| {
        bed.put_puppet_module(MACHINE).await?;
        bed.shell(MACHINE, "mkdir -p /root/pki && cp /etc/usher/*.pem /root/pki/").await?;
        let ended = apply_it_all(bed).await;
        bed.undo_puppet(MACHINE).await?;
        bed.shell(MACHINE, "rm -rf /root/pki").await?;
        ended
    });
}

async fn apply_it_all(bed: &Bed) -> anyhow::Result<()> {
    let begin = invocation(bed, MACHINE, AGENT).await?;
    apply(bed, &FIRST, 2).await?;
    apply(bed, &FIRST, 0).await?;
    let owners = bed.shell(MACHINE, "stat --format='%a %U:%G' /etc/usher/agent-key.pem /etc/usher/agent.toml").await?;
    assert_eq!(owners.stdout, "440 root:usher-agent\n440 root:usher-agent\n");
    assert_eq!(bed.shell(MACHINE, "systemctl is-enabled usher-agent.service").await?.stdout, "enabled\n");
    assert!(restarts_the_scheduler(bed).await?, "an operator on the list may restart a unit on the list");

    // polkit's rule and the agent's list are narrowed by one parameter.
    apply(bed, &Manifest { units: &UNITS[..2], ..FIRST }, 2).await?;
    let before = invocation(bed, MACHINE, SCHEDULER).await?;
    assert!(!restarts_the_scheduler(bed).await?, "a unit that is no longer listed may not be restarted");
    assert_eq!(invocation(bed, MACHINE, SCHEDULER).await?, before);

    apply(bed, &Manifest { operators: &["CN=somebody-else"], ..FIRST }, 2).await?;
    until("the agent's new allow-list", RELOAD_LIMIT, async || {
        let output = bed.usher(&["agent", "status", MACHINE]).await?;
        Ok((output.code != Some(0)).then_some(()))
    })
    .await?;

    // A file that the agent would not read never replaces the one that it has, and what it has stays in force.
    let text = bed.shell(MACHINE, "cat /etc/usher/agent.toml").await?.stdout;
    let refused = bed.puppet_apply(MACHINE, &Manifest { settings: "'reboots' => 1", ..FIRST }.text()).await?;
    assert!(matches!(refused.code, Some(4 | 6)), "{refused}");
    assert!(refused.says("reboots"), "nothing about the mistake in {refused}");
    assert_eq!(bed.shell(MACHINE, "cat /etc/usher/agent.toml").await?.stdout, text);

    assert_eq!(invocation(bed, MACHINE, AGENT).await?, begin, "the agent was restarted");

    // Stopped, as after a mistake by hand, it is started again.
    bed.shell(MACHINE, "systemctl disable --now usher-agent.service").await?;
    apply(bed, &FIRST, 2).await?;
    assert_eq!(bed.shell(MACHINE, "systemctl is-enabled usher-agent.service").await?.stdout, "enabled\n");
    bed.usher(&["agent", "status", MACHINE]).await?.success()?;
    Ok(())
}

async fn apply(bed: &Bed, manifest: &Manifest<'_>, code: i32) -> anyhow::Result<()> {
    let output = bed.puppet_apply(MACHINE, &manifest.text()).await?;
    assert_eq!(output.code, Some(code), "{output}");
    Ok(())
}

/// Whether an operator's order to restart the scheduler is carried out.
async fn restarts_the_scheduler(bed: &Bed) -> anyhow::Result<bool> {
    let words = ["agent", "restart", MACHINE, "kube-scheduler", "--reason", "bed test", "--yes"];
    Ok(bed.usher(&words).await?.code == Some(0))
}
