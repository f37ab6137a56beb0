//! What a form may hold, and how a wrong one is refused.

use super::*;

#[rstest]
#[case::no_commit(Form::new(&[("outcome", "passed")]), 400, "commit:")]
#[case::a_branch(Form::new(&[("commit", "main"), ("outcome", "passed")]), 400, "commit:")]
#[case::a_short_commit(Form::new(&[("commit", "0123456"), ("outcome", "passed")]), 400, "commit:")]
#[case::no_outcome(Form::new(&[("commit", COMMIT)]), 400, "outcome:")]
#[case::a_cancelled_run(Form::new(&[("commit", COMMIT), ("outcome", "cancelled")]), 400, "outcome:")]
#[case::an_outcome_of_ours(Form::new(&[("commit", COMMIT), ("outcome", "NotStarted")]), 400, "outcome:")]
#[case::an_exit_code_in_words(Form::passed().field("exitCode", "zero"), 400, "exitCode:")]
#[case::passed_with_an_exit_code(Form::passed().field("exitCode", "1"), 400, "exitCode:")]
#[case::failed_with_exit_code_0(Form::new(&[("commit", COMMIT), ("outcome", "failed"), ("exitCode", "0")]), 400, "exitCode:")]
#[case::an_address_that_is_none(Form::passed().field("url", "javascript:alert(1)"), 400, "url:")]
#[case::an_address_that_moves_the_cursor(Form::passed().field("url", "https://a/\u{1b}[2J"), 400, "url:")]
#[case::a_long_address(Form::passed().field("url", &format!("https://a/{}", "a".repeat(600))), 400, "url:")]
#[case::a_long_message(Form::passed().field("message", &"m".repeat(70_000)), 413, "message: larger than 64 KiB")]
#[case::not_utf_8(Form::passed().part("name=\"message\"", &[0xff, 0xfe]), 400, "message:")]
#[case::a_relative_root(Form::passed().field("root", "build"), 400, "root:")]
#[case::a_root_after_a_report(Form::passed().file("more.xml", b"<testsuite/>").field("root", "/build"), 400, "root:")]
#[case::an_unknown_field(Form::passed().field("status", "x"), 400, "status: no such field")]
#[case::a_field_twice(Form::passed().field("outcome", "failed"), 400, "outcome: it is there twice")]
#[case::an_undeclared_report(Form::passed().file("coverage.xml", b"<x/>"), 400, "coverage.xml: check ci declares no such report")]
#[case::a_report_twice(Form::passed().file("more.xml", b"x").file("more.xml", b"y"), 400, "more.xml: it is there twice")]
#[case::a_report_that_is_no_file(Form::passed().field("lint.sarif", "{}"), 400, "lint.sarif: a report must be sent as a file")]
#[case::a_name_that_turns_the_text_around(Form::passed().file("x\u{202e}y", b""), 400, "x\\u{202e}y: check ci declares")]
#[case::a_name_that_moves_the_cursor(Form::passed().file("x\u{1b}[2J", b""), 400, "the form cannot be read")]
#[tokio::test]
async fn a_form_with(#[case] form: Form, #[case] expected: u16, #[case] words: &str) {
    let world = World::waiting();
    let (status, body) = world.post(form).await;
    assert_eq!((status, world.writes()), (expected, 0), "{body}");
    assert!(body["error"].as_str().unwrap().starts_with(words), "{body}");
}

#[tokio::test]
async fn an_undeclared_report_is_answered_with_those_that_are_declared() {
    let (_, body) = World::waiting().post(Form::passed().file("junit.xml", b"")).await;
    assert_eq!(body["allowed"], json!(["reports/junit.xml", "lint.sarif", "more.xml"]));
}

#[rstest]
#[case::passed("passed", "Passed")]
#[case::success("success", "Passed")]
#[case::failed("failed", "Failed")]
#[case::failure("failure", "Failed")]
#[tokio::test]
async fn the_words_of_github_and_gitlab_are_understood(#[case] word: &str, #[case] expected: &str) {
    let world = World::waiting();
    // As from a file or an unset variable: with a line break, and with fields that are empty.
    let word = format!("{word}\n");
    let form = Form::new(&[("commit", COMMIT), ("outcome", &word), ("exitCode", ""), ("url", ""), ("message", "")]);
    assert_eq!(world.post(form).await.1["outcome"], expected);
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_recorded_as_such() {
    let world = World::waiting();
    let form = Form::passed().file("reports/junit.xml", b"<html>").file("lint.sarif", b"").file("more.xml", &[0xff]);
    let (status, body) = world.post(form).await;
    assert_eq!(status, 200);
    let found: Vec<&Value> = body["reports"].as_array().unwrap().iter().map(|report| &report["state"]).collect();
    assert_eq!(found, ["Invalid", "Empty", "Invalid"]);
    assert!(body["reports"][2]["message"].as_str().unwrap().contains("UTF-8"), "{body}");
}

#[rstest]
#[case::of_a_named_root(Some("/home/runner/work/app"), "src/a.py")]
#[case::without_a_root(None, "")]
#[tokio::test]
async fn a_finding_at_an_absolute_path(#[case] root: Option<&str>, #[case] path: &str) {
    let sarif = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": [{
        "ruleId": "R1", "level": "error", "message": {"text": "m"}, "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": "file:///home/runner/work/app/src/a.py"}, "region": {"startLine": 3}}}]}]}]});
    let world = World::waiting();
    let form = root.map_or_else(Form::passed, |root| Form::passed().field("root", root));
    let (status, body) = world.post(form.file("lint.sarif", sarif.to_string().as_bytes())).await;
    assert_eq!(status, 200, "{body}");
    let report = &world.delivery()["reports"][1];
    assert_eq!((&report["counts"]["major"], &report["findings"][0]["path"]), (&1.into(), &path.into()));
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let world = World::waiting();
    for (kind, body, expected) in [
        ("application/json", "{}", 415),
        ("multipart/form-data", "", 415),
        (
            "multipart/form-data; boundary=XX",
            "--XX\r\nContent-Disposition: form-data; name=\"commit\"\r\n\r\n0123",
            400,
        ),
        ("multipart/form-data; boundary=XX", "not of that form", 400),
    ] {
        let request = HttpRequest::post(TASK).header("authorization", format!("Bearer {}", key("github")));
        let request = request.header("content-type", kind).body(Body::from(body)).unwrap();
        assert_eq!(world.ask(request).await.0, expected, "{kind}: {body}");
    }
    assert_eq!(world.writes(), 0);
}

#[tokio::test]
async fn a_report_and_an_answer_that_are_too_large_are_not_read_to_their_end() {
    let world = World::waiting();
    let (status, body) = world.post(Form::passed().file("more.xml", &vec![b' '; MAX_REPORT + 1])).await;
    assert_eq!((status, &body["error"]), (413, &"more.xml: larger than 32 MiB".into()));
    let quarter = vec![b' '; 25 << 20];
    let all = ["reports/junit.xml", "lint.sarif", "more.xml"];
    let form = all.iter().fold(Form::passed(), |form, path| form.file(path, &quarter));
    let (status, body) = world.post(form).await;
    assert_eq!((status, &body["error"]), (413, &"the answer is larger than 64 MiB".into()));
    assert_eq!(world.writes(), 0);
}

const MAX_REPORT: usize = crate::review::MAX_REPORT_BYTES;
