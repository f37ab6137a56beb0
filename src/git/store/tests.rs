//! Every operation on a real repository, and again: doing it twice is doing it once.

mod claim;
mod conflicts;
mod crash;
mod gaming;
mod hotfix;
mod inspect;
mod integrate;
mod merge_to_base;
mod restored;
mod rollback;
mod support;
mod upstream;
mod volume;
