//! Phases and ReviewResults as the operator writes them, for the tests of this module.

use serde_json::{Value, json};

use crate::api::{Phase, ReviewResult};

/// The Phase `alicia-{number}` with this status.
pub(crate) fn phase(number: i32, status: &Value) -> Phase {
    let depends: Vec<_> = (number > 1).then(|| format!("alicia-{}", number - 1)).into_iter().collect();
    serde_json::from_value(json!({
        "apiVersion": "phasegate.dev/v1alpha1",
        "kind": "Phase",
        "metadata": {
            "name": format!("alicia-{number}"),
            "namespace": "alicia",
            "uid": format!("uid-{number}"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "repositoryRef": { "name": "alicia" },
            "number": number,
            "version": "1.0.0",
            "dependsOn": depends,
            "tasks": [{ "name": "broker", "description": "Set up the broker" }],
            "successCriteria": [
                { "name": "mqtt", "description": "Services talk", "judge": "Checks", "provenBy": ["unit"] },
                { "name": "documentation", "description": "Documentation is complete", "judge": "Person" },
            ],
        },
        "status": status,
    }))
    .unwrap()
}

/// The same without any status: as it is between `apply` and the operator's first look.
pub(crate) fn bare(number: i32) -> Phase {
    let mut phase = phase(number, &json!({}));
    phase.status = None;
    phase
}

/// Attempt 1 of 3 under way.
pub(crate) fn developing() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "Developing",
        "attempt": 1,
        "summary": { "attempt": "1/3", "tasks": "1/2", "waitingFor": "task gateway" },
        "tasks": [
            { "name": "broker", "agentTask": "alicia-1-a1-broker", "state": "Integrated", "commit": "1a2b3c4d5e6f" },
            { "name": "gateway", "agentTask": "alicia-1-a1-gateway", "state": "Working" },
        ],
    })
}

/// Both tasks are in, the checks run.
pub(crate) fn reviewing() -> Value {
    let mut status = developing();
    status["state"] = json!("Reviewing");
    status["summary"] = json!({ "attempt": "1/3", "tasks": "2/2", "waitingFor": "checks" });
    status["tasks"][1]["state"] = json!("Integrated");
    status["tasks"][1]["commit"] = json!("5e6f708192a3");
    status["review"] = review("alicia-1-r1-1", "Fail");
    status["review"]["verdict"] = Value::Null;
    status
}

/// Attempt 1 was refused, attempt 2 has begun.
pub(crate) fn sent_back() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "Developing",
        "attempt": 2,
        "summary": { "attempt": "2/3", "score": "9.01", "tasks": "0/1", "waitingFor": "task rework" },
        "tasks": [{ "name": "rework", "agentTask": "alicia-1-a2-rework", "state": "Working" }],
        "review": review("alicia-1-r1-1", "Fail"),
        "history": [record(1, "alicia-1-r1-1", "Fail", "9.01")],
    })
}

/// Merged in attempt 2.
pub(crate) fn passed() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "Passed",
        "attempt": 2,
        "summary": { "attempt": "2/3", "score": "9.91", "tasks": "1/1" },
        "tasks": [{ "name": "rework", "agentTask": "alicia-1-a2-rework", "state": "Integrated", "commit": "abcdef0" }],
        "review": review("alicia-1-r2-1", "Pass"),
        "merge": { "commit": "3f2c1ab7e6d5c4b3a2918070605040302010ffee", "tag": "phase-1-v1.0.0" },
        "history": [record(1, "alicia-1-r1-1", "Fail", "9.01"), record(2, "alicia-1-r2-1", "Pass", "9.91")],
    })
}

/// The gate is passed; a person is asked.
pub(crate) fn awaiting() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "AwaitingApproval",
        "attempt": 1,
        "summary": {
            "attempt": "1/3", "score": "9.61", "tasks": "5/5", "waitingFor": "you: approval, criterion documentation",
        },
        "review": review("alicia-5-r1-1", "Pass"),
        "history": [record(1, "alicia-5-r1-1", "Pass", "9.61")],
    })
}

