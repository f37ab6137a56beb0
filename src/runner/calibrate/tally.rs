//! PURE. What a reviewer caught, missed and made up, and how much that changes from run to run.

use serde::Serialize;

use super::set::{Case, Defect};
use crate::api::evidence::{Finding, Severity};

/// Lines around a defect in which a finding still points at it.
const NEAR: u32 = 3;

/// One run of the reviewer on one case.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Which case.
    pub(super) case: usize,
    /// Which time, counted from 1.
    pub(super) number: u32,
    /// What it found; none if it submitted no review.
    pub(super) findings: Option<Vec<Finding>>,
    /// How the command ended, in words.
    pub(super) ended: String,
    /// How long it took.
    pub(super) seconds: u64,
}

/// The smallest, the middle and the largest of the runs. The middle of an even number of runs lies between two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min: u32,
    pub(super) median: f64,
    pub(super) max: u32,
}

impl Spread {
    fn of(mut values: Vec<u32>) -> Self {
        values.sort_unstable();
        let at = |index: usize| values.get(index).copied().unwrap_or(0);
        let (low, high) = (at(values.len().saturating_sub(1) / 2), at(values.len() / 2));
        Self {
            min: at(0),
            median: f64::midpoint(f64::from(low), f64::from(high)),
            max: values.last().copied().unwrap_or(0),
        }
    }
}

/// One category, or all together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) category: String,
    /// Defects that were planted.
    pub(super) planted: usize,
    /// Found under their own category.
    pub(super) caught: Spread,
    /// Found under another one.
    pub(super) other_category: Spread,
    /// Not found.
    pub(super) missed: Spread,
    /// Findings that point at no defect.
    pub(super) false_alarms: Spread,
}

/// One run, for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detail {
    case: String,
    run: u32,
    reviewed: bool,
    ended: String,
    seconds: u64,
    caught: u32,
    other_category: u32,
    missed: u32,
    false_alarms: u32,
    findings: Vec<Finding>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    pub(super) cases: usize,
    /// Cases without a defect.
    pub(super) clean: usize,
    /// How often each was seen.
    pub(super) repeated: usize,
    pub(super) categories: Vec<Row>,
    pub(super) total: Row,
    /// Clean cases in which nothing was found that costs anything.
    pub(super) clean_passed: Spread,
    /// Runs without a review. Their defects are missed.
    pub(super) without_review: usize,
    pub(super) runs: Vec<Detail>,
}

/// What became of one defect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Caught,
    Other,
    Missed,
}

/// One run, judged.
struct Judged {
    number: u32,
    reviewed: bool,
    clean: bool,
    /// Category of each defect, and what became of it.
    defects: Vec<(String, Fate)>,
    /// Category of each false alarm.
    alarms: Vec<String>,
}

impl Judged {
    fn of(case: &Case, run: &Run) -> Self {
        let found = run.findings.as_deref().unwrap_or_default();
        let found: Vec<&Finding> = found.iter().filter(|finding| costs(finding)).collect();
        let fate = |defect: &Defect| {
            let hits: Vec<&&Finding> = found.iter().filter(|finding| points_at(finding, defect)).collect();
            if hits.iter().any(|finding| finding.rule == defect.category) {
                Fate::Caught
            } else if hits.is_empty() {
                Fate::Missed
            } else {
                Fate::Other
            }
        };
        let alarms = found.iter().filter(|finding| !case.defects.iter().any(|defect| points_at(finding, defect)));
        Self {
            number: run.number,
            reviewed: run.findings.is_some(),
            clean: case.defects.is_empty(),
            defects: case.defects.iter().map(|defect| (defect.category.clone(), fate(defect))).collect(),
            alarms: alarms.map(|finding| finding.rule.clone()).collect(),
        }
    }

    fn count(&self, wanted: Fate, category: Option<&str>) -> u32 {
        let of_it = |name: &str| category.is_none_or(|category| category == name);
        many(self.defects.iter().filter(|(name, fate)| *fate == wanted && of_it(name)).count())
    }

