//! The schema and the rules of each kind: what is refused, and in which words.

use serde_json::json;

use crate::support::{ANYONE, Answer, ApiServer, OPERATOR, User, ask};

const REPOSITORY: &str = "checks: [{name: test, image: python, script: python -m unittest}]";
const PHASE: &str = "repositoryRef: {name: hello}, number: 1, version: 0.1.0, tasks: [{name: greet, description: d}]";
const DECISION: &str = "type: Suspend, phase: p, phaseUID: u, attempt: 1, user: eve";
const COMMIT: &str = "commit: 0123456789012345678901234567890123456789";

/// The plural, and whether the operator alone may make one.
fn route(kind: &str) -> (&'static str, User) {
    match kind {
        "Repository" => ("repositories", ANYONE),
        "Phase" => ("phases", ANYONE),
        "Decision" => ("decisions", ANYONE),
        "AgentTask" => ("agenttasks", OPERATOR),
        _ => ("reviewresults", OPERATOR),
    }
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!("{{apiVersion: phasegate.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {{{spec}}}}}")
}

/// Later keys win, as in a merge: the base with one thing changed or added.
fn with(base: &str, change: &str) -> String {
    let mut spec: serde_json::Value = serde_yaml::from_str(&format!("{{{base}}}")).expect("YAML");
    let change: serde_json::Value = serde_yaml::from_str(&format!("{{{change}}}")).expect("YAML");
    for (key, value) in change.as_object().expect("a map") {
        let fields = spec.as_object_mut().expect("a map");
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.clone(), value.clone());
        }
    }
    let text = spec.to_string();
    text[1..text.len() - 1].to_owned()
}

