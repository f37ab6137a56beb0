# shellcheck shell=bash
# An upstream behind a password and behind ssh: it is mirrored, goes on meanwhile, gets what passes, and may refuse it. Sourced by
# e2e/run; UPSTREAM is the namespace. The servers are real ones, beside the cluster, where its pods reach them.

SERVERS=$PWD/dist/upstream
THEIRS=$SERVERS/people

upstream_line() {
  local first
  # A cluster that somebody else runs cannot reach this machine.
  [ -z "${DEMO_CONTEXT:-}" ] || { say "left out: needs the cluster of e2e/cluster"; return; }
  e2e/upstream.d/serve down "$SERVERS"
  e2e/upstream.d/serve up "$SERVERS" 10.244.0.1 > dist/upstream.env || give_up "the upstream's servers do not start"
  # shellcheck disable=SC1091
  . dist/upstream.env
  their_repository
  first=$(git -C "$THEIRS" rev-parse HEAD)
  upstream_secrets wrong || give_up "the Secret cannot be made"
  upstream_repository "$UPSTREAM_HTTPS/app.git" Push || give_up "the Repository cannot be applied"
  wrong_credentials
  ok "the right password is enough" await 120 mirrored_at "$first"
  first_push "$first"
  moved_upstream
  protected_upstream
  by_ssh_as_a_branch
  taken_back_upstream
  their_branches
  several_at_once
  # Nothing is to be looked at again: a quiet time follows.
  kubectl -n "$UPSTREAM" patch repository app --type merge -p '{"spec":{"upstream":{"interval":"24h"}}}' > /dev/null
  ok "the upstream is looked at once more" await 120 upstream_is_quiet
  e2e/upstream.d/serve down "$SERVERS"
}

# shellcheck disable=SC2317
upstream_is_quiet() {
  [ "$(field "$UPSTREAM" repository app .status.sync.generation)" = "$(field "$UPSTREAM" repository app .metadata.generation)" ] &&
    [ -n "$(field "$UPSTREAM" repository app .status.sync.finishedAt)" ]
}

# in_theirs ARGUMENTS...: git of the upstream's people.
in_theirs() { git -C "$THEIRS" -c user.name=Ann -c user.email=ann@example.com "$@"; }

their_repository() {
  git init -q --bare -b main "$UPSTREAM_REPOSITORIES/app.git"
  git -C "$UPSTREAM_REPOSITORIES/app.git" config http.receivepack true
  git init -q -b main "$THEIRS"
  they_add README.md "their code"
}

# they_add FILE TEXT: a commit of theirs on their main.
they_add() {
  in_theirs fetch -q "$UPSTREAM_REPOSITORIES/app.git" main 2> /dev/null && in_theirs reset -q --hard FETCH_HEAD
  printf '%s\n' "$2" > "$THEIRS/$1"
  in_theirs add -A
  in_theirs commit -qm "Add $1"
  in_theirs push -q "$UPSTREAM_REPOSITORIES/app.git" HEAD:main
}

upstream_secrets() {
  local password=$UPSTREAM_PASSWORD
  [ "${1:-}" != wrong ] || password=wrong
  kubectl -n "$UPSTREAM" create secret generic https --dry-run=client -o yaml --from-literal=host="${UPSTREAM_HTTPS#https://}" \
    --from-literal=username="$UPSTREAM_USER" --from-literal=password="$password" --from-file=ca.crt="$UPSTREAM_CA" |
    kubectl apply -f - > /dev/null &&
    kubectl -n "$UPSTREAM" create secret generic ssh --dry-run=client -o yaml --from-literal=host="${UPSTREAM_SSH#ssh://*@}" \
      --from-file=ssh-privatekey="$UPSTREAM_KEY" --from-file=known_hosts="$UPSTREAM_KNOWN_HOSTS" |
    kubectl apply -f - > /dev/null
}

# upstream_repository URL DELIVER [SECRET]
upstream_repository() {
  kubectl -n "$UPSTREAM" apply -f - <<YAML
apiVersion: v1
kind: PodTemplate
metadata: {name: worker}
template:
  spec:
    containers:
      - name: agent
        image: $TOOLS
        imagePullPolicy: IfNotPresent
        command: [sh, -c, 'grep -o "file-[0-9]*.txt" "\$PHASEGATE_BRIEF" | head -n 1 | xargs -I{} cp README.md {}']
---
apiVersion: phasegate.dev/v1alpha1
kind: Repository
metadata: {name: app}
spec:
  upstream: {url: "$1", credentialsSecretRef: {name: "${3:-https}"}, deliver: $2, interval: 30s}
  checks: [{name: test, image: "$TOOLS", script: test -s README.md}]
  agents: {developer: {podTemplateRef: {name: worker}}}
YAML
}