    fn alarms(&self, category: Option<&str>) -> u32 {
        many(self.alarms.iter().filter(|name| category.is_none_or(|category| category == *name)).count())
    }
}

fn many(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether the gate would charge it: a hole that is called worth knowing is not caught, and a remark is no alarm.
fn costs(finding: &Finding) -> bool {
    finding.severity > Severity::Info && !finding.known
}

fn points_at(finding: &Finding, defect: &Defect) -> bool {
    let within = |[from, to]: [u32; 2]| {
        let line = u32::try_from(finding.line).unwrap_or(0);
        line > 0 && (from.saturating_sub(NEAR)..=to.saturating_add(NEAR)).contains(&line)
    };
    finding.path == defect.file && defect.lines.is_none_or(within)
}

/// Counts.
pub(super) fn tally(categories: &[String], cases: &[Case], runs: Vec<Run>) -> Tally {
    let judged: Vec<Judged> = runs.iter().filter_map(|run| Some(Judged::of(cases.get(run.case)?, run))).collect();
    let mut numbers: Vec<u32> = judged.iter().map(|run| run.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    // What all cases come to in each of the repeated runs.
    let spread = |count: &dyn Fn(&Judged) -> u32| {
        let of = |number: &u32| judged.iter().filter(|run| run.number == *number).map(count).sum();
        Spread::of(numbers.iter().map(of).collect())
    };
    let row = |name: &str, category: Option<&str>| Row {
        category: name.to_owned(),
        planted: cases
            .iter()
            .flat_map(|case| &case.defects)
            .filter(|defect| category.is_none_or(|category| category == defect.category))
            .count(),
        caught: spread(&|run| run.count(Fate::Caught, category)),
        other_category: spread(&|run| run.count(Fate::Other, category)),
        missed: spread(&|run| run.count(Fate::Missed, category)),
        false_alarms: spread(&|run| run.alarms(category)),
    };
    let passed = |run: &Judged| u32::from(run.clean && run.reviewed && run.alarms.is_empty());
    Tally {
        cases: cases.len(),
        clean: cases.iter().filter(|case| case.defects.is_empty()).count(),
        repeated: numbers.len(),
        categories: categories.iter().map(|name| row(name, Some(name))).collect(),
        total: row("all", None),
        clean_passed: spread(&passed),
        without_review: judged.iter().filter(|run| !run.reviewed).count(),
        runs: runs.into_iter().zip(&judged).map(|(run, judged)| detail(cases, run, judged)).collect(),
    }
}

fn detail(cases: &[Case], run: Run, judged: &Judged) -> Detail {
    let Run { case, number, findings, ended, seconds } = run;
    Detail {
        case: cases.get(case).map(|case| case.name.clone()).unwrap_or_default(),
        run: number,
        reviewed: judged.reviewed,
        ended,
        seconds,
        caught: judged.count(Fate::Caught, None),
        other_category: judged.count(Fate::Other, None),
        missed: judged.count(Fate::Missed, None),
        false_alarms: judged.alarms(None),
        findings: findings.unwrap_or_default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rstest::rstest;

    use super::*;

    pub(in super::super) fn finding(severity: Severity, rule: &str, path: &str, line: i32) -> Finding {
        Finding {
            id: format!("{rule}{path}{line}"),
            rule: rule.to_owned(),
            severity,
            path: path.to_owned(),
            line,
            message: "m".to_owned(),
            evidence: String::new(),
            recommendation: String::new(),
            known: false,
        }
    }

    pub(in super::super) fn case(name: &str, defects: &[(&str, &str, Option<[u32; 2]>)]) -> Case {
        let defect = |(category, file, lines): &(&str, &str, Option<[u32; 2]>)| Defect {
            category: (*category).to_owned(),
            file: (*file).to_owned(),
            lines: *lines,
        };
        Case {
            name: name.to_owned(),
            base: String::new(),
            commit: String::new(),
            defects: defects.iter().map(defect).collect(),
        }
    }

    pub(in super::super) fn run(case: usize, number: u32, findings: Option<Vec<Finding>>) -> Run {
        Run { case, number, findings, ended: "it ended with exit code 0".to_owned(), seconds: 1 }
    }

    /// Caught, under another category, missed, false alarms.
    fn counts(findings: Option<Vec<Finding>>, lines: Option<[u32; 2]>) -> [u32; 4] {
        let cases = [case("c", &[("security", "a.py", lines)])];
        let tally = tally(&["security".to_owned()], &cases, vec![run(0, 1, findings)]);
        let Row { caught, other_category, missed, false_alarms, .. } = tally.total;
        [caught.max, other_category.max, missed.max, false_alarms.max]
    }

    #[rstest]
    #[case::within(finding(Severity::Major, "security", "a.py", 11), [1, 0, 0, 0])]
    #[case::three_lines_before(finding(Severity::Major, "security", "a.py", 7), [1, 0, 0, 0])]
    #[case::three_lines_after(finding(Severity::Minor, "security", "a.py", 15), [1, 0, 0, 0])]
    #[case::four_lines_before(finding(Severity::Major, "security", "a.py", 6), [0, 0, 1, 1])]
    #[case::four_lines_after(finding(Severity::Major, "security", "a.py", 16), [0, 0, 1, 1])]
    #[case::in_another_file(finding(Severity::Major, "security", "b.py", 11), [0, 0, 1, 1])]
    #[case::without_a_line(finding(Severity::Minor, "security", "a.py", 0), [0, 0, 1, 1])]
    #[case::under_another_category(finding(Severity::Major, "functionality", "a.py", 11), [0, 1, 0, 0])]
    #[case::only_worth_knowing(finding(Severity::Info, "security", "a.py", 11), [0, 0, 1, 0])]
    #[case::a_remark_elsewhere(finding(Severity::Info, "security", "b.py", 1), [0, 0, 1, 0])]
    #[case::old_debt_elsewhere(Finding { known: true, ..finding(Severity::Major, "security", "b.py", 1) }, [0, 0, 1, 0])]
    fn a_finding(#[case] finding: Finding, #[case] expected: [u32; 4]) {
        assert_eq!(counts(Some(vec![finding]), Some([10, 12])), expected);
    }

    #[test]
    fn its_own_category_wins_and_two_findings_catch_once() {
        let both = vec![
            finding(Severity::Major, "functionality", "a.py", 11),
            finding(Severity::Major, "security", "a.py", 12),
        ];
        assert_eq!(counts(Some(both), Some([10, 12])), [1, 0, 0, 0]);
    }

    #[test]
    fn a_defect_of_a_whole_file_is_caught_anywhere_in_it() {
        assert_eq!(counts(Some(vec![finding(Severity::Minor, "security", "a.py", 0)]), None), [1, 0, 0, 0]);
    }

    #[test]
    fn without_a_review_everything_is_missed_and_a_clean_case_does_not_pass() {
        assert_eq!(counts(None, Some([10, 12])), [0, 0, 1, 0]);
        let tally = tally(&[], &[case("clean", &[])], vec![run(0, 1, None), run(0, 2, Some(Vec::new()))]);
        assert_eq!((tally.without_review, tally.clean_passed), (1, Spread { min: 0, median: 0.5, max: 1 }));
    }

    #[rstest]
    #[case(vec![3], Spread { min: 3, median: 3.0, max: 3 })]
    #[case(vec![4, 1], Spread { min: 1, median: 2.5, max: 4 })]
    #[case(vec![9, 0, 2], Spread { min: 0, median: 2.0, max: 9 })]
    #[case(vec![], Spread { min: 0, median: 0.0, max: 0 })]
    fn the_spread_of_runs(#[case] values: Vec<u32>, #[case] expected: Spread) {
        assert_eq!(Spread::of(values), expected);
    }
}
