//! The weighted total, compared without dividing, so that 9.0 is exactly 9.0.

use crate::api::{common::Decimal, review_result::CategoryScore};

/// Σ weight × tenths over Σ weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    weighted: i64,
    weights: i64,
}

impl Total {
    /// Whether the mean is at least `bar`, exactly.
    pub(super) fn reaches(self, bar: Decimal) -> bool {
        self.weighted >= i64::from(bar.tenths()) * self.weights
    }

    /// The mean in thousandths, cut: a score that does not pass never looks as if it did.
    pub(super) fn thousandths(self) -> i32 {
        i32::try_from(self.weighted * 100 / self.weights).unwrap_or(i32::MAX)
    }
}

/// The total of categories that all have a score. None without any, or if one has none.
pub(super) fn of(categories: &[CategoryScore]) -> Option<Total> {
    let mut total = Total { weighted: 0, weights: 0 };
    for category in categories {
        let weight = i64::from(category.weight.max(0));
        total.weighted += weight * i64::from(category.score?.tenths());
        total.weights += weight;
    }
    (total.weights > 0).then_some(total)
}

/// What a category costs the total, in weight × tenths.
pub(super) fn loss(category: &CategoryScore) -> i64 {
    let score = category.score.map_or(100, Decimal::tenths);
    i64::from(category.weight.max(0)) * (100 - i64::from(score))
}

/// A score in thousandths as people read it: `9.01`, `9.0`, `8.999`, `10.0`.
pub fn display(thousandths: i32) -> String {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    let digits = format!("{rest:03}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { format!("{whole}.0") } else { format!("{whole}.{digits}") }
}
