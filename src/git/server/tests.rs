//! The service over a real port, with the real git client and the operator's own client.

mod flow;
mod full;
mod hostile;
mod hostile_http;
mod hostile_packs;
mod killed;
mod operations;
mod people;
pub(crate) mod support;
mod tasks;
