//! `phasegate calibrate` as a real process, with the scripted reviewer: what it prints is what was planted and found.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const SET: &str = "
repository: code
categories: [security, functionality]
cases:
  - name: a-password
    base: base
    commit: a-password
    defects:
      - {category: security, file: app.py, lines: [3, 4]}
  - name: a-division
    base: base
    commit: a-division
    defects:
      - {category: functionality, file: app.py, lines: [2, 2]}
  - {name: nothing, base: base, commit: nothing}
";

const REST: &str = "
summary: done
examined:
  - {category: security, what: all}
  - {category: functionality, what: all}
";

fn git(dir: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with the set, its repository of three commits, and scripts of a reviewer for each run.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().expect("a folder"));
        world.write("set.yaml", SET);
        let code = world.0.path().join("code");
        let lines: Vec<String> = (1..=12).map(|line| format!("line{line:02} = {line}\n")).collect();
        world.write("code/app.py", &lines.concat());
        git(&code, &["init", "-q"]);
        git(&code, &["add", "-A"]);
        git(&code, &["commit", "-qm", "base"]);
        git(&code, &["tag", "base"]);
        for (name, line, text) in [
            ("a-password", 3, "password = 'hunter2'"),
            ("a-division", 2, "total = 1 / 0"),
            ("nothing", 5, "line05 = 55"),
        ] {
            let mut lines = lines.clone();
            lines[line - 1] = format!("{text}\n");
            git(&code, &["checkout", "-q", "-b", name, "base"]);
            world.write("code/app.py", &lines.concat());
            git(&code, &["commit", "-qam", name]);
        }
        world
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// What the scripted reviewer finds in a case in a run: severity, category, line and quote.
    fn script(&self, run: u32, case: u32, findings: &[(&str, &str, u32, &str)]) {
        let lines: Vec<String> = findings
            .iter()
            .map(|(severity, category, line, quote)| {
                format!("  - {{severity: {severity}, category: {category}, file: app.py, line: {line}, evidence: \"{quote}\", message: m}}\n")
            })
            .collect();
        let findings =
            if lines.is_empty() { "findings: []\n".to_owned() } else { format!("findings:\n{}", lines.concat()) };
        self.write(&format!("scripts/{run}/case-{case}.reviewer.1.review.yaml"), &format!("{findings}{REST}"));
    }

    fn calibrate(&self, options: &[&str]) -> Output {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let reviewer = format!(
            "exec {} replay --patches {}/scripts/$PHASEGATE_CALIBRATION_RUN",
            env!("CARGO_BIN_EXE_phasegate"),
            self.0.path().display()
        );
        Command::new(env!("CARGO_BIN_EXE_phasegate"))
            .args(["calibrate", "--port", &port.to_string(), "--timeout", "60s", "--planted"])
            .arg(self.0.path().join("set.yaml"))
            .args(options)
            .args(["--", "sh", "-c", &reviewer])
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    }
}

const HOLE: (&str, &str, u32, &str) = ("Critical", "security", 3, "password = 'hunter2'");
const BUG: (&str, &str, u32, &str) = ("Major", "functionality", 2, "total = 1 / 0");

#[test]
fn the_table_says_what_was_caught_missed_and_made_up_with_the_spread_over_the_runs() {
    let world = World::new();
    world.script(1, 1, &[HOLE]);
    world.script(1, 2, &[("Major", "security", 2, "total = 1 / 0")]);
    world.script(1, 3, &[]);
    world.script(2, 1, &[]);
    world.script(2, 2, &[BUG, ("Minor", "functionality", 12, "line12 = 12")]);
    world.script(2, 3, &[("Minor", "security", 5, "line05 = 55"), ("Info", "security", 6, "line06 = 6")]);
    // In the third run it ends without a review of the first case.
    world.script(3, 2, &[BUG]);
    world.script(3, 3, &[]);
    let output = world.calibrate(&["--runs", "3"]);
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let expected = "\
CATEGORY       PLANTED  CAUGHT  OTHER CATEGORY  MISSED  FALSE ALARMS
security             1   0/0/1               0   0/1/1         0/0/1
functionality        1   0/1/1           0/0/1       0         0/0/1
all                  2       1           0/0/1   0/1/1         0/0/2

3 cases, 1 of them clean, each seen 3 times: minimum/median/maximum
clean cases without a false alarm: 0/1/1 of 1
runs without a review: 1 of 9
";
    assert_eq!(said, expected, "{errors}");
    assert!(output.status.success());
    assert!(errors.contains("a-password, run 3 of 3: no review, it ended with exit code 1"), "{errors}");
    assert!(errors.contains("no review script case-1.reviewer.1.review.yaml"), "{errors}");
}

#[test]
fn programs_get_every_run_and_every_finding() {
    let world = World::new();
    world.script(1, 1, &[HOLE]);
    world.script(1, 2, &[]);
    world.script(1, 3, &[]);
    let output = world.calibrate(&["--runs", "1", "--output", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&result["total"]["planted"], &result["total"]["caught"]["max"]), (&2.into(), &1.into()));
    assert_eq!((&result["runs"][0]["case"], &result["runs"][0]["caught"]), (&"a-password".into(), &1.into()));
    assert_eq!(result["runs"][0]["findings"][0]["evidence"], "password = 'hunter2'");
    assert_eq!((&result["runs"][1]["missed"], &result["cleanPassed"]["min"]), (&1.into(), &1.into()));
}

#[test]
fn a_reviewer_that_never_submits_is_an_error_and_so_is_a_bad_set() {
    let world = World::new();
    let output = world.calibrate(&["--runs", "1"]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("phasegate: no run of 3 ended with a review"), "{errors}");
    world.write("set.yaml", &SET.replace("commit: nothing", "commit: never"));
    let errors = world.calibrate(&[]).stderr;
    assert!(String::from_utf8_lossy(&errors).contains("cases[2].commit of the set: \"never\" is no commit"));
}
