//! Switching the active staging cluster: two API servers in memory, and the site's own commands as real scripts.

mod pair;
mod preflight;
mod switch;
