//! `phasegate runner step` as a real process: exit codes, signals, time, orphans, output, services.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rstest::rstest;
use serde_json::Value;

struct Step {
    out: tempfile::TempDir,
    options: Vec<String>,
}

impl Step {
    fn new(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { out: tempfile::tempdir().expect("a folder"), options }
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut step = Command::new(env!("CARGO_BIN_EXE_phasegate"));
        step.args(["runner", "step", "--out"]).arg(self.out.path());
        if !self.options.iter().any(|option| option == "--timeout") {
            step.args(["--timeout", "30"]);
        }
        step.args(&self.options).arg("--").args(command);
        step.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        step
    }

    fn script(&self, script: &str) -> Output {
        self.command(&["sh", "-eu", "-c", script]).output().expect("step runs")
    }

    fn start(&self, script: &str) -> Child {
        self.command(&["sh", "-eu", "-c", script]).spawn().expect("step runs")
    }

    fn record(&self) -> Value {
        let record = fs::read(self.out.path().join("step.json")).expect("a record");
        serde_json::from_slice(&record).expect("a record in JSON")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.out.path().join("output.log")).expect("an output")
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a number")).expect("a number");
    rustix::process::kill_process(pid, signal).expect("sent");
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[rstest]
#[case::well("exit 0", 0, Value::Null)]
#[case::badly("exit 7", 7, Value::Null)]
#[case::by_a_signal("kill -KILL $$", 137, 9.into())]
#[case::by_another("kill -SEGV $$", 139, 11.into())]
#[case::by_sh_eu("false; exit 0", 1, Value::Null)]
fn the_exit_code_is_the_commands(#[case] script: &str, #[case] code: i32, #[case] by: Value) {
    let step = Step::new(&[]);
    assert_eq!(step.script(script).status.code(), Some(code));
    let record = step.record();
    assert_eq!((&record["exitCode"], &record["signal"], &record["timedOut"]), (&code.into(), &by, &false.into()));
    let time = |name: &str| record[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(time("startedAt") <= time("finishedAt"));
}

#[rstest]
#[case::not_there("/nonexistent/command", 127)]
#[case::not_on_the_path("no-such-command-anywhere", 127)]
#[case::not_executable("/etc/passwd", 126)]
fn a_command_that_cannot_start_says_why(#[case] command: &str, #[case] code: i32) {
    let step = Step::new(&[]);
    let output = step.command(&[command]).output().unwrap();
    assert_eq!(output.status.code(), Some(code));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("failed to start {command}")));
    assert!(step.record()["message"].as_str().unwrap().contains("must be in the image"));
    assert!(step.output().contains("failed to start"));
}

#[test]
fn both_outputs_are_passed_on_and_kept() {
    let step = Step::new(&[]);
    let output = step.script("echo one; echo two >&2; sleep 0.2; echo three");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\nthree\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "two\n");
    let mut kept: Vec<String> = step.output().lines().map(str::to_owned).collect();
    kept.sort();
    assert_eq!(kept, ["one", "three", "two"]);
}

#[test]
fn a_flood_of_output_is_capped_on_disk_with_beginning_and_end() {
    let step = Step::new(&[]);
    let output = step.script("echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last");
    assert_eq!(output.stdout.len(), 6 + 20_000_000 + 1 + 5);
    let kept = step.output();
    assert!(kept.len() < 6 << 20, "{} bytes", kept.len());
    assert!(kept.starts_with("first\n") && kept.ends_with("\nlast\n") && kept.contains("bytes are left out"));
}

#[test]
fn a_command_that_passes_its_timeout_is_ended_with_all_its_processes() {
    let step = Step::new(&["--timeout", "1", "--grace", "1"]);
    let start = Instant::now();
    let output = step.script("trap '' TERM; sleep 300 & echo $!; sleep 300");
    assert_eq!(output.status.code(), Some(124));
    assert!(start.elapsed() < Duration::from_secs(10));
    let left: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(!Path::new(&format!("/proc/{left}")).exists(), "a process was left behind");
    let record = step.record();
    assert_eq!((&record["exitCode"], &record["timedOut"], &record["signal"]), (&124.into(), &true.into(), &9.into()));
    assert!(record["message"].as_str().unwrap().contains("timeout of 1 s"));
}

