//! PURE. What to do next, decided from a snapshot: no clock, client, async, randomness or
//! environment (design §10). Time, configuration and the state of the world enter as facts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod conditions;
pub mod phase;
pub mod policy;
pub mod preflight;
pub mod task;
pub mod turn;
