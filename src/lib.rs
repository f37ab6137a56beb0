//! phasegate delivers software in gated phases: coding agents do the work in Jobs, every commit is
//! checked in a clean room, a score is computed from evidence, and only what passes is merged.
//!
//! One package, one binary, one image. `api` is the contract, `machine` and `review` decide,
//! `controller` does, `git` keeps the code, `runner` is what runs in task pods, `ci` listens to outside systems.

pub mod api;
pub mod ci;
pub mod cli;
pub mod controller;
pub mod git;
pub mod keys;
pub mod machine;
pub mod mcp;
pub mod plugin;
pub mod review;
pub mod runner;
pub mod telemetry;
mod text;
