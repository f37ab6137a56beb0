//! Tables of the score's rules, the golden judgement, and the properties of design §12.

mod limits;
mod properties;
mod rules;
mod support;
