//! What the numbers of a score mean (seed: Scoring Criteria), so that reviewers mean the same by them.

use serde::{Deserialize, Serialize};

/// What some scores of a category mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Band {
    /// The scores, such as `8-9`.
    pub scores: String,
    /// What they mean.
    pub meaning: String,
}

/// Scores from the best down.
const SCORES: [&str; 5] = ["10", "8-9", "6-7", "4-5", "1-3"];

/// The seed's words for its five categories, in the order of [`SCORES`].
const MEANINGS: [(&str, [&str; 5]); 5] = [
    (
        "code-quality",
        [
            "Excellent - Clean, well-documented, follows best practices",
            "Good - Minor issues, mostly clean code",
            "Acceptable - Some issues but functional",
            "Poor - Significant issues, needs improvement",
            "Unacceptable - Major problems, requires complete rewrite",
        ],
    ),
    (
        "functionality",
        [
            "Perfect - All requirements met, works flawlessly",
            "Good - Minor bugs, mostly functional",
            "Acceptable - Some bugs but core functionality works",
            "Poor - Major bugs, limited functionality",
            "Unacceptable - Broken or non-functional",
        ],
    ),
    (
        "performance",
        [
            "Excellent - Optimal performance",
            "Good - Good performance with minor optimizations needed",
            "Acceptable - Adequate performance",
            "Poor - Performance issues",
            "Unacceptable - Severe performance problems",
        ],
    ),
    (
        "security",
        [
            "Excellent - Secure, follows security best practices",
            "Good - Minor security concerns",
            "Acceptable - Basic security measures",
            "Poor - Security vulnerabilities",
            "Unacceptable - Major security issues",
        ],
    ),
    (
        "documentation",
        [
            "Excellent - Comprehensive, clear documentation",
            "Good - Good documentation with minor gaps",
            "Acceptable - Adequate documentation",
            "Poor - Incomplete documentation",
            "Unacceptable - Missing or poor documentation",
        ],
    ),
];

/// The bands of a category; none of one that the seed does not know.
pub(super) fn bands(category: &str) -> Vec<Band> {
    let known = MEANINGS.iter().find(|(name, _)| *name == category);
    let band = |(scores, meaning): (&str, &str)| Band { scores: scores.to_owned(), meaning: meaning.to_owned() };
    known.into_iter().flat_map(|(_, meanings)| SCORES.into_iter().zip(*meanings)).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::rubric::SEED_CATEGORIES;

    #[test]
    fn every_category_of_the_seed_has_its_bands_and_no_other() {
        for (name, ..) in SEED_CATEGORIES {
            assert_eq!(bands(name).len(), 5, "{name}");
        }
        assert_eq!(bands("accessibility"), []);
        assert_eq!(bands("security")[3].meaning, "Poor - Security vulnerabilities");
    }
}
