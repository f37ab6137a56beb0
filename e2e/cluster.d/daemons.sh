# shellcheck shell=bash
# Processes that outlive the shell that started them. RUN is a folder with pid/ and log/.

RUN=$STATE

use_run() { RUN=$(realpath "$1"); }

# daemon NAME COMMAND...: in a session of its own, without the caller's open files, locks and environment.
daemon() {
  local name=$1 fd
  shift
  mkdir -p "$RUN/pid" "$RUN/log"
  (
    cd "$RUN" || exit 1
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    # A background job is no group leader, so setsid does not fork and the pid stays this one.
    exec setsid env -i PATH="$PATH" HOME="${HOME:-/}" ${TMPDIR:+TMPDIR="$TMPDIR"} "${DAEMON_ENV[@]}" "$@" \
      < /dev/null >> "$RUN/log/$name.log" 2>&1
  ) &
  printf '%s\n' "$!" > "$RUN/pid/$name"
}
DAEMON_ENV=()

pid_of() { cat "$RUN/pid/$1" 2> /dev/null; }

# The pid may belong to another process by now, so its command line has to name the run folder.
alive() {
  local pid
  pid=$(pid_of "$1") && [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
  tr '\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null | grep -qF "$RUN/" && ! grep -q '^State:.*Z' "/proc/$pid/status"
}

# Waits for a daemon to serve; a dead one is not waited for.
await_daemon() {
  local name=$1 end=$((SECONDS + 60))
  shift
  until "$@" > /dev/null 2>&1; do
    # Not 'alive': the process may not have become the daemon yet.
    kill -0 "$(pid_of "$name")" 2> /dev/null || return 1
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

stop_daemon() {
  local pid end=$((SECONDS + ${2:-5}))
  pid=$(pid_of "$1") || return 0
  if alive "$1"; then
    kill "$pid" 2> /dev/null || true
    while alive "$1" && [ "$SECONDS" -lt "$end" ]; do sleep 0.05; done
    ! alive "$1" || kill -9 "$pid" 2> /dev/null || true
  fi
  rm -f "$RUN/pid/$1"
}
