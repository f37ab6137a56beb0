# shellcheck shell=bash
# A phase with one check in a pod and one that this test answers from outside. Sourced by e2e/run; HELLO is the namespace.

readonly KEYS_SECRET=phasegate-api-keys
OUTSIDE=dist/outside

external_line() {
  local commit post
  rm -rf "$OUTSIDE"
  mkdir -p "$OUTSIDE/patches"
  forward
  is "before there is a key nobody is listened to" 401 "$(checks)"
  make_key
  external_phase || give_up "the phase with an external check cannot be applied"
  ok "the new key is good without a restart, and the check is listed" await 300 listed
  commit=$(field "$HELLO" phase hello-2 .status.review.commit || true)
  post=$(sed -n 's/.*"post":"\([^"]*\)".*/\1/p' "$OUTSIDE/answer.json")
  has "the list names the commit under review" "\"commit\":\"$commit\"" "$(cat "$OUTSIDE/answer.json")"
  answers "$commit" "$post"
  follow "$HELLO"
  passed_phase "$HELLO" hello hello-2 phase-2-v0.2.0
  external_evidence "${post##*/}"
  kill "$FORWARD" 2> /dev/null || true
}

# The address of the operator from here, in ADDRESS; ends with this process.
forward() {
  kubectl -n "$SYSTEM" port-forward service/phasegate :4000 > "$OUTSIDE/forward.log" 2>&1 &
  FORWARD=$!
  trap 'kill "$FORWARD" 2> /dev/null || true' EXIT
  await 30 grep -q '^Forwarding from 127' "$OUTSIDE/forward.log" || give_up "the operator's port cannot be forwarded"
  ADDRESS=http://127.0.0.1:$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$OUTSIDE/forward.log" | head -n 1)
}

make_key() {
  dist/phasegate keys new --name e2e --role ci --namespace "$HELLO" > "$OUTSIDE/keys.yaml" 2> "$OUTSIDE/said"
  KEY=$(grep -o 'pgk_[A-Za-z0-9_-]*' "$OUTSIDE/said")
  rm "$OUTSIDE/said"
  kubectl -n "$SYSTEM" create secret generic "$KEYS_SECRET" --from-file="$OUTSIDE/keys.yaml"
}

external_phase() {
  cp config/samples/hello/patches/*.patch "$OUTSIDE/patches/"
  cat > "$OUTSIDE/patches/hello-2.news.1.patch" <<'PATCH'
diff --git a/NEWS.md b/NEWS.md
new file mode 100644
--- /dev/null
+++ b/NEWS.md
@@ -0,0 +1 @@
+Everybody is greeted.
PATCH
  kubectl -n "$HELLO" create configmap hello-1-patches --from-file="$OUTSIDE/patches" --dry-run=client -o yaml \
    | kubectl -n "$HELLO" apply --server-side --force-conflicts -f - || return 1
  kubectl -n "$HELLO" apply -f - <<'YAML'
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: hello-2}
spec:
  repositoryRef: {name: hello}
  number: 2
  version: 0.2.0
  dependsOn: [hello-1]
  tasks: [{name: news, description: Say what is new}]
  checks:
    - name: lab
      external: {system: the end-to-end test}
      timeout: 15m
      reports: [{path: reports/junit.xml, format: JUnit}]
YAML
}

# ask CURL FLAGS...: the status code; the answer is in a file.
ask() {
  curl -sS -o "$OUTSIDE/answer.json" -w '%{http_code}' -H "Authorization: Bearer ${KEY:-}" "$@"
}

checks() { ask "$ADDRESS/ci/v1/namespaces/$HELLO/checks?check=lab"; }

# shellcheck disable=SC2317
listed() { [ "$(checks)" = 200 ] && grep -q '"phase":"hello-2"' "$OUTSIDE/answer.json"; }

# answer POST COMMIT OUTCOME [TESTS]
answer() {
  printf '<testsuite>%s</testsuite>\n' "${4:-<testcase name=\"device\"/>}" > "$OUTSIDE/junit.xml"
  ask -F "commit=$2" -F "outcome=$3" -F url=https://ci.example/7 -F "reports/junit.xml=@$OUTSIDE/junit.xml" "$ADDRESS$1"
}

answers() {
  local commit=$1 post=$2 other
  other=$(git_in "$HELLO" hello rev-parse main)
  is "an answer for another commit is refused" 409 "$(answer "$post" "$other" passed)"
  has "the refusal names the commit that is waited for" "\"expected\":\"$commit\"" "$(cat "$OUTSIDE/answer.json")"
  is "an undeclared report is refused" 400 \
    "$(ask -F "commit=$commit" -F outcome=passed -F "other.xml=@$OUTSIDE/junit.xml" "$ADDRESS$post")"
  is "nothing is decided by what is refused" Reviewing "$(state_of "$HELLO" hello-2)"
  is "the answer for the commit is taken" 200 "$(answer "$post" "$commit" passed)"
  is "the same again is taken too" 200 "$(answer "$post" "$commit" passed)"
  is "another is refused" 409 "$(answer "$post" "$commit" failed)"
}

# external_evidence TASK
external_evidence() {
  local result
  result=$(field "$HELLO" phase hello-2 .status.review.result || true)
  is "both checks passed" "Passed Passed" "$(field "$HELLO" reviewresult "$result" '.spec.checks[*].outcome')"
  is "the report of the external one is evidence" 1 \
    "$(field "$HELLO" reviewresult "$result" '.spec.checks[?(@.name=="lab")].reports[0].tests.passed')"
  is "the record names the key" e2e "$(field "$HELLO" agenttask "$1" .status.delivery.external.key)"
  none "no Job was made for it" jobs_of "$1"
}

# shellcheck disable=SC2317
jobs_of() {
  local owners
  owners=$(kubectl -n "$HELLO" get jobs -o 'jsonpath={range .items[*]}{.metadata.ownerReferences[0].name}{"\n"}{end}') || return 1
  grep -Fx "$1" <<< "$owners" || true
}
