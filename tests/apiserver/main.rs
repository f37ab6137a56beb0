//! The kinds, the policies and the roles on a real API server.
//!
//! Every hole that a policy closes is tried here as somebody with all RBAC rights, so that only the policy can
//! refuse; what the operator and the cluster's controllers must be able to do is tried as them.

mod chart;
mod evidence;
mod external;
mod git;
mod kinds;
mod lease;
mod policies;
mod roles;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
