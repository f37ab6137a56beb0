//! What of a review is recorded, and what is not.

use rstest::rstest;

use super::*;

fn reviewer(status: &Value) -> World {
    let world = World::new(status);
    let spec = json!({
        "role": "Reviewer", "repository": "alicia", "task": "reviewer", "pod": {"image": "i"}, "timeout": "1h",
        "maxRuns": 4, "commit": OTHER, "base": {"commit": COMMIT},
        "phase": {"name": "alicia-1", "uid": "p", "attempt": 1},
        "review": {"categories": ["security", "documentation"], "criteria": [{"name": "auth", "description": "d"}]},
    });
    world.held.lock().unwrap().task["spec"] = spec;
    world
}

fn at_work() -> World {
    reviewer(&json!({"state": "Running", "run": 2, "podUID": "1"}))
}

fn finding(id: &str, severity: &str, line: i32) -> Value {
    json!({"id": id, "rule": "security", "severity": severity, "path": "a.py", "line": line, "message": "m",
        "evidence": "q", "recommendation": "r"})
}

fn report() -> Value {
    json!({
        "examined": [{"category": "security", "what": "every call"}],
        "findings": [finding("i1", "Minor", 0), finding("i2", "Critical", 3)],
        "criteria": [{"name": "auth", "opinion": "Unverifiable", "evidence": "needs a gateway"}],
        "ownScore": "8.5", "summary": "s",
    })
}

#[tokio::test]
async fn a_reviewer_is_told_what_to_compare_and_what_to_examine() {
    let (status, body) = at_work().ask("assignment", "pod-1", 2, None).await;
    assert_eq!((status, &body["base"]["commit"]), (200, &COMMIT.into()));
    assert_eq!(body["review"]["categories"], json!(["security", "documentation"]));
}

#[tokio::test]
async fn a_review_is_stamped_and_its_worst_comes_first() {
    let world = at_work();
    assert_eq!(world.told("review", &report()).await, (200, json!({"recorded": true})));
    let review = &world.status()["review"];
    assert_eq!((&review["stamp"], &review["ownScore"]), (&stamp(), &"8.5".into()));
    assert_eq!(review["findings"], json!([finding("i2", "Critical", 3), finding("i1", "Minor", 0)]));
    assert_eq!(review["criteria"][0]["opinion"], "Unverifiable");
    world.told("delivery", &json!({"exitCode": 0})).await;
    assert_eq!(world.status()["review"]["summary"], "s", "no report undoes another");
}

#[tokio::test]
async fn the_first_review_of_a_run_wins_also_after_the_end() {
    let world = at_work();
    assert_eq!(world.told("review", &report()).await.0, 200);
    world.held.lock().unwrap().task["status"]["state"] = "Succeeded".into();
    assert_eq!(world.told("review", &report()).await.0, 200, "its answer was lost, and it comes again");
    let mut other = report();
    other["findings"] = json!([]);
    let (status, body) = world.told("review", &other).await;
    assert_eq!((status, &body["reviewed"]), (409, &true.into()));
    assert_eq!((world.writes(), world.status()["review"]["findings"].as_array().unwrap().len()), (1, 2));
}

#[rstest]
#[case::of_a_run_that_was_given_up_too_early(json!({"state": "Pending", "run": 2, "podUID": "1"}), 200)]
#[case::of_a_task_that_has_failed(json!({"state": "Failed", "run": 2, "podUID": "1"}), 409)]
#[case::of_an_earlier_run_does_not_stand_in_the_way(
    json!({"state": "Running", "run": 2, "podUID": "1", "review": {"stamp": {"run": 1, "podUID": "0"}, "examined": []}}), 200)]
#[tokio::test]
async fn a_review(#[case] status: Value, #[case] expected: u16) {
    let world = reviewer(&status);
    let (status, body) = world.told("review", &report()).await;
    assert_eq!((status, &body["reviewed"]), (expected, &Value::Null));
}

#[tokio::test]
async fn each_role_hands_in_its_own_kind_of_work() {
    let world = at_work();
    assert_eq!(world.told("submission", &json!({"commit": COMMIT})).await.0, 403);
    let developer = World::at_work();
    assert_eq!(developer.told("review", &report()).await.0, 403);
    assert_eq!((world.writes(), developer.writes()), (0, 0));
}

#[rstest]
#[case::a_category_that_was_not_asked_for("/examined/0/category", json!("performance"), "examined[0].category")]
#[case::no_words("/examined/0/what", json!(" "), "examined[0].what")]
#[case::a_category_twice("/examined", json!([{"category": "security", "what": "a"}, {"category": "security", "what": "b"}]), "named twice")]
#[case::too_many_categories("/examined", json!(vec![json!({"category": "security", "what": "a"}); 17]), "at most 16")]
#[case::a_finding_of_a_category_that_was_not_examined("/findings/0/rule", json!("documentation"), "findings[0].rule")]
#[case::a_finding_twice("/findings/0/id", json!("i2"), "findings[1].id")]
#[case::a_finding_without_an_id("/findings/0/id", json!(""), "findings[0].id")]
#[case::a_negative_line("/findings/0/line", json!(-1), "line from 0")]
#[case::an_endless_path("/findings/0/path", json!("p".repeat(513)), "at most 512")]
#[case::a_major_finding_without_a_place("/findings/0/severity", json!("Major"), "without a place at most Minor")]
#[case::too_many_findings("/findings", Value::Array((0..101).map(|n| finding(&n.to_string(), "Info", 1)).collect()), "at most 100")]
#[case::too_much_text("/findings", Value::Array((0..100).map(|n| json!({"id": n.to_string(), "rule": "security", "severity": "Info",
    "path": "p", "line": 1, "message": "m".repeat(600), "evidence": "e".repeat(600)})).collect()), "bytes together")]
#[case::no_word_about_a_criterion("/criteria", json!([]), "no word about auth")]
#[case::an_unknown_criterion("/criteria/0/name", json!("other"), "criteria[0].name")]
#[case::a_criterion_without_evidence("/criteria/0/evidence", json!(""), "criteria[0].evidence")]
#[case::a_number_beyond_ten("/ownScore", json!("11.0"), "")]
#[case::an_unknown_severity("/findings/0/severity", json!("Blocker"), "")]
#[tokio::test]
async fn a_review_that_is_not_as_asked_is_refused_with_the_field(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] why: &str,
) {
    let world = at_work();
    let mut body = report();
    *body.pointer_mut(pointer).unwrap() = value;
    let (status, answer) = world.told("review", &body).await;
    assert_eq!((status, world.writes()), (422, 0), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains(why), "{answer}");
}

#[tokio::test]
async fn long_words_of_a_review_are_cut() {
    let world = at_work();
    let mut body = report();
    body["summary"] = "ä".repeat(5000).into();
    body["examined"][0]["what"] = "ä".repeat(2000).into();
    body["findings"][0]["message"] = "ä".repeat(700).into();
    assert_eq!(world.told("review", &body).await.0, 200);
    let length = |pointer: &str| world.status().pointer(pointer).unwrap().as_str().unwrap().chars().count();
    assert_eq!(length("/review/summary"), 4096);
    assert_eq!(length("/review/examined/0/what"), 1024);
    assert_eq!(length("/review/findings/1/message"), 600);
}