/// Every attempt was refused.
pub(crate) fn escalated() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "Escalated",
        "attempt": 3,
        "summary": { "attempt": "3/3", "score": "9.01", "tasks": "1/1", "waitingFor": "you: retry or abort" },
        "review": review("alicia-1-r3-1", "Fail"),
        "escalation": { "reason": "AttemptsExhausted", "from": "Reviewing", "message": "3 of 3 attempts were refused" },
        "history": [record(3, "alicia-1-r3-1", "Fail", "9.01")],
    })
}

/// Nobody could merge the base branch.
pub(crate) fn conflicted() -> Value {
    let message = "the base branch does not merge into the release branch: both changed greet.py, after 4 merges of it";
    json!({
        "observedGeneration": 1,
        "state": "Escalated",
        "attempt": 1,
        "summary": { "attempt": "1/3", "tasks": "1/1", "waitingFor": "you: Conflict" },
        "release": { "branch": "release/phase-1-v1.0.0", "base": "b0", "head": "c0" },
        "escalation": { "reason": "Conflict", "from": "Developing", "message": message },
        "tasks": [
            { "name": "broker", "state": "Integrated", "dispatch": 1 },
            { "name": "base-merge", "state": "Failed", "dispatch": 4, "message": message, "conflict": "77aa1122" },
        ],
    })
}

/// A task has no run left.
pub(crate) fn task_failed() -> Value {
    let message = "task broker has no run left (AgentError): run 4 of 4: it ended with exit code 1: no key; Retry hands it out again";
    json!({
        "observedGeneration": 1,
        "state": "Escalated",
        "attempt": 1,
        "summary": { "attempt": "1/3", "tasks": "0/1", "waitingFor": "you: TaskFailed" },
        "escalation": { "reason": "TaskFailed", "from": "Developing", "message": message },
        "tasks": [{ "name": "broker", "state": "Failed", "dispatch": 1, "message": message }],
    })
}

/// Parked: the change weakens what judges it.
pub(crate) fn gamed() -> Value {
    let mut status = escalated();
    status["escalation"] = json!({
        "reason": "Gamed", "from": "Reviewing",
        "message": "AssertionDeleted tests/test_bus.py:12: an assertion is gone: -    assert sent == 1",
    });
    status
}

/// Parked: the reviewer repeats what the developer disputes.
pub(crate) fn disputed() -> Value {
    let mut status = escalated();
    status["escalation"] = json!({
        "reason": "Disputed", "from": "Reviewing", "message": "the developer disputes what was found again",
    });
    status
}

/// Not started, for two reasons.
pub(crate) fn blocked() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "Pending",
        "summary": { "waitingFor": "phase alicia-1" },
        "blockedBy": [
            { "reason": "DependencyNotPassed", "message": "phase alicia-1 has not passed" },
            { "reason": "PodTemplateMissing", "message": "there is no PodTemplate klein in this namespace: make it" },
        ],
    })
}

/// Not started, because the phase before has not passed.
pub(crate) fn queued() -> Value {
    json!({
        "observedGeneration": 1,
        "state": "Pending",
        "blockedBy": [{ "reason": "DependencyNotPassed", "message": "phase alicia-1 has not passed" }],
    })
}

/// Suspended by a Decision in the middle of its work.
pub(crate) fn suspended() -> Value {
    let mut status = developing();
    status["blockedBy"] = json!([{ "reason": "Suspended", "message": "suspended by ada" }]);
    status
}

fn review(result: &str, verdict: &str) -> Value {
    json!({
        "number": 1,
        "commit": "5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081",
        "tree": "aa",
        "base": "bb",
        "gateHash": "cc",
        "result": result,
        "verdict": verdict,
    })
}

fn record(attempt: i32, result: &str, verdict: &str, score: &str) -> Value {
    json!({ "attempt": attempt, "result": result, "tree": "aa", "gateHash": "cc", "verdict": verdict, "score": score })
}

