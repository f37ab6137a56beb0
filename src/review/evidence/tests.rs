//! Reports of real tools, traps, and bytes that nobody would call a report.

mod hostile;
mod junit;
mod real;
mod sarif;
mod support;
