//! Coverage of lines: what could run, what ran, and how much of what the phase changed ran.
//!
//! Percentages that a report claims are not looked at. The same line of the same file may be reported
//! many times (once per method, per class, per test): it ran if it ran in any.

mod cobertura;
mod lcov;

use std::collections::{BTreeMap, BTreeSet};

use super::{Around, Broken, Facts, change::Change, source::Source};
use crate::api::{
    common::Quantity,
    evidence::{Coverage, LineCounts, Report},
};

/// Most lines of one report that are held, once doubles are gone.
const MAX_LINES: usize = 5_000_000;
/// Most files of one report, and most bytes of their names together.
const MAX_FILES: usize = 100_000;
const MAX_NAMES: usize = 32 * 1024 * 1024;
/// Coverage to reach unless a target says otherwise (design §7), in percent.
const TARGET: Quantity = Quantity::from_millionths(90_000_000);

/// Reads Cobertura XML. A report without a line of a file of the work tree is Empty, here and below.
pub(super) fn cobertura(report: &Report, source: &dyn Source, around: &Around<'_>) -> Result<Facts, Broken> {
    facts(report, &cobertura::read(source, around)?, around)
}

/// Reads an LCOV tracefile.
pub(super) fn lcov(report: &Report, source: &dyn Source, around: &Around<'_>) -> Result<Facts, Broken> {
    facts(report, &lcov::read(source, around)?, around)
}

fn facts(report: &Report, measured: &Measured, around: &Around<'_>) -> Result<Facts, Broken> {
    let all = measured.all();
    if all.total == 0 {
        return Err(Broken::empty("no line that can be covered is in it, of any file of the work tree"));
    }
    let wanted = report.targets.iter().find(|target| target.metric == "lines").and_then(|target| target.at_least);
    let changed = around.change.map(|change| measured.changed(change));
    Ok(Facts { coverage: Some(Coverage { all, changed, target: wanted.unwrap_or(TARGET) }), ..Facts::default() })
}

/// Lines by file.
#[derive(Default)]
struct Measured {
    files: BTreeMap<String, Lines>,
}

/// Lines of one file: the number, and in its lowest bit whether it ran.
#[derive(Default)]
struct Lines(Vec<u32>);

impl Lines {
    fn add(&mut self, line: u32, ran: bool) {
        self.0.push(line << 1 | u32::from(ran));
    }

    /// Puts doubles together.
    fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|later, earlier| {
            let same = *later >> 1 == *earlier >> 1;
            *earlier |= u32::from(same) & *later & 1;
            same
        });
    }

    fn each(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        self.0.iter().map(|line| (line >> 1, line & 1 == 1))
    }
}

impl Measured {
    fn all(&self) -> LineCounts {
        counted(self.files.values().flat_map(Lines::each))
    }

    /// Changed lines that could run. A source file that the report does not know counts with the lines
    /// of it that look as if they could: what nobody ran is not covered.
    fn changed(&self, change: &Change) -> LineCounts {
        let mut counts = LineCounts::default();
        let kinds: BTreeSet<String> = self.files.keys().filter_map(|path| kind(path)).collect();
        for (path, file) in change.files() {
            let LineCounts { covered, total } = match self.files.get(path) {
                Some(lines) => counted(lines.each().filter(|(line, _)| file.touches(*line))),
                None if kind(path).is_some_and(|kind| kinds.contains(&kind)) && !is_test(path) => {
                    LineCounts { covered: 0, total: i64::from(file.code) }
                }
                None => continue,
            };
            counts.covered += covered;
            counts.total += total;
        }
        counts
    }
}

fn counted(lines: impl Iterator<Item = (u32, bool)>) -> LineCounts {
    let mut counts = LineCounts::default();
    for (_, ran) in lines {
        counts.total += 1;
        counts.covered += i64::from(ran);
    }
    counts
}

/// The extension of a file, which stands for its language.
fn kind(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, extension)| extension.to_ascii_lowercase())
}

/// Whether a file is a test, an example or a benchmark by its name: nobody measures those.
fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    folders.split('/').any(|folder| ["tests", "test", "__tests__", "examples", "benches"].contains(&folder))
        || name == "conftest.py"
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || [".test", ".spec"].iter().any(|end| stem.ends_with(end))
}

/// Collects lines while a report is read, within bounds.
#[derive(Default)]
struct Collector {
    files: BTreeMap<String, Lines>,
    names: usize,
    held: usize,
}

