//! Drains of real containers by real kubelets, controllers and apiservers: what happens to the containers, and how usher ends.

mod containers;
mod controllers;
mod deletions;
mod lives;
mod servers;
pub(crate) mod tenant;
