//! What people and scripts hold on to: each change of it shows in a snapshot.
//!
//! After a change that is wanted: `cargo insta accept`, or once without cargo-insta:
//! `INSTA_UPDATE=always cargo test -p usher-testkit --test interface`.

mod help;
mod report_page;
mod runbook;
