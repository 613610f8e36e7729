//! Rolls of Helmfile services: an API server in memory with Helm's records, and a script that stands in for helmfile. What real
//! helmfile and helm say and do is the matter of `machines` in `conformance` and `bed`.

mod interrupt;
mod refusals;
mod roll;
mod services;
