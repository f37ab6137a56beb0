//! Tables of the phase machine, one per state of design §5: a situation, what is done, where it
//! leads, and what deciding again makes of it.

mod attempts;
mod base_merge;
mod bench;
mod developing;
mod limits;
mod model;
mod orders;
mod push;
mod reviewing;
mod rollback;
