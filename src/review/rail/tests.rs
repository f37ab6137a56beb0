//! The rail over a corpus of changes, and what it does with too much of anything. The corpus goes through real git too
//! (`git::store`).

pub(crate) mod corpus;
mod limits;
mod real;