/// Creates in dry-run; an empty expectation means success.
async fn try_all(rows: Vec<(&str, &str, String, &str)>) {
    let server = ApiServer::with_chart().await;
    let client = server.client().await;
    let mut wrong = Vec::new();
    for (kind, name, spec, words) in rows {
        let (plural, who) = route(kind);
        let path = format!("/apis/phasegate.dev/v1alpha1/namespaces/alicia/{plural}?dryRun=All&fieldValidation=Strict");
        let answer = ask(&client, who, "POST", &path, &object(kind, name, &spec)).await;
        let right = match &answer {
            Answer::Yes(_) => words.is_empty(),
            Answer::No(status) => !words.is_empty() && status.message.contains(words),
        };
        if !right {
            wrong.push(format!("{kind} {name} {{{spec}}}\n  wanted: {words}\n  got: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_bad_repository_is_refused_in_words() {
    let check = |change: &str| format!("checks: [{{{}}}]", with("name: test, image: python, script: x", change));
    let report = |change: &str| check(&format!("reports: [{{{}}}]", with("path: r.xml, format: JUnit", change)));
    let score = |value: &str| format!("review: {{passingScore: {value}}}");
    let repository = |spec: String| ("Repository", "hello", spec);
    let rows = [
        (repository(REPOSITORY.to_owned()), ""),
        (repository(String::new()), ""),
        (("Repository", "a.b", String::new()), "metadata.name: at most 40 characters"),
        (repository("notthere: 1".to_owned()), "unknown field \"spec.notthere\""),
        (
            repository("budget: {tokensPerPhase: 1}".to_owned()),
            "spec.budget is not implemented in this version; remove it",
        ),
        (
            repository("notify: {url: 'http://x'}".to_owned()),
            "spec.notify is not implemented in this version; remove it",
        ),
        (repository("agents: {reviewer: {podTemplateRef: {name: r}}}".to_owned()), ""),
        (repository("agents: {reviewers: [{name: a, podTemplateRef: {name: r}, shadow: true}]}".to_owned()), ""),
        (
            repository(
                "agents: {reviewer: {podTemplateRef: {name: r}}, reviewers: [{name: a, podTemplateRef: {name: r}}]}"
                    .to_owned(),
            ),
            "spec.agents: set reviewer or reviewers, not both; a single reviewer can be an entry of reviewers",
        ),
        (
            repository(
                "agents: {reviewers: [{name: a, podTemplateRef: {name: r}}, {name: a, podTemplateRef: {name: s}}]}"
                    .to_owned(),
            ),
            "Duplicate value",
        ),
        (
            repository("upstream: {url: 'http://h/x.git', credentialsSecretRef: {name: s}}".to_owned()),
            "spec.upstream.credentialsSecretRef: credentials do not go over http or git; use https or ssh",
        ),
        (
            repository("upstream: {url: 'https://h/x.git', deliver: Push}".to_owned()),
            "spec.upstream.deliver: Branch and Push need spec.upstream.credentialsSecretRef",
        ),
        (
            repository("upstream: {url: 'ssh://git@h/x.git'}".to_owned()),
            "spec.upstream.url: ssh needs a key; name the Secret that holds it",
        ),
        (
            repository("upstream: {url: 'https://h/x.git', interval: 5s}".to_owned()),
            "spec.upstream.interval: from 30s to 24h",
        ),
        (
            repository("upstream: {url: 'ssh://-oProxyCommand=x/y', credentialsSecretRef: {name: s}}".to_owned()),
            "spec.upstream.url",
        ),
        (
            repository(
                "upstream: {url: 'ssh://git@h:2222/x.git', credentialsSecretRef: {name: s}, deliver: Push, interval: 1h30m}"
                    .to_owned(),
            ),
            "",
        ),
        (repository("upstream: {url: 'https://h/x.git', credentialsSecretRef: {name: s}, deliver: Branch}".to_owned()), ""),
        (repository("upstream: {url: 'https://user:pw@h/x.git'}".to_owned()), "spec.upstream.url"),
        (repository("upstream: {url: 'git://h.svc/x.git'}".to_owned()), ""),
        (repository("baseBranch: -x".to_owned()), "spec.baseBranch"),
        (repository("parallelism: 0".to_owned()), "spec.parallelism"),
        // An integer, and a quoted decimal. An unquoted one is a float, and floats have no place here.
        (repository(score("9")), ""),
        (repository(score("9.0")), ""),
        (repository(score("'9.5'")), ""),
        (repository(score("9.5")), "spec.review.passingScore in body must be of type integer,string"),
        (repository(score("11")), "spec.review.passingScore in body should be less than or equal to 10"),
        (repository(score("'11'")), "spec.review.passingScore in body should match"),
        (repository(score("'9.55'")), "spec.review.passingScore in body should match"),
        (repository(check("script: null")), "checks[]: set exactly one of script, command and external"),
        (repository(check("command: [a]")), "checks[]: set exactly one of script, command and external"),
        (repository(check("external: {}")), "checks[]: set exactly one of script, command and external"),
        (repository(check("script: null, command: [a]")), ""),
        (repository(check("script: null, image: null, external: {system: CI}")), ""),
        (
            repository(check("script: null, external: {}")),
            "checks[]: image, env, resources and services do not belong to an external check, which runs elsewhere",
        ),
        (repository(check("name: Upper")), "spec.checks[0].name"),
        (repository(check("timeout: forever")), "spec.checks[0].timeout"),
        (repository(check("categories: []")), "spec.checks[0].categories"),
        (repository("checks: [{name: a, script: x}, {name: a, script: y}]".to_owned()), "Duplicate value"),
        (repository(report("format: SARIF")), ""),
        (repository(report("format: LCOV")), ""),
        (repository(report("format: Cobertura, targets: [{metric: lines, atLeast: 80}]")), ""),
        (
            repository(report("format: LCOV, targets: [{metric: branches, atLeast: 80}]")),
            "reports[].targets of a coverage report: metric must be 'lines', with atLeast in percent",
        ),
        (
            repository(report("format: LCOV, targets: [{metric: lines, atMost: 80}]")),
            "reports[].targets of a coverage report: metric must be 'lines', with atLeast in percent",
        ),
        (
            repository(report("format: Metrics")),
            "reports[].targets: a Metrics report needs at least one target; say which measurement must reach what",
        ),
        (repository(report("format: Metrics, targets: [{metric: p95, atMost: '0.2'}]")), ""),
        (
            repository(report("format: Metrics, targets: [{metric: p95}]")),
            "reports[].targets[]: set exactly one of atLeast and atMost",
        ),
        (
            repository(report("format: Metrics, targets: [{metric: p95, atLeast: 1, atMost: 2}]")),
            "reports[].targets[]: set exactly one of atLeast and atMost",
        ),
        (
            repository(report("format: Metrics, targets: [{metric: a, atMost: 1}, {metric: a, atMost: 2}]")),
            "Duplicate value",
        ),
        (
            repository(report("targets: [{metric: lines, atLeast: 80}]")),
            "reports[].targets belong to formats Cobertura, LCOV and Metrics",
        ),
        (repository(report("levels: {error: Critical}")), "reports[].levels belong to format SARIF"),
        (
            repository(report("path: /etc/passwd")),
            "reports[].path must be relative to the work tree and must not contain '..'",
        ),
        (
            repository(report("path: a/../../b")),
            "reports[].path must be relative to the work tree and must not contain '..'",
        ),
    ];
    try_all(rows.into_iter().map(|((kind, name, spec), words)| (kind, name, spec, words)).collect()).await;
}

/// A check that always succeeds would be evidence of nothing.
#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_check_that_cannot_fail_is_refused() {
    const NEVER: &str =
        "checks[]: this check cannot fail: all it does is to print, to set options, or to hide failures";
    const LAST: &str = "checks[]: this check cannot fail: without 'set -e' the last command decides";
    let script = |script: &str| format!("checks: [{{name: test, image: python, script: {}}}]", json!(script));
    let command = |command: &[&str]| format!("checks: [{{name: test, image: python, command: {}}}]", json!(command));
    let mut rows = Vec::new();
    for text in [
        "true",
        ":",
        "exit 0",
        "exit",
        "  \n",
        "# later\n",
        "#!/bin/sh\nset -x\nexit 0",
        "echo ok",
        "echo 'a; b' && true",
        "printf '%s\\n' ok # pytest",
        "cd app\npwd",
        "/bin/true",
        "set -eu\necho tests; echo done",
        "pytest || true",
        "make lint || :",
        "ruff check . || exit 0",
        "set -e\npytest -q || true\nruff check . || :\n",
        "pytest \\\n  -k fast || true",
        "pytest || echo failed",
        "exit 0\npytest",
    ] {
        rows.push((script(text), NEVER));
        rows.push((command(&["sh", "-c", text]), NEVER));
    }
    for text in [
        "python -m unittest",
        "pytest; true",
        "cd app && pytest",
        "echo start\npytest\necho done",
        "echo ok | grep -q ok",
        "exit 1",
        "test -f x || exit 1",
        "pytest || exit $?",
        "truely",
        "if test -f x; then true; fi",
        "make test; make lint || true",
        "pytest || true\nruff check .",
        "pytest || (cat log; false)",
        "false",
        "set +e\npytest\ncode=$?\ncat log\nexit $code",
    ] {
        rows.push((script(text), ""));
    }
    rows.push((script("set +e\npytest\ntrue"), LAST));
    rows.push((script("set +e; pytest; exit 0"), LAST));
    rows.push((command(&["sh", "-c", "pytest; true"]), LAST));
    rows.push((command(&["/bin/bash", "-c", "pytest\necho done"]), LAST));
    rows.push((command(&["bash", "-c", "set -e; pytest; true"]), ""));
    rows.push((command(&["bash", "-ec", "pytest; true"]), ""));
    rows.push((command(&["true"]), NEVER));
    rows.push((command(&["/bin/true"]), NEVER));
    rows.push((command(&["echo", "x"]), NEVER));
    rows.push((command(&["bash", "-euo", "pipefail", "-c", "true"]), NEVER));
    rows.push((command(&["sh", "test.sh"]), ""));
    rows.push((command(&["pytest", "true"]), ""));
    // A report that is missing fails the check.
    let reports = "reports: [{path: r.xml, format: JUnit}]";
    rows.push((format!("checks: [{{name: test, image: python, script: pytest || true, {reports}}}]"), ""));
    rows.push((format!("checks: [{{name: test, image: python, command: [sh, -c, 'pytest; true'], {reports}}}]"), ""));
    let mut all: Vec<_> = rows.iter().map(|(spec, words)| ("Repository", "hello", spec.clone(), *words)).collect();
    all.push(("Phase", "p", with(PHASE, "checks: [{name: a, script: 'true'}]"), NEVER));
    try_all(all).await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_bad_phase_is_refused_in_words() {
    let long = "a".repeat(41);
    let novel = "a".repeat(300);
    let task = |change: &str| with(PHASE, &format!("tasks: [{{{}}}]", with("name: greet, description: d", change)));
    let criterion = |change: &str| {
        with(PHASE, &format!("successCriteria: [{{{}}}]", with("name: c, description: d, judge: Person", change)))
    };
    let phase = |change: &str| with(PHASE, change);
    let full_tasks: Vec<String> =
        (0..32).map(|n| format!("{{name: t{n}, description: d, dependsOn: [t0, t1]}}")).collect();
    let rows = vec![
        ("Phase", "hello-1", PHASE.to_owned(), ""),
        (
            "Phase",
            long.as_str(),
            PHASE.to_owned(),
            "metadata.name: at most 40 characters, lower-case letters, digits and '-'",
        ),
        ("Phase", novel.as_str(), PHASE.to_owned(), "metadata.name"),
        ("Phase", "p", phase("repositoryRef: null"), "spec.repositoryRef: Required value"),
        ("Phase", "p", phase("number: null"), "set exactly one of spec.number and spec.hotfix"),
        ("Phase", "p", phase("hotfix: h"), "set exactly one of spec.number and spec.hotfix"),
        ("Phase", "p", phase("number: null, hotfix: broker-login"), ""),
        ("Phase", "p", phase("number: null, hotfix: a/b"), "spec.hotfix"),
        ("Phase", "p", phase("number: null, hotfix: ''"), "spec.hotfix"),
        ("Phase", "p", phase(&format!("number: null, hotfix: {long}")), "spec.hotfix"),
        ("Phase", "p", phase("number: 0"), "spec.number"),
        ("Phase", "p", phase("version: null"), "spec.version: Required value"),
        ("Phase", "p", phase("version: a..b"), "spec.version"),
        ("Phase", "p", phase("version: 'a b'"), "spec.version"),
        ("Phase", "p", phase("tasks: []"), "spec.tasks"),
        ("Phase", "p", phase(&format!("tasks: [{}]", full_tasks.join(", "))), ""),
        ("Phase", "p", phase("dependsOn: [p]"), "spec.dependsOn: a phase cannot depend on itself"),
        ("Phase", "p", phase("dependsOn: [q, q]"), "Duplicate value"),
        ("Phase", "p", task("description: null"), "spec.tasks[0].description: Required value"),
        ("Phase", "p", task("by: Person"), "spec.tasks[].by: Person is not implemented in this version; use Agent"),
        (
            "Phase",
            "p",
            task("name: rework"),
            "spec.tasks[].name: 'rework' and 'base-merge' are names of tasks that mend findings and merge the base branch",
        ),
        ("Phase", "p", task("name: a/b"), "spec.tasks[0].name"),
        ("Phase", "p", task(&format!("name: {long}")), "spec.tasks[0].name"),
        ("Phase", "p", task("dependsOn: [nobody]"), "spec.tasks[].dependsOn names a task that is not in spec.tasks"),
        ("Phase", "p", phase("tasks: [{name: a, description: d}, {name: a, description: d}]"), "Duplicate value"),
        ("Phase", "p", criterion(""), ""),
        ("Phase", "p", criterion("judge: Reviewer"), ""),
        ("Phase", "p", criterion("judge: Checks"), "name the checks that prove it, or set judge to Person"),
        ("Phase", "p", criterion("judge: Checks, provenBy: [test]"), ""),
        ("Phase", "p", phase("retry: {maxAttempts: 11}"), "spec.retry.maxAttempts"),
        ("Phase", "p", phase("timeout: 1 hour"), "spec.timeout"),
        ("Phase", "p", phase("timeout: 1h30m"), ""),
    ];
    try_all(rows).await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_bad_decision_is_refused_in_words() {
    let decision = |change: &str| with(DECISION, change);
    let rows = vec![
        ("Decision", "d", DECISION.to_owned(), ""),
        ("Decision", "d", decision("type: Approve"), "spec.commit is required: Approve and Reject speak of one commit"),
        ("Decision", "d", decision("type: Reject"), "spec.commit is required: Approve and Reject speak of one commit"),
        ("Decision", "d", decision(&format!("type: Approve, {COMMIT}")), ""),
        ("Decision", "d", decision("commit: main"), "spec.commit"),
        ("Decision", "d", decision("attempts: 1"), "spec.attempts belongs to type Retry"),
        ("Decision", "d", decision("type: Retry, attempts: 2"), ""),
        ("Decision", "d", decision("answers: [{criterion: c, met: true}]"), "spec.answers belongs to type Approve"),
        ("Decision", "d", decision("type: Rerun"), "spec.type: Rerun and Answer are not implemented in this version"),
        ("Decision", "d", decision("type: Rollback, reason: r"), ""),
        ("Decision", "d", decision("type: Rollback"), "spec.reason is required: a Waive and a Rollback say why"),
        (
            "Decision",
            "d",
            decision("type: Abort, reason: r"),
            "spec.reason belongs to types Waive and Rollback; say why in spec.note",
        ),
        ("Decision", "d", decision("type: Waive, findings: [f], reason: r"), ""),
        ("Decision", "d", decision("type: Waive, criteria: [c], reason: r, until: '2030-01-01T00:00:00Z'"), ""),
        (
            "Decision",
            "d",
            decision("type: Waive, reason: r"),
            "spec.findings, spec.criteria: a Waive names at least one finding or criterion",
        ),
        (
            "Decision",
            "d",
            decision("type: Waive, findings: [f]"),
            "spec.reason is required: a Waive and a Rollback say why",
        ),
        (
            "Decision",
            "d",
            decision("type: Retry, findings: [f]"),
            "spec.findings, spec.criteria and spec.until belong to type Waive",
        ),
        (
            "Decision",
            "d",
            decision("until: '2030-01-01T00:00:00Z'"),
            "spec.findings, spec.criteria and spec.until belong to type Waive",
        ),
        ("Decision", "d", decision("type: Waive, findings: [f], reason: r, until: tomorrow"), "spec.until"),
        ("Decision", "d", decision("type: Bless"), "spec.type: Unsupported value"),
        ("Decision", "d", decision("phaseUID: null"), "spec.phaseUID: Required value"),
    ];
    try_all(rows).await;
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn what_must_not_change_does_not() {
    let server = ApiServer::with_chart().await;
    let client = server.client().await;
    let base = "/apis/phasegate.dev/v1alpha1/namespaces/alicia";
    let task = "role: Developer, repository: r, task: greet, pod: {image: a}, timeout: 1h, maxRuns: 4";
    for (kind, spec) in [("Repository", REPOSITORY), ("Phase", PHASE), ("AgentTask", task)] {
        let (plural, who) = route(kind);
        let made = ask(&client, who, "POST", &format!("{base}/{plural}"), &object(kind, "fixed", spec)).await;
        let Answer::Yes(made) = made else { panic!("{kind}: {made:?}") };
        assert_eq!(made["status"]["observedGeneration"], -1, "{kind} was never looked at");
    }
    let rows = [
        ("Repository", "baseBranch: other", "spec.baseBranch is immutable; make a new Repository"),
        ("Repository", "parallelism: 2", ""),
        ("Phase", "number: 2", "spec.number is immutable; make a new Phase"),
        // To leave a field out is a change too.
        ("Phase", "number: null", "spec.number is immutable; make a new Phase"),
        ("Phase", "hotfix: h", "spec.hotfix is immutable; make a new Phase"),
        ("Phase", "repositoryRef: {name: other}", "spec.repositoryRef is immutable; make a new Phase"),
        ("Phase", "objective: clearer, version: 0.2.0, suspend: true", ""),
        ("AgentTask", "maxRuns: 5", "the spec of an AgentTask is immutable"),
        ("AgentTask", "commit: abc", "the spec of an AgentTask is immutable"),
    ];
    for (kind, change, words) in rows {
        let (plural, who) = route(kind);
        let path = format!("{base}/{plural}/fixed?dryRun=All");
        let answer = ask(&client, who, "PATCH", &path, &format!("{{spec: {{{change}}}}}")).await;
        match &answer {
            Answer::Yes(_) => assert!(words.is_empty(), "{kind} {change} went through"),
            Answer::No(status) => {
                assert!(!words.is_empty() && status.message.contains(words), "{kind} {change}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn kubectl_explains_every_kind() {
    let server = ApiServer::with_chart().await;
    for (field, words) in [
        ("repositories.spec.protectedPaths", "Paths that only a person may change"),
        ("ph.spec.tasks.dependsOn", "must be integrated first"),
        ("agt.spec.branch", "The one branch that this task may push"),
        ("rr.status.categories.score", "the minimum over its evidence"),
        ("decisions.spec.user", "Who decides"),
    ] {
        let explained = server.shell(&format!("kubectl explain {field}"));
        let plain = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(words), "{field}: {explained}");
    }
    let all = server.shell("kubectl api-resources --categories phasegate --output name");
    assert_eq!(all.lines().count(), 5, "{all}");
}

/// What a person tries first is taken as it stands, the hotfix that comes by itself too.
#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn every_sample_is_accepted() {
    let server = ApiServer::with_chart().await;
    server.shell(
        "for sample in alicia hello measured reviewed; do
           kubectl get namespace \"$sample\" > /dev/null 2>&1 || kubectl create namespace \"$sample\" > /dev/null
           kubectl apply --dry-run=server --validate=strict -k \"config/samples/$sample\"
         done
         kubectl apply --dry-run=server --validate=strict -n hello -f config/samples/hello/hotfix.yaml",
    );
}
