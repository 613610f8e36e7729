//! Drains of real containers by real kubelets, controllers and apiservers: what happens to the containers, and how usher ends.

#[path = "drain/containers.rs"]
mod containers;
#[path = "drain/controllers.rs"]
mod controllers;
#[path = "drain/deletions.rs"]
mod deletions;
#[path = "drain/lives.rs"]
mod lives;
#[path = "drain/servers.rs"]
mod servers;
#[path = "drain/tenant.rs"]
mod tenant;
