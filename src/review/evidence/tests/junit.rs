//! JUnit as tools write it, and as nobody should.

use rstest::rstest;

use super::support::{junit, tests};
use crate::api::evidence::ReportState;

#[rstest]
#[case::no_totals("<testsuites><testsuite><testcase name='a'/></testsuite></testsuites>", (1, 0, 0))]
#[case::suite_as_root("<testsuite><testcase name='a'/><testcase name='b'/></testsuite>", (2, 0, 0))]
#[case::eclipse("<testrun><testsuite><testcase name='a'/></testsuite></testrun>", (1, 0, 0))]
#[case::byte_order_mark("\u{feff}<?xml version='1.0'?><testsuite><testcase name='a'/></testsuite>", (1, 0, 0))]
#[case::namespace("<j:testsuite xmlns:j='u'><j:testcase name='a'><j:failure/></j:testcase></j:testsuite>", (0, 1, 0))]
#[case::nested(
    "<testsuites><testsuite><testsuite><testsuite><testcase name='a'/></testsuite><testcase name='b'><failure/>\
     </testcase></testsuite></testsuite></testsuites>", (1, 1, 0)
)]
#[case::case_outside_of_a_suite("<testsuites><testcase name='a'><failure/></testcase></testsuites>", (0, 1, 0))]
#[case::error_and_failure(
    "<testsuite><testcase name='a'><error/></testcase><testcase name='b'><failure/></testcase></testsuite>", (0, 2, 0)
)]
#[case::both_in_one_case("<testsuite><testcase name='a'><failure/><error/></testcase></testsuite>", (0, 1, 0))]
#[case::skipped("<testsuite><testcase name='a'><skipped/></testcase><testcase name='b'/></testsuite>", (1, 0, 1))]
#[case::skipped_does_not_hide_a_failure(
    "<testsuite><testcase name='a'><failure/><skipped/></testcase></testsuite>", (0, 1, 0)
)]
#[case::flaky_passed_in_the_end(
    "<testsuite><testcase name='a'><flakyFailure message='x'><failure/></flakyFailure></testcase></testsuite>",
    (1, 0, 0)
)]
#[case::rerun_failed_in_the_end(
    "<testsuite><testcase name='a'><failure/><rerunFailure/><rerunFailure/></testcase></testsuite>", (0, 1, 0)
)]
#[case::retried_as_entries_of_their_own(
    "<testsuite><testcase name='a'><failure/></testcase><testcase name='a'/><testcase name='b'/></testsuite>", (1, 1, 0)
)]
#[case::same_name_in_another_class(
    "<testsuite><testcase classname='x' name='a'><failure/></testcase><testcase classname='y' name='a'/></testsuite>",
    (1, 1, 0)
)]
#[case::the_same_test_twice("<testsuite><testcase name='a'/><testcase name='a'/></testsuite>", (1, 0, 0))]
#[case::failed_and_broken_in_its_teardown(
    "<testsuite><testcase name='a'><failure/></testcase><testcase name='a'><error/></testcase></testsuite>", (0, 1, 0)
)]
#[case::nameless_cases_are_tests_of_their_own("<testsuite><testcase/><testcase/></testsuite>", (2, 0, 0))]
#[case::same_name_in_another_suite(
    "<testsuites><testsuite name='x'><testcase name='a'/></testsuite><testsuite name='y'><testcase name='a'>\
     <failure/></testcase></testsuite></testsuites>", (1, 1, 0)
)]
#[case::suites_own_failure("<testsuite><error message='set-up'>boom</error><testcase name='a'/></testsuite>", (1, 1, 0))]
#[case::totals_that_no_case_shows("<testsuite tests='3' failures='2' errors='1'><testcase name='a'/></testsuite>", (1, 3, 0))]
#[case::totals_that_are_nonsense("<testsuite tests='-1' failures='1,5' time='1.234,5'><testcase name='a'/></testsuite>", (1, 0, 0))]
#[case::googletest(
    "<testsuite failures='0'><testcase name='a' status='run' result='completed'/>\
     <testcase name='b' status='notrun' result='suppressed'/></testsuite>", (1, 0, 1)
)]
#[case::outcome_in_an_attribute("<testsuite><testcase name='a' result='Failure'/></testsuite>", (0, 1, 0))]
#[case::failure_in_the_output(
    "<testsuite><testcase name='a'><system-out><![CDATA[<failure/>]]></system-out></testcase></testsuite>", (1, 0, 0)
)]
#[case::unknown_elements("<testsuite><extra><testcase name='a'><failure/></testcase></extra></testsuite>", (0, 1, 0))]
fn every_case_counts_once(#[case] text: &str, #[case] expected: (i32, i32, i32)) {
    let facts = junit(text);
    assert_eq!(tests(&facts), expected);
    assert_eq!(facts.counts.unwrap().major, expected.1, "failed tests are findings");
}

#[rstest]
#[case::nothing("", ReportState::Empty, "the file is empty")]
#[case::white_space("\u{feff} \n", ReportState::Empty, "")]
#[case::no_case("<testsuites/>", ReportState::Empty, "no test is in it")]
#[case::all_skipped("<testsuite><testcase><skipped/></testcase></testsuite>", ReportState::Empty, "all 1 were skipped")]
#[case::text("42 passed", ReportState::Invalid, "no root element")]
#[case::truncated("<testsuites><testsuite><testcase name='a'/>", ReportState::Invalid, "ends too early")]
#[case::truncated_in_a_tag("<testsuite><testcase name='a", ReportState::Invalid, "not well-formed")]
#[case::ends_crossed("<testsuite><testcase></testsuite></testcase>", ReportState::Invalid, "not well-formed")]
#[case::two_roots("<testsuite><testcase/></testsuite><testsuite/>", ReportState::Invalid, "more than one root")]
#[case::coverage("<coverage line-rate='1'/>", ReportState::Invalid, "the root element is <coverage>")]
#[case::json("{\"runs\": []}", ReportState::Invalid, "no root element")]
fn what_is_no_evidence_says_why(#[case] text: &str, #[case] state: ReportState, #[case] message: &str) {
    let facts = junit(text);
    assert_eq!(facts.state, state, "{}", facts.message);
    assert!(facts.message.contains(message), "{}", facts.message);
    assert_eq!((facts.tests, facts.counts), (None, None));
}

#[test]
fn a_message_is_one_plain_line() {
    let facts = junit(
        "<testsuite><testcase classname='c' name='n'><failure>one\n\n  two \u{1b}[31mred\u{202e} &lt;x&gt;</failure>\
         </testcase></testsuite>",
    );
    assert_eq!(facts.findings[0].rule, "c::n");
    assert!(facts.findings[0].message.starts_with("one two [31mred"), "{:?}", facts.findings[0].message);
    assert!(!facts.findings[0].message.contains(|c: char| c.is_control() || c == '\u{202e}'));
}

#[test]
fn ids_of_failed_tests_do_not_depend_on_what_they_say() {
    let ids = |message: &str| {
        let text = format!("<testsuite><testcase name='a'><failure message='{message}'/></testcase></testsuite>");
        junit(&text).findings[0].id.clone()
    };
    assert_eq!(ids("0.01 s"), ids("0.02 s"));
}
