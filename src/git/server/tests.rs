//! The service over a real port, with the real git client and the operator's own client.

mod hostile;
mod operations;
mod people;
pub(crate) mod support;
mod tasks;