# upstream_phase NUMBER [APPROVAL]: it writes a file of its number's name.
upstream_phase() {
  kubectl -n "$UPSTREAM" apply -f - <<YAML
apiVersion: phasegate.dev/v1alpha1
kind: Phase
metadata: {name: app-$1}
spec:
  repositoryRef: {name: app}
  number: $1
  version: 0.$1.0
  approval: {required: ${2:-false}}
  tasks: [{name: do, description: "write file-$1.txt"}]
YAML
}

# shellcheck disable=SC2317
mirrored_at() { [ "$(field "$UPSTREAM" repository app .status.sync.head)" = "$1" ] && [ "$(field "$UPSTREAM" repository app '.status.conditions[?(@.type=="Ready")].status')" = True ]; }
# shellcheck disable=SC2317
upstream_phase_is() { [ "$(state_of "$UPSTREAM" "app-$1")" = "$2" ]; }
# shellcheck disable=SC2317
repository_says() { [[ $(field "$UPSTREAM" repository app .status.message) = *"$1"* ]]; }
# shellcheck disable=SC2317
at_upstream() { git -C "$UPSTREAM_REPOSITORIES/app.git" rev-parse "$1"; }

# shellcheck disable=SC2317
upstream_password_elsewhere() {
  local all
  all=$(kubectl -n "$UPSTREAM" get agenttasks,repositories,jobs,pods,events -o yaml) && grep -q credentialsSecretRef <<< "$all" && sed -n "/$UPSTREAM_PASSWORD/p" <<< "$all"
}

wrong_credentials() {
  ok "a wrong password is told with the name of its Secret" await 240 repository_says "refuses the credentials of Secret https"
  none "the password is in no object but the Secret" upstream_password_elsewhere
  upstream_secrets || give_up "the Secret cannot be mended"
  # An edit tries again at once.
  kubectl -n "$UPSTREAM" patch repository app --type merge -p '{"spec":{"parallelism":2}}' > /dev/null
}

first_push() {
  upstream_phase 1 || give_up "the first phase cannot be applied"
  ok "the first phase passes" await 300 upstream_phase_is 1 Passed
  passed_phase "$UPSTREAM" app app-1 phase-1-v0.1.0
  is "the upstream's main is ours" "$(git_in "$UPSTREAM" app rev-parse main)" "$(at_upstream main)"
  is "it goes on from theirs" "$1" "$(at_upstream 'main^1')"
  is "its tag is the same object" "$(git_in "$UPSTREAM" app rev-parse phase-1-v0.1.0)" "$(at_upstream phase-1-v0.1.0)"
  none "what was prepared is cleared away" git_in "$UPSTREAM" app for-each-ref refs/phasegate/push
}

# Their people go on while a phase waits for its approval.
moved_upstream() {
  local theirs
  upstream_phase 2 true || give_up "the second phase cannot be applied"
  ok "the second phase waits for a person" await 300 upstream_phase_is 2 AwaitingApproval
  they_add news.txt news
  theirs=$(at_upstream main)
  ok "their commit is seen" await 120 mirrored_at "$theirs"
  ok "the second phase is approved" kubectl phasegate -n "$UPSTREAM" approve app-2
  ok "and passes" await 300 upstream_phase_is 2 Passed
  passed_phase "$UPSTREAM" app app-2 phase-2-v0.2.0
  is "it was reviewed again, on top of theirs" "$theirs" "$(field "$UPSTREAM" reviewresult "$(field "$UPSTREAM" phase app-2 .status.review.result)" .spec.base)"
  ok "which is the second review" test "$(field "$UPSTREAM" phase app-2 .status.review.number)" -ge 2
  is "main has theirs and ours" "README.md file-1.txt file-2.txt news.txt" "$(git_in "$UPSTREAM" app ls-tree --name-only main | paste -sd' ')"
  is "and so has the upstream" "$(git_in "$UPSTREAM" app rev-parse main)" "$(at_upstream main)"
}

protected_upstream() {
  local before hook=$UPSTREAM_REPOSITORIES/app.git/hooks/pre-receive
  printf '#!/bin/sh\necho "main is protected: ask ann"\nexit 1\n' > "$hook"
  chmod +x "$hook"
  before=$(git_in "$UPSTREAM" app rev-parse main)
  upstream_phase 3 || give_up "the third phase cannot be applied"
  ok "a protected branch stops the third phase" await 300 upstream_phase_is 3 Escalated
  is "for this reason" PushRejected "$(field "$UPSTREAM" phase app-3 .status.escalation.reason)"
  has "in the server's words" "main is protected: ask ann" "$(field "$UPSTREAM" phase app-3 .status.escalation.message)"
  is "neither main has moved" "$before $before" "$(git_in "$UPSTREAM" app rev-parse main) $(at_upstream main)"
  none "and there is no tag" git_in "$UPSTREAM" app tag --list 'phase-3-*'
  rm "$hook"
  ok "once it is allowed, a retry is enough" kubectl phasegate -n "$UPSTREAM" retry app-3 --note 'allowed now'
  ok "the third phase passes" await 300 upstream_phase_is 3 Passed
  is "in its first attempt" 1 "$(field "$UPSTREAM" phase app-3 .status.attempt)"
  passed_phase "$UPSTREAM" app app-3 phase-3-v0.3.0
  is "and is there" "$(git_in "$UPSTREAM" app rev-parse main)" "$(at_upstream main)"
}

