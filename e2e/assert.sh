# shellcheck shell=bash
# Assertions of the end-to-end tests. Sourced after common.sh; PROJECTS are the namespaces to diagnose.

PASSED=0 FAILED=0

# ok WHAT COMMAND...: one assertion.
ok() {
  local what=$1
  shift
  if "$@" > /dev/null 2>&1; then
    PASSED=$((PASSED + 1))
    printf 'ok      %s\n' "$what"
  else
    failed "$what" "$*"
  fi
}

# failed WHAT DETAIL...
failed() {
  FAILED=$((FAILED + 1))
  printf 'FAILED  %s\n' "$1"
  shift
  printf '        %s\n' "$@"
}

# is WHAT WANTED GOT
is() {
  if [ "$2" = "$3" ]; then
    ok "$1" true
  else
    failed "$1" "wanted: $2" "got:    $3"
  fi
}

# none WHAT COMMAND...: the command succeeds and prints nothing. A command that fails proves nothing.
none() {
  local what=$1 printed
  shift
  if printed=$("$@") && [ -z "$printed" ]; then
    ok "$what" true
  else
    failed "$what" "wanted nothing of: $*" "got: ${printed:-a failure}"
  fi
}

# has WHAT WORDS TEXT
has() {
  if [[ $3 = *"$2"* ]]; then
    ok "$1" true
  else
    failed "$1" "wanted: …$2…" "got:    $3"
  fi
}

# field NAMESPACE KIND NAME JSONPATH
field() { kubectl -n "$1" get "$2" "$3" -o "jsonpath={$4}"; }

give_up() {
  failed "$*"
  conclude
}

conclude() {
  [ "$FAILED" = 0 ] || diagnose "${PROJECTS[@]}"
  printf '\n%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" = 0 ] || exit 1
  exit 0
}