fn result(name: &str, attempt: i32, status: &Value) -> ReviewResult {
    serde_json::from_value(json!({
        "apiVersion": "phasegate.dev/v1alpha1",
        "kind": "ReviewResult",
        "metadata": { "name": name },
        "spec": {
            "phase": "alicia-1",
            "phaseUID": "uid-1",
            "attempt": attempt,
            "number": 1,
            "commit": "5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081",
            "tree": "aa",
            "base": "00112233445566",
            "gateHash": "cc",
            "rubric": {
                "passingScore": "9.0",
                "categories": [
                    { "name": "code-quality", "weight": 30, "floor": "8.0" },
                    { "name": "security", "weight": 15, "floor": "9.0" },
                ],
            },
            "checks": [
                {
                    "name": "bandit", "task": "t", "blocking": false, "categories": ["security"], "outcome": "Failed",
                    "exitCode": 1,
                },
                { "name": "unit", "task": "t", "blocking": true, "categories": ["functionality"], "outcome": "Passed", "exitCode": 0 },
            ],
            "criteria": [
                { "name": "documentation", "description": "Documentation is complete", "judge": "Person" },
            ],
        },
        "status": status,
    }))
    .unwrap()
}

/// The worked example: a total above 9.0, and security below its floor.
pub(crate) fn refused() -> ReviewResult {
    let status = json!({
        "observedGeneration": 1,
        "verdict": "Fail",
        "score": "9.01",
        "scoreThousandths": 9010,
        "categories": [
            {
                "name": "code-quality", "weight": 30, "floor": "8.0", "score": "9.7",
                "evidence": [{ "source": "lint lint.sarif", "score": "9.7", "why": "1 Minor: -0.3" }],
            },
            {
                "name": "security", "weight": 15, "floor": "9.0", "score": "4.0",
                "evidence": [{ "source": "bandit bandit.sarif", "score": "4.0", "why": "1 Critical: -6.0" }],
            },
        ],
        "reasons": [{ "type": "BelowFloor", "message": "security scored 4.0; its floor is 9.0" }],
        "criteria": [{ "name": "documentation", "state": "AwaitsPerson", "message": "Documentation is complete" }],
        "counts": { "critical": 1, "minor": 1 },
        "findings": [
            {
                "check": "bandit", "categories": ["security"], "persisting": false,
                "finding": {
                    "id": "f1", "rule": "B602", "severity": "Critical", "path": "gateway.py", "line": 41,
                    "message": "subprocess call with shell=True",
                },
            },
            {
                "check": "lint", "categories": ["code-quality"], "persisting": true,
                "finding": { "id": "f2", "rule": "E501", "severity": "Minor", "path": "bus.py", "line": 0, "message": "line | too long" },
            },
        ],
        "recommendations": ["gateway.py:41: mend B602"],
    });
    result("alicia-1-r1-1", 1, &status)
}

/// The judgement after: the hole is closed.
pub(crate) fn mended() -> ReviewResult {
    let status = json!({
        "observedGeneration": 1,
        "verdict": "Pass",
        "score": "9.91",
        "scoreThousandths": 9910,
        "evidenceDigest": "sha256:5e2d",
        "categories": [
            { "name": "code-quality", "weight": 30, "floor": "8.0", "score": "9.7", "evidence": [] },
            { "name": "security", "weight": 15, "floor": "9.0", "score": "10.0", "evidence": [] },
        ],
        "reasons": [{ "type": "Passed", "message": "9.91 reaches 9.0 and every floor is kept" }],
        "counts": { "minor": 1 },
        "findings": [
            {
                "check": "lint", "categories": ["code-quality"], "persisting": true,
                "finding": { "id": "f2", "rule": "E501", "severity": "Minor", "path": "bus.py", "line": 0, "message": "line | too long" },
            },
        ],
        "resolved": ["f1"],
    });
    result("alicia-1-r2-1", 2, &status)
}

