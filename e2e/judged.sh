# shellcheck shell=bash
# Phases that a person lets pass: a sign of gaming and a disputed finding, waived; and what coverage, a scanner and a
# measurement say of the change alone. Sourced by e2e/run; MEASURED and REVIEWED are the namespaces.

measured_line() {
  apply_sample measured "$MEASURED" || give_up "the measured phases cannot be applied"
  follow "$MEASURED"
  passed_phase "$MEASURED" measured measured-1 phase-1-v0.1.0
  measured_facts
  gamed_and_waived
  follow "$MEASURED"
  passed_phase "$MEASURED" measured measured-2 phase-2-v0.2.0
  known_debt
  uncovered_change
}

# last_result NAMESPACE PHASE
last_result() { field "$1" phase "$2" .status.review.result; }

# report_of RESULT CHECK JSONPATH: a fact of a check's reports in a namespace's ReviewResult.
report_of() { field "$MEASURED" reviewresult "$1" ".spec.checks[?(@.name==\"$2\")].reports[*]$3"; }

score_of() { field "$MEASURED" reviewresult "$1" ".status.categories[?(@.name==\"$2\")].score"; }

measured_facts() {
  local result
  result=$(last_result "$MEASURED" measured-1 || true)
  is "measured-1: the tests are counted" 4 "$(report_of "$result" tests .tests.passed)"
  is "measured-1: every line is covered" "9 9" \
    "$(report_of "$result" tests .coverage.changed.total) $(report_of "$result" tests .coverage.changed.covered)"
  is "measured-1: both measurements are evidence" "calls.per_second memory.peak_kib" \
    "$(report_of "$result" speed '.measurements[*].target.metric')"
  is "measured-1: speed reaches its target" 10.0 "$(score_of "$result" performance)"
  is "measured-1: what the scanner found is new, and costs" 9.7 "$(score_of "$result" security)"
}

# All checks are green and a test is gone.
gamed_and_waived() {
  local result signs id arguments=()
  is "measured-2 is before a person, whatever its score" "Escalated Gamed" \
    "$(kubectl -n "$MEASURED" get phase measured-2 -o 'jsonpath={.status.state} {.status.escalation.reason}')"
  result=$(last_result "$MEASURED" measured-2 || true)
  is "measured-2: what blocks passed; the scanner, which does not, found what the base has" "Passed Failed Passed" "$(field "$MEASURED" reviewresult "$result" '.spec.checks[*].outcome')"
  has "measured-2: the sign shows the test that is gone" "-def test_both_scales_meet():" \
    "$(field "$MEASURED" reviewresult "$result" '.status.gamingSigns[*].sign.text')"
  has "the report says it" "Signs of gaming: 1 open" "$(kubectl phasegate -n "$MEASURED" report measured-2 || true)"
  none "nothing of it is merged" git_in "$MEASURED" measured tag --list 'phase-2-*'
  signs=$(field "$MEASURED" reviewresult "$result" '.status.gamingSigns[*].sign.id' || true)
  for id in $signs; do arguments+=(--finding "$id"); done
  ok "a waiver without a reason is refused" bash -c "! kubectl phasegate -n $MEASURED waive measured-2 ${arguments[*]}"
  ok "the waiver is acted on" kubectl phasegate -n "$MEASURED" waive measured-2 "${arguments[@]}" \
    --reason "The scales meet in the other test, too"
}

# The finding of phase 1 moved by two lines: it is known, and free.
known_debt() {
  local result
  result=$(last_result "$MEASURED" measured-2 || true)
  is "measured-2: the scanner's finding is known debt" "B108 Known" \
    "$(field "$MEASURED" reviewresult "$result" '.status.findings[*].finding.rule') $(field "$MEASURED" reviewresult "$result" '.status.findings[*].uncharged')"
  is "measured-2: and costs nothing" 10.0 "$(score_of "$result" security)"
  is "measured-2: the signs are waived, not forgotten" true \
    "$(field "$MEASURED" reviewresult "$result" '.status.gamingSigns[*].waived' | tr ' ' '\n' | sort -u)"
  is "measured-2 spent one attempt" 1 "$(field "$MEASURED" phase measured-2 .status.attempt)"
}

# Most lines of the file are covered, hardly one of those that changed.
uncovered_change() {
  local first
  passed_phase "$MEASURED" measured measured-3 phase-3-v0.3.0
  is "measured-3 is judged twice" "Fail Pass" "$(field "$MEASURED" phase measured-3 '.status.history[*].verdict')"
  first=$(field "$MEASURED" phase measured-3 '.status.history[0].result' || true)
  is "measured-3: one of its eight lines was covered" "8 1" \
    "$(report_of "$first" tests .coverage.changed.total) $(report_of "$first" tests .coverage.changed.covered)"
  is "measured-3: the whole was better than that" "20 13" \
    "$(report_of "$first" tests .coverage.all.total) $(report_of "$first" tests .coverage.all.covered)"
  is "measured-3: which cost it the gate" 1.4 "$(score_of "$first" functionality)"
}

# A finding that is wrong, and is found again.
disputed_line() {
  local result id
  is "reviewed-2 is before a person" "Escalated Disputed" \
    "$(kubectl -n "$REVIEWED" get phase reviewed-2 -o 'jsonpath={.status.state} {.status.escalation.reason}')"
  has "with what the reviewer says" "raises a ValueError" "$(field "$REVIEWED" phase reviewed-2 .status.escalation.message)"
  has "and with what the developer says" 'max() gets default=""' "$(field "$REVIEWED" phase reviewed-2 .status.escalation.message)"
  result=$(last_result "$REVIEWED" reviewed-2 || true)
  id=$(field "$REVIEWED" reviewresult "$result" '.status.findings[?(@.finding.severity=="Major")].finding.id' || true)
  ok "the finding is waived by the first characters of its id" kubectl phasegate -n "$REVIEWED" waive reviewed-2 \
    --finding "${id:0:12}" --reason "max() has a default"
  follow "$REVIEWED"
  passed_phase "$REVIEWED" reviewed reviewed-2 phase-2-v0.2.0
  result=$(last_result "$REVIEWED" reviewed-2 || true)
  is "the waived finding is in the record" Waived \
    "$(field "$REVIEWED" reviewresult "$result" '.status.findings[?(@.finding.severity=="Major")].uncharged')"
}
