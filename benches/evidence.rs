//! How long evidence takes (design §14): `cargo bench --bench evidence`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and may end early")]

use std::{
    hint::black_box,
    io::{self, BufRead, BufReader, Read, Write as _},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use phasegate::{
    api::{
        ReviewResultSpec,
        evidence::{Report, ReportFacts, ReportFormat, ReportState},
    },
    review::{Around, BaseReport, Change, DiffParser, Source, compare_report, judge},
};
use serde_json::json;

const ROOT: &str = "/workspace";
const RESULTS: u32 = 10_000;

fn report(path: &str, format: ReportFormat) -> Report {
    Report { path: path.to_owned(), format, levels: None, targets: Vec::new() }
}

/// Ten thousand results in a hundred files, of ten rules, as an analyser writes them.
fn sarif(from: u32) -> Vec<u8> {
    let result = |n: u32| {
        json!({
            "ruleId": format!("R{}", n % 10), "ruleIndex": n % 10, "level": "warning",
            "message": {"text": format!("something is wrong with the {n}th of many values, which nobody uses")},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": format!("src/module_{}/file.py", n % 100), "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": n / 100 + 1, "startColumn": 5, "endLine": n / 100 + 1, "endColumn": 40},
            }}],
            "partialFingerprints": {"primaryLocationLineHash": format!("{n:016x}:1")},
        })
    };
    let rules: Vec<_> = (0..10)
        .map(|n| json!({"id": format!("R{n}"), "shortDescription": {"text": "a rule"}, "defaultConfiguration": {"level": "warning"}}))
        .collect();
    let results: Vec<_> = (from..from + RESULTS).map(result).collect();
    let run = json!({"tool": {"driver": {"name": "t", "rules": rules}}, "results": results});
    serde_json::to_vec(&json!({"version": "2.1.0", "runs": [run]})).unwrap()
}

/// Every line of every file has a text of its own.
#[expect(clippy::unnecessary_wraps, reason = "a file may have no such line")]
fn lines(path: &str, line: u32) -> Option<String> {
    Some(format!("    value_{line} = compute({path:?}, {line})"))
}

/// What a phase changed: a few lines in each of a hundred files.
fn change() -> Change {
    let mut parser = DiffParser::default();
    for file in 0..100 {
        let path = format!("src/module_{file}/file.py");
        let head = format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n");
        parser.feed(head.as_bytes()).unwrap();
        parser.feed(b"@@ -100,0 +101 @@\n+new()\n@@ -120 +122 @@\n-old()\n+new()\n").unwrap();
    }
    parser.finish().unwrap()
}

fn spec(facts: &ReportFacts) -> ReviewResultSpec {
    serde_json::from_value(json!({
        "repository": "r", "phase": "p", "phaseUID": "u", "attempt": 1, "number": 1, "commit": "c", "tree": "t",
        "base": "b", "gateHash": "h",
        "rubric": {"passingScore": "9.0", "categories": [{"name": "code-quality", "weight": 30, "floor": "8.0"}]},
        "checks": [{"name": "lint", "task": "t", "blocking": false, "categories": ["code-quality"], "outcome": "Failed",
            "exitCode": 1, "reports": [facts]}],
    }))
    .unwrap()
}

/// A SARIF of 10,000 results parsed, matched against a base of as many, and scored. Half of them are new.
fn gate(criterion: &mut Criterion) {
    let report = report("lint.sarif", ReportFormat::Sarif);
    let (before, after, change) = (sarif(0), sarif(RESULTS / 2), change());
    let around = Around::new(ROOT, &lines);
    let read_base = || BaseReport::read(&report, &before.as_slice(), &around, "c", "t").unwrap();
    let read_head = |base: &BaseReport| {
        let around = Around { base: Some(base), change: Some(&change), ..around };
        compare_report(&report, &after.as_slice(), &around)
    };
    let facts = read_head(&read_base());
    let counts = facts.counts.unwrap();
    assert_eq!((facts.state, counts.minor), (ReportState::Read, 5000));
    assert_eq!(facts.base.as_ref().unwrap().known.unwrap().minor, 5000);
    println!("sarif: {RESULTS} results, {} KiB", after.len() / 1024);

    let mut group = criterion.benchmark_group("sarif of 10,000 results");
    group.sample_size(30);
    group.bench_function("base parsed, head parsed, matched and scored", |bench| {
        bench.iter(|| judge(&spec(&read_head(&read_base()))));
    });
    let base = read_base();
    group.bench_function("head parsed and matched", |bench| bench.iter(|| read_head(black_box(&base))));
    group.bench_function("scored", |bench| {
        bench.iter_batched(|| spec(&facts), |spec| judge(&spec), BatchSize::SmallInput);
    });
    group.finish();
}

/// A file that is made while it is read, so that the benchmark holds as little as the reader does.
struct Made {
    cases: u64,
}

struct Piece {
    next: u64,
    cases: u64,
    text: Vec<u8>,
    at: usize,
}

impl Source for Made {
    fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
        let text = b"<?xml version=\"1.0\"?><testsuites><testsuite name=\"s\">".to_vec();
        Ok(Box::new(BufReader::with_capacity(64 << 10, Piece { next: 0, cases: self.cases, text, at: 0 })))
    }
}

impl Read for Piece {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.text.clear();
            self.at = 0;
            if self.next < self.cases {
                let n = self.next;
                write!(
                    self.text,
                    "<testcase classname=\"package.module_{}\" name=\"test_number_{n}\" time=\"0.001\">",
                    n % 97
                )?;
                if n % 1000 == 999 {
                    write!(self.text, "<failure message=\"assert {n} == 0\">{}</failure>", "trace ".repeat(40))?;
                }
                self.text.extend_from_slice(b"<system-out>one line of output</system-out></testcase>\n");
            } else if self.next == self.cases {
                self.text.extend_from_slice(b"</testsuite></testsuites>\n");
            }
            self.next += 1;
        }
        let read = (&self.text[self.at..]).read(into)?;
        self.at += read;
        Ok(read)
    }
}

/// Most memory that this process ever held, in KiB (Linux).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// A JUnit of 50 MB, in bounded memory.
fn junit(criterion: &mut Criterion) {
    let report = report("junit.xml", ReportFormat::JUnit);
    let file = Made { cases: 385_000 };
    let size = io::copy(&mut file.open().unwrap(), &mut io::sink()).unwrap();
    let around = Around::new(ROOT, &lines);
    let before = peak();
    let facts = compare_report(&report, &file, &around);
    let after = peak();
    let tests = facts.tests.unwrap();
    assert_eq!((facts.state, tests.passed, tests.failed), (ReportState::Read, 384_615, 385));
    println!(
        "junit: {} tests, {} MB; peak memory of the process {before} KiB before, {after} KiB after",
        file.cases,
        size / 1_000_000
    );
    let mut group = criterion.benchmark_group("junit of 50 MB");
    group.sample_size(10);
    group.bench_function("made, checked and counted", |bench| {
        bench.iter(|| compare_report(&report, black_box(&file), &around));
    });
    group.finish();
}

// The one that tells its memory is first: the peak is that of the whole process.
criterion_group!(benches, junit, gate);
criterion_main!(benches);
