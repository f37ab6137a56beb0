//! Reports of real tools, traps, and bytes that nobody would call a report.

mod compared;
mod coverage;
mod hostile;
mod junit;
mod metrics;
mod real;
mod sarif;
mod support;
