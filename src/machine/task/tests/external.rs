//! A check that runs elsewhere: from the first look to the answer, or to the end of its time.

use super::*;

/// It has waited for so many seconds, of 600.
fn waiting(seconds: i64) -> Snapshot {
    elsewhere(None).with(|s| {
        s.record = Record {
            state: TaskState::Running,
            run: 1,
            message: "waits for GitHub Actions".to_owned(),
            started_at: Some(Time(ago(seconds))),
            ..Record::default()
        };
    })
}

fn elsewhere(answer: Option<Answer>) -> Snapshot {
    new(Role::Check).with(|s| s.external = Some(External { system: "GitHub Actions".to_owned(), answer }))
}

fn answered(outcome: CheckOutcome, message: &str, url: &str) -> Snapshot {
    let exit_code = (outcome == CheckOutcome::Failed).then_some(2);
    let answer = Answer { outcome, exit_code, message: message.to_owned(), url: url.to_owned() };
    waiting(599).with(|s| s.external = elsewhere(Some(answer)).external)
}

#[rstest]
#[case::it_waits_from_the_first_look(
    elsewhere(None),
    "Running run 1 spent 0 infra 0 |  | 600 s | waits for GitHub Actions"
)]
#[case::a_suspended_phase_begins_no_wait(elsewhere(None).with(|s| s.hold = Some("suspended".into())),
    "Pending run 0 spent 0 infra 0 |  | - | suspended")]
#[case::a_wait_that_has_begun_goes_on_while_suspended(waiting(10).with(|s| s.hold = Some("suspended".into())),
    "Running run 1 spent 0 infra 0 |  | 590 s | waits for GitHub Actions")]
#[case::it_waits_until_its_timeout(waiting(599), "Running run 1 spent 0 infra 0 |  | 1 s | waits for GitHub Actions")]
#[case::no_answer_says_nothing_about_the_code(
    waiting(600),
    "Failed run 1 spent 0 infra 0 Inconclusive NotStarted |  | - | no answer from GitHub Actions within 10m"
)]
#[case::passed(
    answered(CheckOutcome::Passed, "", ""),
    "Succeeded run 1 spent 0 infra 0 Passed |  | - | passed, says GitHub Actions"
)]
#[case::failed_with_its_words_and_its_place(
    answered(CheckOutcome::Failed, "3 of 90 jobs failed\n", "https://ci.example/7"),
    "Succeeded run 1 spent 0 infra 0 Failed |  | - | GitHub Actions: 3 of 90 jobs failed (see https://ci.example/7)"
)]
#[case::failed_without_a_word(
    answered(CheckOutcome::Failed, "", "https://ci.example/7"),
    "Succeeded run 1 spent 0 infra 0 Failed |  | - | GitHub Actions says so (see https://ci.example/7)"
)]
#[case::an_answer_in_time_counts_although_it_is_seen_late(
    answered(CheckOutcome::Passed, "", "").with(|s| s.record.started_at = Some(Time(ago(9000)))),
    "Succeeded run 1 spent 0 infra 0 Passed |  | - | passed, says GitHub Actions"
)]
#[case::an_answer_before_the_first_look_counts(
    answered(CheckOutcome::Passed, "", "").with(|s| s.record = Record::default()),
    "Succeeded run 1 spent 0 infra 0 Passed |  | - | passed, says GitHub Actions"
)]
#[case::an_end_is_final(answered(CheckOutcome::Failed, "", "").with(|s| s.record.state = TaskState::Failed),
    "Failed run 1 spent 0 infra 0 |  | - | waits for GitHub Actions")]
fn a_check_that_runs_elsewhere(#[case] s: Snapshot, #[case] expected: &str) {
    assert_eq!(summary(&decide(&s)), expected);
    assert_settled(&s);
}

#[test]
fn its_exit_code_is_on_record_and_what_went_wrong_is_an_event() {
    let outcome = decide(&answered(CheckOutcome::Failed, "", ""));
    assert_eq!(outcome.record.exit_code, Some(2));
    assert_eq!(outcome.note.map(|note| note.reason).as_deref(), Some("CheckFailed"));
    assert_eq!(decide(&waiting(600)).note.map(|note| note.reason).as_deref(), Some("Failed"));
    assert_eq!(decide(&waiting(0)).note, None);
}

#[test]
fn the_address_of_a_run_survives_a_long_message() {
    let url = "https://ci.example/7";
    let outcome = decide(&answered(CheckOutcome::Failed, &"ä".repeat(4000), url));
    assert!(outcome.record.message.ends_with(&format!("(see {url})")));
    assert!(outcome.record.message.chars().count() <= 1000);
}