impl Collector {
    /// The lines of a file, by any name.
    fn file(&mut self, name: &str) -> Result<(), Broken> {
        if self.files.contains_key(name) {
            return Ok(());
        }
        self.names += name.len();
        if self.files.len() >= MAX_FILES || self.names > MAX_NAMES {
            return Err(Broken::invalid(format!("more than {MAX_FILES} files, or their names are too long")));
        }
        self.files.insert(name.to_owned(), Lines::default());
        Ok(())
    }

    /// A line of a file that was named before. Line 0, which some tools write, is none.
    fn line(&mut self, name: &str, line: u32, ran: bool) -> Result<(), Broken> {
        if line == 0 || line > u32::MAX >> 1 {
            return Ok(());
        }
        if self.held >= MAX_LINES {
            self.files.values_mut().for_each(Lines::settle);
            self.held = self.files.values().map(|lines| lines.0.len()).sum();
            if self.held > MAX_LINES / 2 {
                return Err(Broken::invalid(format!("more than {} lines; let the tool report less", MAX_LINES / 2)));
            }
        }
        if let Some(lines) = self.files.get_mut(name) {
            lines.add(line, ran);
            self.held += 1;
        }
        Ok(())
    }

    /// The whole report, its files by their paths below the work tree. Those outside are not ours to cover.
    fn finish(self, place: impl Fn(&str) -> Option<String>) -> Measured {
        let mut measured = Measured::default();
        for (name, mut lines) in self.files {
            if let Some(path) = place(&name) {
                measured.files.entry(path).or_default().0.append(&mut lines.0);
            }
        }
        measured.files.values_mut().for_each(Lines::settle);
        measured
    }
}

/// Whether a count of executions says that a line ran. None if it is no count.
fn ran(count: &str) -> Option<bool> {
    let count = count.trim();
    let digits = count.strip_prefix('-').unwrap_or(count);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Some versions of gcov write negative counts where they lost one.
    Some(digits.len() == count.len() && digits.bytes().any(|byte| byte != b'0'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Some(false))]
    #[case("000", Some(false))]
    #[case("1", Some(true))]
    #[case("99999999999999999999999999", Some(true))]
    #[case("-1", Some(false))]
    #[case("", None)]
    #[case("-", None)]
    #[case("1.5", None)]
    #[case("yes", None)]
    fn a_count_says_whether_a_line_ran(#[case] count: &str, #[case] expected: Option<bool>) {
        assert_eq!(ran(count), expected);
    }

    #[test]
    fn a_line_that_is_reported_many_times_ran_if_it_ran_once() {
        let mut lines = Lines::default();
        for (line, ran) in [(3, false), (1, false), (3, true), (2, true), (3, false), (1, false), (4, false)] {
            lines.add(line, ran);
        }
        lines.settle();
        assert_eq!(lines.each().collect::<Vec<_>>(), [(1, false), (2, true), (3, true), (4, false)]);
    }

    #[test]
    fn doubles_do_not_fill_a_report_and_lines_do() {
        let mut collector = Collector::default();
        collector.file("a").unwrap();
        for line in 0..(MAX_LINES * 2) {
            collector.line("a", u32::try_from(line % 1000).unwrap(), line % 7 == 0).unwrap();
        }
        let lines = 0..u32::try_from(MAX_LINES * 2).unwrap();
        let refused = lines.into_iter().find_map(|line| collector.line("a", line, true).err()).unwrap();
        assert!(refused.message.contains("more than 2500000 lines"), "{refused:?}");
    }

    #[rstest]
    #[case("src/a.py", false)]
    #[case("src/contest.py", false)]
    #[case("src/latest.rs", false)]
    #[case("src/test.py", false)]
    #[case("tests/a.py", true)]
    #[case("pkg/tests/deep/a.py", true)]
    #[case("test_a.py", true)]
    #[case("pkg/a_test.go", true)]
    #[case("web/a.test.tsx", true)]
    #[case("web/a.spec.ts", true)]
    #[case("conftest.py", true)]
    #[case("benches/a.rs", true)]
    fn a_test_is_told_by_its_name(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_test(path), expected);
    }

    #[rstest]
    #[case("src/a.py", Some("py"))]
    #[case("a.TSX", Some("tsx"))]
    #[case(".gitignore", None)]
    #[case("Makefile", None)]
    #[case("dir.d/file", None)]
    fn an_extension_stands_for_a_language(#[case] path: &str, #[case] expected: Option<&str>) {
        assert_eq!(kind(path).as_deref(), expected);
    }
}
