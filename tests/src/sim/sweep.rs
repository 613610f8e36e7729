//! Every point of a command at which something may go wrong, one history each.

use std::time::Duration;

use super::{
    blow::{Blow, Fault, When},
    command::Command,
    history::History,
};

/// How long an address is another machine's: longer than a reboot.
const MISROUTED: Duration = Duration::from_secs(90);

/// One history for each point at which the coordinator can be killed: at each of its looks, and at each moment.
pub fn kills(command: Command) -> Vec<History> {
    let undisturbed = History::undisturbed(command).play();
    let looks = (0..undisturbed.looks).map(When::Look);
    let moments = (0..undisturbed.moments.len()).map(When::Moment);
    let history = |when| History::undisturbed(command).with(Fault::new(when, Blow::Kill));
    looks.chain(moments).map(history).collect()
}

/// One history for each moment at which an agent can be killed.
pub fn agent_kills(command: Command) -> Vec<History> {
    let undisturbed = History::undisturbed(command).play();
    let moments = undisturbed.moments.iter().enumerate().filter(|(_, moment)| moment.machine.is_some());
    let history = |(at, _)| History::undisturbed(command).with(Fault::new(When::Moment(at), Blow::KillAgent(None)));
    moments.map(history).collect()
}

/// One history for each moment at which the address of a machine can become another's.
pub fn misroutings(command: Command, machine: &'static str, other: &'static str) -> Vec<History> {
    let undisturbed = History::undisturbed(command).play();
    let history = |at| {
        let fault = Fault::new(When::Moment(at), Blow::Misrouted(machine, other, MISROUTED));
        History::undisturbed(command).with(fault)
    };
    (0..undisturbed.moments.len()).map(history).collect()
}

/// One history for each moment at which the coordinator can be stopped. Another operator takes its lock meanwhile, for the other
/// command, and it goes on while that one is at work.
pub fn freezes(command: Command, other: Command) -> Vec<History> {
    let undisturbed = History::undisturbed(command).play();
    let history = |at: usize| {
        // The lock is free a minute after the last renewal, and the other operator asks for it each 45 s: somewhere in these two
        // minutes the other machine goes down.
        let asleep = Duration::from_secs(80 + 11 * (at as u64 % 8));
        let fault = Fault::new(When::Moment(at), Blow::Freeze(asleep));
        History::undisturbed(command).with(fault).beside(Duration::from_secs(20), other)
    };
    (0..undisturbed.moments.len()).map(history).collect()
}
