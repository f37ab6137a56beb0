//! What coverage and measurements score: 10 × achieved ÷ target, rounded down to tenths (design §7).

use super::{BEST, WORST, tenths};
use crate::api::{
    common::Quantity,
    evidence::{Coverage, LineCounts, Measurement, Target},
};

/// Millionths of a percent in the whole.
const WHOLE: i128 = 100_000_000;

/// Lines that ran, of those that could.
#[derive(Clone, Copy)]
struct Ratio {
    covered: i128,
    total: i128,
}

impl Ratio {
    /// None if nothing could run. Counts that no report can have are cut, so that nothing overflows.
    fn of(counts: LineCounts) -> Option<Self> {
        let count = |count: i64| i128::from(count.clamp(0, 10_i64.pow(15)));
        let LineCounts { covered, total } = counts;
        (total > 0).then(|| Self { covered: count(covered.min(total)), total: count(total) })
    }

    /// In percent, cut to tenths.
    fn percent(self) -> String {
        let tenths = self.covered * 1000 / self.total;
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

/// Whether a report of coverage says anything.
pub(super) fn is_evidence(coverage: &Coverage) -> bool {
    Ratio::of(coverage.all).is_some()
}

/// What the phase changed must be covered; if it changed nothing that can be, the whole must not fall.
pub(super) fn coverage(coverage: &Coverage, base: Option<LineCounts>) -> (i64, String) {
    let Coverage { all, changed, target } = *coverage;
    let target_millionths = i128::from(target.millionths().max(0));
    let of_target = |ratio: Ratio| share(ratio.covered * WHOLE, ratio.total * target_millionths);
    let Some(all) = Ratio::of(all) else { return (WORST, "no line can be covered".to_owned()) };
    match (changed.map(Ratio::of), base.and_then(Ratio::of)) {
        (Some(Some(changed)), _) => {
            let Ratio { covered, total } = changed;
            let words =
                format!("{covered} of {total} changed lines covered ({}), target {target} %", changed.percent());
            lost(of_target(changed), &words)
        }
        (Some(None), Some(base)) if all.covered * base.total < base.covered * all.total => {
            let of_base = share(all.covered * base.total, all.total * base.covered);
            let words = format!(
                "no changed line can be covered, but the total fell from {} to {}, target {target} %",
                base.percent(),
                all.percent()
            );
            lost(of_target(all).max(of_base), &words)
        }
        (Some(None), _) => (BEST, format!("no changed line can be covered; total {}", all.percent())),
        (None, _) => {
            let words = format!(
                "{} of all lines covered (what the phase changed is not known), target {target} %",
                all.percent()
            );
            lost(of_target(all), &words)
        }
    }
}

/// The worst measurement counts; every one that misses its target is named.
pub(super) fn metrics(measurements: &[Measurement]) -> (i64, String) {
    let mut missed: Vec<(i64, String)> =
        measurements.iter().map(metric).filter(|(_, words)| !words.is_empty()).collect();
    missed.sort();
    let score = missed.first().map_or(BEST, |(score, _)| *score);
    if missed.is_empty() {
        let count = measurements.len();
        return (BEST, format!("{count} measurement{} within target", if count == 1 { "" } else { "s" }));
    }
    (score, missed.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("; "))
}

/// One measurement; no words if it reaches its target.
fn metric(measurement: &Measurement) -> (i64, String) {
    let Measurement { target: Target { metric, at_least, at_most }, value } = measurement;
    let wanted = match (at_least, at_most) {
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) | (Some(_), Some(_)) => return (WORST, format!("{metric} has no single target")),
    };
    let Some(value) = *value else {
        return (WORST, format!("{metric} was not measured ({wanted}; -{})", tenths(BEST - WORST)));
    };
    let number = |quantity: &Quantity| i128::from(quantity.millionths());
    let reached = at_least.is_none_or(|least| value >= least) && at_most.is_none_or(|most| value <= most);
    if reached {
        return (BEST, String::new());
    }
    let score = match (at_least, at_most) {
        (Some(least), _) => share(number(&value), number(least)),
        (None, Some(most)) => share(number(most), number(&value)),
        (None, None) => WORST,
    };
    // It misses its target, by however little.
    lost(score.min(BEST - 1), &format!("{metric} is {value}, {wanted}"))
}

/// Ten times a part of a whole in tenths, cut, from worst to best. A part of nothing is all of it if
/// there is any.
fn share(part: i128, whole: i128) -> i64 {
    if whole <= 0 {
        return if part >= 0 && whole == 0 { BEST } else { WORST };
    }
    let tenths = part.max(0).saturating_mul(i128::from(BEST)) / whole;
    i64::try_from(tenths).unwrap_or(BEST).clamp(WORST, BEST)
}

fn lost(score: i64, words: &str) -> (i64, String) {
    if score == BEST { (score, words.to_owned()) } else { (score, format!("{words} (-{})", tenths(BEST - score))) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    fn lines(covered: i64, total: i64) -> LineCounts {
        LineCounts { covered, total }
    }

    #[rstest]
    #[case::all_changed_lines((10, 100), Some((7, 7)), None, "90", 100)]
    #[case::as_many_as_wanted((10, 100), Some((9, 10)), None, "90", 100)]
    #[case::fewer((100, 100), Some((8, 10)), None, "90", 88)]
    #[case::never_rounded_up((1, 1), Some((89_999, 100_000)), None, "90", 99)]
    #[case::a_part_of_a_percent((1, 1), Some((999, 1000)), None, "99.95", 99)]
    #[case::none((100, 100), Some((0, 10)), None, "90", 10)]
    #[case::everything_is_wanted((100, 100), Some((99, 100)), None, "100", 99)]
    #[case::nothing_is_wanted((0, 100), Some((0, 100)), None, "0", 100)]
    #[case::nothing_changed((10, 100), Some((0, 0)), None, "90", 100)]
    #[case::nothing_changed_and_the_total_stays((10, 100), Some((0, 0)), Some((1, 10)), "90", 100)]
    #[case::nothing_changed_and_the_total_rises((11, 100), Some((0, 0)), Some((1, 10)), "90", 100)]
    #[case::nothing_changed_and_the_total_falls((6, 10), Some((0, 0)), Some((8, 10)), "90", 75)]
    #[case::nothing_changed_and_the_total_falls_to_the_target((91, 100), Some((0, 0)), Some((99, 100)), "90", 100)]
    #[case::nothing_changed_and_the_total_falls_below_the_target((81, 100), Some((0, 0)), Some((99, 100)), "90", 90)]
    #[case::the_base_is_not_looked_at_where_lines_changed((1, 100), Some((10, 10)), Some((99, 100)), "90", 100)]
    #[case::what_changed_is_not_known((45, 100), None, Some((99, 100)), "90", 50)]
    #[case::more_than_all((1, 1), Some((11, 10)), None, "90", 100)]
    #[case::no_report_has_so_many((1, 1), Some((1, i64::MAX)), Some((i64::MAX, i64::MAX)), "90", 10)]
    #[case::no_base_has_so_many((1, i64::MAX), Some((0, 0)), Some((i64::MAX, i64::MAX)), "90", 10)]
    fn coverage_is_judged_by_what_the_phase_changed(
        #[case] all: (i64, i64),
        #[case] changed: Option<(i64, i64)>,
        #[case] base: Option<(i64, i64)>,
        #[case] target: &str,
        #[case] score: i64,
    ) {
        let facts = Coverage {
            all: lines(all.0, all.1),
            changed: changed.map(|(covered, total)| lines(covered, total)),
            target: quantity(target),
        };
        let (found, why) = coverage(&facts, base.map(|(covered, total)| lines(covered, total)));
        assert_eq!(found, score, "{why}");
        let loss = format!("(-{})", tenths(BEST - score));
        assert_eq!(why.ends_with(&loss), score < BEST, "{why}");
    }

    #[rstest]
    #[case(Some((8, 10)), None, "8 of 10 changed lines covered (80.0 %), target 90 % (-1.2)")]
    #[case(Some((0, 0)), Some((8, 10)), "no changed line can be covered, but the total fell from 80.0 % to 66.6 %, target 90 % (-1.7)")]
    #[case(Some((0, 0)), None, "no changed line can be covered; total 66.6 %")]
    #[case(None, None, "66.6 % of all lines covered (what the phase changed is not known), target 90 % (-2.6)")]
    fn every_lost_tenth_of_coverage_is_explained(
        #[case] changed: Option<(i64, i64)>,
        #[case] base: Option<(i64, i64)>,
        #[case] expected: &str,
    ) {
        let changed = changed.map(|(covered, total)| lines(covered, total));
        let facts = Coverage { all: lines(2, 3), changed, target: quantity("90") };
        assert_eq!(coverage(&facts, base.map(|(covered, total)| lines(covered, total))).1, expected);
    }

    fn measured(at_least: Option<&str>, at_most: Option<&str>, value: Option<&str>) -> Measurement {
        let target =
            Target { metric: "m".to_owned(), at_least: at_least.map(quantity), at_most: at_most.map(quantity) };
        Measurement { target, value: value.map(quantity) }
    }

    #[rstest]
    #[case::enough(measured(Some("10"), None, Some("10")), 100)]
    #[case::more(measured(Some("10"), None, Some("999999999999")), 100)]
    #[case::half(measured(Some("10"), None, Some("5")), 50)]
    #[case::a_hair_less(measured(Some("10"), None, Some("9.999999")), 99)]
    #[case::hardly_any(measured(Some("10"), None, Some("0.000001")), 10)]
    #[case::negative(measured(Some("10"), None, Some("-5")), 10)]
    #[case::at_least_something_below_nothing(measured(Some("-10"), None, Some("-20")), 10)]
    #[case::little(measured(None, Some("0.2"), Some("0.2")), 100)]
    #[case::less(measured(None, Some("0.2"), Some("0")), 100)]
    #[case::below_nothing(measured(None, Some("0.2"), Some("-1")), 100)]
    #[case::twice_as_much(measured(None, Some("0.2"), Some("0.4")), 50)]
    #[case::a_hair_more(measured(None, Some("0.2"), Some("0.200001")), 99)]
    #[case::far_too_much(measured(None, Some("0.2"), Some("999999999999")), 10)]
    #[case::none_allowed_and_none_there(measured(None, Some("0"), Some("0")), 100)]
    #[case::none_allowed_and_some_there(measured(None, Some("0"), Some("0.000001")), 10)]
    #[case::not_measured(measured(None, Some("5"), None), 10)]
    #[case::no_target(measured(None, None, Some("5")), 10)]
    #[case::two_targets(measured(Some("1"), Some("5"), Some("3")), 10)]
    fn a_measurement_scores_what_it_has_of_its_target(#[case] measurement: Measurement, #[case] score: i64) {
        let (found, why) = metrics(&[measurement]);
        assert_eq!(found, score, "{why}");
    }

    #[test]
    fn the_worst_measurement_counts_and_every_miss_is_named() {
        let named = |name: &str, measurement: Measurement| Measurement {
            target: Target { metric: name.to_owned(), ..measurement.target },
            ..measurement
        };
        let all = [
            named("ok", measured(Some("1"), None, Some("1"))),
            named("p95", measured(None, Some("0.2"), Some("0.4"))),
            named("rps", measured(Some("100"), None, Some("90"))),
            named("errors", measured(None, Some("0"), None)),
        ];
        let (score, why) = metrics(&all);
        assert_eq!(score, 10);
        assert_eq!(
            why,
            "errors was not measured (at most 0; -9.0); p95 is 0.4, at most 0.2 (-5.0); rps is 90, at least 100 (-1.0)"
        );
        assert_eq!(metrics(&all[..1]), (100, "1 measurement within target".to_owned()));
    }
}