/// A judgement with a bit of everything: reviewers that agree and dissent, a dispute, signs of gaming, known debt,
/// waivers, coverage and measurements.
pub(crate) fn rich() -> ReviewResult {
    let mut all = serde_json::to_value(refused()).unwrap();
    all["spec"]["checks"] = json!([
        {
            "name": "bandit", "task": "t", "blocking": false, "categories": ["security"], "outcome": "Failed",
            "exitCode": 1, "imageID": "registry.example/bandit@sha256:0123456789abcdef",
        },
        {
            "name": "unit", "task": "t", "blocking": true, "categories": ["functionality"], "outcome": "Passed",
            "exitCode": 0,
            "reports": [
                {
                    "path": "junit.xml", "format": "JUnit", "state": "Read",
                    "tests": { "passed": 41, "skipped": 2 },
                    "base": { "commit": "00112233445566", "task": "b", "tests": { "passed": 42, "skipped": 1 } },
                },
                {
                    "path": "cobertura.xml", "format": "Cobertura", "state": "Read",
                    "coverage": {
                        "all": { "covered": 900, "total": 1000 }, "changed": { "covered": 12, "total": 14 },
                        "target": "90",
                    },
                    "base": { "commit": "00112233445566", "task": "b", "coverage": { "covered": 880, "total": 960 } },
                },
                {
                    "path": "speed.json", "format": "Metrics", "state": "Read",
                    "measurements": [
                        { "target": { "metric": "p99_seconds", "atMost": "0.25" }, "value": "0.3" },
                        { "target": { "metric": "requests_per_second", "atLeast": "100" } },
                    ],
                },
            ],
        },
    ]);
    all["spec"]["reviews"] = json!([
        {
            "name": "eyes", "task": "t", "categories": ["security"],
            "review": {
                "stamp": { "run": 1, "podUID": "p" }, "ownScore": "9.5", "summary": "Good work, one hole.",
                "examined": [{ "category": "security", "what": "every handler of the gateway" }],
            },
        },
        { "name": "anna", "task": "t", "categories": ["security"], "shadow": true, "message": "timed out" },
    ]);
    all["spec"]["waivers"] = json!([{
        "decisionUID": "d", "user": "ada", "findings": ["aaaabbbbccccddddeeee", "skip-sign"],
        "criteria": ["documentation"], "reason": "the broker is local", "until": "2026-12-31T00:00:00Z",
    }]);
    all["status"]["criteria"] = json!([
        { "name": "documentation", "state": "Waived", "message": "waived by ada: the broker is local" },
        { "name": "readable", "state": "Unmet", "message": "eyes says: the gateway is one function" },
    ]);
    all["status"]["reviewers"] = json!([
        { "name": "anna", "shadow": true }, { "name": "eyes", "own": "9.5", "ours": "4.0" },
    ]);
    let sign = |id: &str, kind: &str, waived: bool, text: &str| {
        json!({ "waived": waived, "sign": {
            "id": id, "type": kind, "path": "tests/test_bus.py", "line": 12, "text": text, "message": "look at it",
        }})
    };
    all["status"]["gamingSigns"] = json!([
        sign("0123456789abcdef", "AssertionDeleted", false, "-    assert sent == 1  # ```"),
        sign("skip-sign", "TestSkipped", true, "+@skip"),
    ]);
    all["status"]["known"] = json!({ "minor": 500 });
    let finding = |id: &str, severity: &str, message: &str| json!({ "id": id, "rule": "security", "severity": severity, "path": "gateway.py", "line": 7, "message": message });
    let mut hole = finding("c56e564319c44f6a3832e228b53cd313", "Critical", "a shell runs what a client sent");
    hole["evidence"] = json!("run(command, shell=True)");
    hole["recommendation"] = json!("pass a list");
    let uncharged = |finding: Value, why: &str, by: &str| json!({ "check": by, "uncharged": why, "categories": ["security"], "persisting": false, "finding": finding });
    let mut findings = vec![
        json!({
            "check": "bandit", "reportedBy": ["bandit", "eyes"], "categories": ["security"], "persisting": true,
            "dispute": "the command is a constant", "finding": hole,
        }),
        uncharged(finding("aaaabbbbccccddddeeee", "Major", "binds to all interfaces"), "Waived", "bandit"),
    ];
    findings.extend((0..7).map(|n| uncharged(finding(&format!("debt{n}"), "Minor", "old matter"), "Known", "bandit")));
    findings.push(uncharged(finding("shadow", "Minor", "a hunch"), "Shadow", "anna"));
    all["status"]["findings"] = json!(findings);
    serde_json::from_value(all).unwrap()
}

/// Made a moment ago, not judged yet.
pub(crate) fn unjudged() -> ReviewResult {
    let mut result = refused();
    result.status = None;
    result
}