#[test]
fn a_command_that_says_all_is_well_when_its_time_is_up_has_still_timed_out() {
    let step = Step::new(&["--timeout", "1", "--grace", "5"]);
    let output = step.script("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    assert_eq!((output.status.code(), &step.record()["timedOut"]), (Some(124), &true.into()));
}

#[rstest]
#[case(rustix::process::Signal::TERM, 143)]
#[case(rustix::process::Signal::INT, 130)]
fn a_signal_is_handed_on(#[case] sent: rustix::process::Signal, #[case] code: i32) {
    let step = Step::new(&[]);
    let ready = step.out.path().join("ready");
    // Not a shell, which would ignore SIGINT for its children.
    let script = format!("touch {}; exec sleep 300", ready.display());
    let mut child = step.start(&script);
    wait_for(&ready);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, sent);
    assert_eq!(child.wait().unwrap().code(), Some(code));
    assert_eq!(step.record()["timedOut"], false);
}

#[test]
fn a_command_may_tidy_up_when_it_is_told_to_end() {
    let step = Step::new(&[]);
    let ready = step.out.path().join("ready");
    let script = format!("trap 'echo tidy; exit 3' TERM; touch {}; while :; do sleep 0.1; done", ready.display());
    let mut child = step.start(&script);
    wait_for(&ready);
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(step.output().contains("tidy"));
}

#[test]
fn a_command_that_ignores_the_signal_is_killed_after_the_grace_period() {
    let step = Step::new(&["--grace", "1"]);
    let ready = step.out.path().join("ready");
    let mut child = step.start(&format!("trap '' TERM; touch {}; while :; do sleep 0.1; done", ready.display()));
    wait_for(&ready);
    let start = Instant::now();
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(start.elapsed() >= Duration::from_millis(900) && start.elapsed() < Duration::from_secs(10));
}

#[test]
fn orphans_are_collected() {
    let step = Step::new(&[]);
    // Each subshell leaves a child behind that ends later and becomes step's.
    let output = step
        .script("for i in 1 2 3 4 5; do (sleep 0.2 & ) ; done; sleep 1; ps -o stat= --ppid $PPID | grep -c Z || true");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_the_command_leaves_running_does_not_keep_the_step() {
    let step = Step::new(&[]);
    let start = Instant::now();
    let output = step.script("sleep 300 & setsid sleep 6 & echo done");
    assert_eq!(output.status.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(step.output().contains("done"));
}

#[test]
fn the_command_starts_once_its_service_answers() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let step = Step::new(&["--wait-port", &port.to_string()]);
    let started = step.out.path().join("started");
    let mut child = step.start(&format!("touch {}", started.display()));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!started.exists());
    let _service = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(started.exists());
}

#[test]
fn a_service_that_never_answers_fails_the_check_by_name() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let step = Step::new(&["--wait-port", &port, "--wait-seconds", "1"]);
    let output = step.script("echo must not run");
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
    let message = step.record()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("service port {port}")), "{message}");
}

#[test]
fn a_record_that_the_command_wrote_itself_is_replaced() {
    let step = Step::new(&[]);
    let forged = step.out.path().join("step.json");
    let output = step.script(&format!("echo '{{\"exitCode\":0}}' > {}; exit 4", forged.display()));
    assert_eq!((output.status.code(), &step.record()["exitCode"]), (Some(4), &4.into()));
}

#[test]
fn without_room_for_records_the_command_runs_all_the_same() {
    let step = Step::new(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_phasegate"));
    command.args(["runner", "step", "--timeout", "5", "--out", "/nonexistent/folder", "--", "sh", "-c", "exit 5"]);
    assert_eq!(command.output().unwrap().status.code(), Some(5));
    drop(step);
}
