//! What runs in task pods, and the operator's side of the API they talk to (design §6).
//!
//! `protocol` is what pods and operator say to each other, `server` the operator's end of it. The
//! shape of the pods is `controller::pod`'s; what a task is worth is decided elsewhere.

pub mod protocol;
pub mod server;
