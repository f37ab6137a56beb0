//! Tables of the score's rules, the golden judgement, and the properties of design §12.

mod gaming;
mod limits;
mod properties;
mod reviews;
mod rules;
mod support;
mod waivers;