by_ssh_as_a_branch() {
  local before
  before=$(at_upstream main)
  upstream_repository "$UPSTREAM_SSH/app.git" Branch ssh > /dev/null || give_up "the Repository cannot be changed"
  upstream_phase 4 || give_up "the fourth phase cannot be applied"
  ok "the fourth phase passes" await 300 upstream_phase_is 4 Passed
  passed_phase "$UPSTREAM" app app-4 phase-4-v0.4.0
  is "their main is theirs to move" "$before" "$(at_upstream main)"
  is "the branch is there, by ssh" "$(git_in "$UPSTREAM" app rev-parse main)" "$(at_upstream release/phase-4-v0.4.0)"
  # A person merges it.
  in_theirs fetch -q "$UPSTREAM_REPOSITORIES/app.git" main release/phase-4-v0.4.0
  in_theirs reset -q --hard "$before"
  in_theirs merge -q --no-ff -m "Merge phase 4" "$(at_upstream release/phase-4-v0.4.0)"
  in_theirs push -q "$UPSTREAM_REPOSITORIES/app.git" HEAD:main
  ok "their merge is seen" await 120 mirrored_at "$(git -C "$THEIRS" rev-parse HEAD)"
}

taken_back_upstream() {
  upstream_repository "$UPSTREAM_HTTPS/app.git" Push > /dev/null || give_up "the Repository cannot be changed"
  ok "a rollback is ordered" kubectl phasegate -n "$UPSTREAM" rollback app-4 --reason 'not wanted'
  ok "the fourth phase is taken back" await 300 upstream_phase_is 4 RolledBack
  is "also upstream" "$(git_in "$UPSTREAM" app rev-parse main)" "$(at_upstream main)"
  is "and nothing else is" "README.md file-1.txt file-2.txt file-3.txt news.txt" "$(git -C "$UPSTREAM_REPOSITORIES/app.git" ls-tree --name-only main | paste -sd' ')"
  is "the repository is whole" "" "$(git_in "$UPSTREAM" app fsck --strict 2>&1 | grep -v '^notice\|^dangling' || true)"
}

their_branches() {
  in_theirs push -q "$UPSTREAM_REPOSITORIES/app.git" HEAD:refs/heads/topic
  they_add more.txt more
  ok "a branch of theirs is mirrored" await 120 mirrors main topic
  git -C "$UPSTREAM_REPOSITORIES/app.git" branch -qD topic
  in_theirs push -q "$UPSTREAM_REPOSITORIES/app.git" HEAD:refs/heads/topic/next
  ok "and forgotten with them, so that its name can become a folder" await 120 mirrors main topic/next
}

# mirrors BRANCH...: exactly these; those that phases were delivered as aside.
# shellcheck disable=SC2317
mirrors() {
  [ "$(git_in "$UPSTREAM" app for-each-ref '--format=%(refname:lstrip=3)' refs/upstream/heads | grep -v '^release/\|^bugfix/' | paste -sd' ')" = "$*" ]
}

# Each goes out on top of the one before, whichever is first.
several_at_once() {
  local number
  for number in 5 6; do upstream_phase "$number" || give_up "phase $number cannot be applied"; done
  for number in 5 6; do
    ok "of two phases at once, phase $number passes" await 400 upstream_phase_is "$number" Passed
    passed_phase "$UPSTREAM" app "app-$number" "phase-$number-v0.$number.0"
    is "and its tag is upstream" "$(git_in "$UPSTREAM" app rev-parse "phase-$number-v0.$number.0")" "$(at_upstream "phase-$number-v0.$number.0")"
  done
  is "both are on the upstream's main, which is ours" "$(git_in "$UPSTREAM" app rev-parse main)" "$(at_upstream main)"
  is "with the files of all" "README.md file-1.txt file-2.txt file-3.txt file-5.txt file-6.txt more.txt news.txt" \
    "$(git -C "$UPSTREAM_REPOSITORIES/app.git" ls-tree --name-only main | paste -sd' ')"
}
