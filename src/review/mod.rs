//! PURE. From evidence to a verdict: rubric, report facts, findings, score (design §7).
