//! Jobs, as an operator wants to see them first: how far each is, and why it is not done.

mod list;
pub(super) mod object;
pub(super) mod state;

pub use self::{
    list::{JobRow, jobs},
    state::JobState,
};
