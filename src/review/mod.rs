//! PURE. From evidence to a verdict (design §7): what a score must reach (`rubric`), what report
//! files say (`evidence`), what a finding is (`findings`), and the judgement (`score`).
//!
//! No clock, client, async, randomness or environment belongs here, and nothing that reads or
//! writes: bytes and specs come in, facts and judgements go out. Integers only.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod digest;
pub mod evidence;
pub mod findings;
mod quoting;
pub mod rail;
pub mod rubric;
pub mod score;
mod weight;

pub use digest::evidence_digest;
pub use evidence::{
    Around, BaseReport, Change, DiffError, DiffParser, MAX_REPORT_BYTES, Source,
    bound::{bounded_delivery, bounded_evidence},
    broken_report, compare_report, declared_reports, max_report_bytes, read_report,
};
pub use findings::finding_id;
pub use rubric::{Gate, gate, gate_hash};
pub use score::{display, failure_class, judge};
pub use weight::bounded_result;

/// Cuts a text to at most `max` bytes, ending in `…` where something was cut.
fn cut_bytes(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max.saturating_sub('…'.len_utf8()))])
}

/// Cuts a text to at most `max` characters, ending in `…` where something was cut. The API server
/// counts characters too.
fn cut(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}
