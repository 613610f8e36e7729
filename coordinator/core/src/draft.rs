//! A first cluster file, from what was seen of a cluster: its text, with a comment on each key that says where it comes from, and what
//! only the site itself knows.

mod infer;
mod seen;
mod text;

pub use self::{
    infer::{Question, balancer, control_plane, name, questions, server_name},
    seen::{AgentSeen, Answers, ApiServerSeen, LeaseSeen, NodeSeen, Seen},
};

#[cfg(test)]
mod tests;
