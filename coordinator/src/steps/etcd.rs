//! Handing the leadership of etcd on, and proving that a member is back.
//!
//! A leader that is stopped hands over by itself, to the member that it has been connected with for longest, which may be the next
//! to go. So usher chooses, and moves it to a machine that the operation does not touch any more.

use tokio::time::Instant;
use usher_common::chain;
use usher_proto::reason;

use super::Context;
use crate::{
    agents::AgentError,
    facts::etcd::{Etcd, Id, Word},
    problem::Problem,
    text,
    wait::{Look, until},
};

/// Hands the leadership to the member on `to`. That the machine's member does not lead any more is as good.
pub(super) async fn hand_over(context: &Context<'_>, to: &str) -> Result<(), Problem> {
    let (world, machine) = (context.world, context.machine());
    let (own, other) = futures::join!(world.etcd_on(machine, None), world.etcd_on(to, None));
    let own = member(machine, &own)?;
    if !own.leads() {
        context.fact("the leadership of etcd had moved already");
        return Ok(());
    }
    let to_id = member(to, &other)?.id;
    let begun = Instant::now();
    context.waiting(format!("waiting for the member on {to} to lead etcd"));
    match context.agent()?.move_etcd_leader(&context.order(), own.id, to_id).await {
        Ok(_) => {}
        Err(error) if error.reason() == Some(reason::NOT_ETCD_LEADER) => {
            context.fact("the leadership of etcd had moved already");
            return Ok(());
        }
        Err(error) => confirm(context, to_id, error).await?,
    }
    context.fact(format!("etcd handed to {to} in {}", text::took(begun.elapsed())));
    Ok(())
}

/// An answer that is lost or late says nothing: the member itself tells who leads.
async fn confirm(context: &Context<'_>, to: Id, error: AgentError) -> Result<(), Problem> {
    match context.world.etcd_on(context.machine(), None).await {
        Word::Member(member) if member.leader == to => Ok(()),
        _ => Err(Problem::failed(format!("the leadership of etcd could not be moved from {}", context.machine()))
            .detail(chain(&error))
            .hint("see its members: usher leaders")
            .hint("to go on without: --handover=false; etcd then chooses its next leader itself")),
    }
}

/// Waits until the machine's member is well, and has applied all that the leader had applied when it was asked just before.
pub(super) async fn prove(context: &Context<'_>) -> Result<(), Problem> {
    let (world, machine) = (context.world, context.machine());
    let look = async || {
        // The leader first: what it had applied by then, the member must have applied by the time that it is asked.
        let cluster = world.etcd(None).await;
        Ok(match caught_up(&cluster, machine, &world.etcd_on(machine, None).await) {
            Ok(index) => Look::Done(index),
            Err(why) => Look::NotYet(why),
        })
    };
    let late = |why| {
        Problem::timed_out(format!("the member of etcd on {machine} is not back: {why}"))
            .hint(format!("look at it: usher leaders; usher agent units {machine}"))
    };
    let index = until(world.site.defaults.ready_timeout, look, |why| context.waiting(why), late).await?;
    context.fact(format!("its member of etcd is well and has applied {index}, as its leader had"));
    Ok(())
}

/// The index that the member has applied, if it has caught up with its leader.
fn caught_up(cluster: &Etcd, machine: &str, now: &Word) -> Result<u64, String> {
    let member = match now {
        Word::Member(member) => member,
        Word::Silent { message } | Word::NoMember { message } | Word::Unheard { message } => {
            return Err(message.clone());
        }
    };
    if let Some(ailment) = cluster.ailment(member) {
        return Err(format!("the member on {machine} {ailment}"));
    }
    let Some((leader, led)) = cluster.leader() else { return Err("nobody leads etcd".to_owned()) };
    if member.leader != led.id {
        return Err(format!("the member on {machine} does not follow {leader} yet"));
    }
    if member.raft_applied_index < led.raft_applied_index {
        let (has, needs) = (member.raft_applied_index, led.raft_applied_index);
        return Err(format!("the member on {machine} has applied {has} of what {leader} has up to {needs}"));
    }
    Ok(member.raft_applied_index)
}

fn member<'a>(machine: &str, word: &'a Word) -> Result<&'a crate::facts::etcd::Member, Problem> {
    match word {
        Word::Member(member) => Ok(member),
        Word::Silent { message } | Word::NoMember { message } | Word::Unheard { message } => {
            Err(Problem::failed(format!("the member of etcd on {machine} cannot be asked")).detail(message.clone()))
        }
    }
}
