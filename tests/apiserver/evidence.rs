//! The evidence of a judgement, as it is stored: by its digest a tag names it, and anybody may compute that again.

use phasegate::{
    api::{ReviewResult, ReviewResultSpec},
    review::evidence_digest,
};
use serde_json::json;

use crate::support::{Answer, ApiServer, OPERATOR, ask};

/// Evidence with every optional field somewhere, and with those that the schema has defaults for left out of it.
const SPEC: &str = r#"
repository: hello
phase: hello-1
phaseUID: u
attempt: 2
number: 1
commit: c
tree: t
base: b
gateHash: h
rubric:
  passingScore: 9
  categories: [{name: functionality, weight: 25, floor: 8, added: true}, {name: security, weight: 15, floor: '9.5'}]
checks:
- name: test
  task: hello-1.r2-1.test
  blocking: true
  categories: [functionality]
  outcome: Passed
  imageID: python@sha256:0f
  exitCode: 0
  message: "a \"quote\", <b>&amp; and a \\ – ü\n\t\x7f"
  reports:
  - {path: junit.xml, format: JUnit, state: Read, tests: {passed: 3}, base: {commit: b, task: x, tests: {failed: 1}}}
  - path: lint.sarif
    format: SARIF
    state: Read
    counts: {major: 1}
    base: {commit: b, task: x, known: {minor: 2}}
    findings: [{id: f1, rule: E1, severity: Major, path: a.py, message: m, known: true}]
  - path: cobertura.xml
    format: Cobertura
    state: Read
    coverage: {all: {covered: 1, total: 3}, changed: {covered: 1, total: 1}, target: '87.5'}
    base: {commit: b, task: x, coverage: {covered: 1, total: 2}}
  - path: m.json
    format: Metrics
    state: Invalid
    message: not JSON
    measurements:
    - {target: {metric: latency, atMost: '0.05'}, value: '0.004'}
    - {target: {metric: rate, atLeast: 250}}
- {name: lint, task: '', blocking: false, categories: [], outcome: NotStarted}
reviews:
- name: eyes
  task: hello-1.r2-1.eyes
  shadow: true
  categories: [security]
  leftOut: [{category: security, counts: {info: 4}}]
  review:
    stamp: {run: 1, podUID: p}
    examined: [{category: security, what: all of it}]
    criteria: [{name: docs, opinion: Unverifiable, evidence: none}]
    findings: [{id: f2, rule: security, severity: Info, path: a.py, line: 3, message: m, evidence: e, recommendation: r}]
    ownScore: '9.5'
    summary: fine
- {name: ears, task: '', categories: [], message: not started}
gamingSigns: [{id: g, type: TestSkipped, message: m}]
criteria: [{name: docs, description: d, judge: Reviewer}, {name: ok, description: d, judge: Checks, provenBy: [test]}]
waivers: [{decisionUID: d, user: u, reason: r, findings: [f1], criteria: [docs], until: '2030-01-01T00:00:00Z'}]
answers: [{finding: f1, answer: Disputed, note: n}]
previousFindings: [f1]
"#;

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn the_digest_is_of_the_evidence_as_kubectl_and_jq_show_it() {
    let server = ApiServer::with_chart().await;
    let client = server.client().await;
    let spec: ReviewResultSpec = serde_yaml::from_str(SPEC).expect("evidence");
    let all = json!({
        "apiVersion": "phasegate.dev/v1alpha1", "kind": "ReviewResult", "metadata": {"name": "hello-1-r2-1"},
        "spec": spec,
    });
    // YAML, which the body is read as, takes no control character that is not escaped.
    let body = all.to_string().replace('\u{7f}', "\\u007f");
    let path = "/apis/phasegate.dev/v1alpha1/namespaces/alicia/reviewresults";
    let made = ask(&client, OPERATOR, "POST", &format!("{path}?fieldValidation=Strict"), &body).await;
    assert!(matches!(made, Answer::Yes(_)), "{made:?}");
    let Answer::Yes(stored) = ask(&client, OPERATOR, "GET", &format!("{path}/hello-1-r2-1"), "").await else {
        panic!("it is not there")
    };
    let read: ReviewResult = serde_json::from_value(stored.clone()).expect("a ReviewResult");
    assert_eq!(serde_json::to_value(&read.spec).expect("JSON"), stored["spec"], "nothing is added or lost");
    assert_eq!(evidence_digest(&read.spec), evidence_digest(&spec));
    let recipe = "kubectl get reviewresult -n alicia hello-1-r2-1 -o json | jq -cSj .spec | sha256sum";
    let printed = server.shell(&format!("if command -v jq > /dev/null; then {recipe}; fi"));
    if let Some(digest) = printed.split_whitespace().next() {
        assert_eq!(evidence_digest(&spec), format!("sha256:{digest}"));
    }
}
