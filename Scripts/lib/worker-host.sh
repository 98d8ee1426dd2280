# shellcheck shell=sh
# The part of cluster-up and cluster-down that runs on a worker's host: sh reads it from its standard input, behind a line
# that sets the arguments: STEP NAME FOLDER [ARGUMENT...]. It answers by lines of words; errors go to stderr.
#
# FOLDER/bin/expomerge is the program, and FOLDER/NAME has what belongs to the worker NAME, so that hosts may share a home.

set -eu

fail() { echo "$*" >&2; exit 1; }

# MARK: The worker's process

worker_pid() { cat "$own/pid" 2>/dev/null || true; }

# Whether the process of the pid file is still this worker: after a restart of the host another one may have its number.
is_running() {
  pid=$(worker_pid)
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
  # The words of a zombie are gone, so it does not count.
  tr '\0' '\n' <"/proc/$pid/cmdline" >"$own/words" 2>/dev/null || return 1
  # What is to become the worker is it already.
  grep -qxF -e "$own/start" "$own/words" || { grep -qxF -e "$program" "$own/words" && grep -qxF -e "$name" "$own/words"; }
}

# A user's services survive the last logout only if the user lingers.
has_user_systemd() {
  command -v systemd-run >/dev/null && systemctl --user show-environment >/dev/null 2>&1 || return 1
  lingerer=/var/lib/systemd/linger/$(id -un)
  [ -e "$lingerer" ] || loginctl --no-ask-password enable-linger >/dev/null 2>&1 || return 1
  [ -e "$lingerer" ]
}

has_unit() { systemctl --user is-active --quiet "$unit" 2>/dev/null; }
manager() { if has_unit; then echo systemd; else echo setsid; fi; }
last_words() { tail -n "${1:-1}" "$own/log" 2>/dev/null; }
has_joined() { grep -q ' joined \|"message":"joined ' "$own/log" 2>/dev/null; }

# write_start OPTION...: a script that becomes the worker, for systemd, for setsid and for people.
write_start() {
  {
    echo '#!/bin/sh'
    printf 'cd %s || exit\n' "$(quoted "$own")"
    echo "umask $users_umask"
    echo '[ ! -e log ] || mv log log.old'
    echo 'echo $$ >pid'
    printf 'exec %s worker --name %s' "$(quoted "$program")" "$(quoted "$name")"
    for word in "$@"; do printf ' %s' "$(quoted "$word")"; done
    echo ' >log 2>&1 </dev/null'
  } >"$own/start.new"
  chmod 700 "$own/start.new"
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# A unit without a process waits to start it again, or has failed.
forget_unit() {
  systemctl --user stop "$unit" >/dev/null 2>&1 || true
  systemctl --user reset-failed "$unit" >/dev/null 2>&1 || true
}

begin() {
  forget_unit
  rm -f "$own/pid" "$own/stopping"
  [ ! -e "$own/log" ] || mv "$own/log" "$own/log.old"
  if has_user_systemd; then
    systemd-run --user --quiet --collect --unit "$unit" --description "expomerge worker $name" \
      --property Restart=on-failure --property RestartSec=5 --property RestartPreventExitStatus='64 65 77 78' \
      --property TimeoutStopSec=infinity \
      /bin/sh "$own/start" </dev/null
  else
    setsid /bin/sh "$own/start" >/dev/null 2>&1 </dev/null &
  fi
}

# wait_for SECONDS COMMAND...: looks four times a second.
wait_for() {
  rounds=$(($1 * 4))
  shift
  until "$@"; do
    [ "$rounds" -gt 0 ] || return 1
    rounds=$((rounds - 1))
    sleep 0.25
  done
}

has_settled() { has_joined || { [ -n "$(worker_pid)" ] && ! is_running; }; }
is_gone() { ! is_running; }

# stop SECONDS: leaves in $end how it ended. A second SIGTERM would end a worker at once, so only one is ever sent.
stop() {
  end=drained stopped=$(worker_pid)
  if [ "$(cat "$own/stopping" 2>/dev/null)" != "$stopped" ]; then
    echo "$stopped" >"$own/stopping"
    if has_unit; then systemctl --user stop --no-block "$unit"; else kill -TERM "$stopped"; fi
  fi
  if ! wait_for "$1" is_gone; then
    end=killed
    kill -KILL "$stopped" 2>/dev/null || true
    wait_for 10 is_gone || fail "process $stopped does not end, not even by SIGKILL: is a filesystem hanging?"
  elif ! last_words 5 | grep -q ' ended\|"message":"ended'; then
    end=ended
  fi
  rm -f "$own/pid" "$own/stopping"
}

# MARK: Steps

step_look() {
  echo "machine $(uname -m)"
  echo "program $(sha256sum "$program" 2>/dev/null | cut -d ' ' -f 1)"
  if is_running; then echo "worker $pid $(manager)"; fi
}

# place UPLOAD DIGEST
step_place() {
  upload=$HOME/$1
  trap 'rm -f "$upload"' EXIT
  [ "$(sha256sum "$upload" | cut -d ' ' -f 1)" = "$2" ] || fail "the program has not arrived whole: is the disk full?"
  chmod 755 "$upload"
  "$upload" --version >/dev/null 2>"$own/words" </dev/null ||
    fail "the program does not run here: $(tail -n 1 "$own/words") (it needs libzmq5 and libsqlite3-0)"
  mkdir -p "$folder/bin"
  mv -f "$upload" "$program"
}

# key [SERVER-KEY-FILE'S TEXT]: makes the worker's key where there is none. The secret stays here.
step_key() {
  printf '%s\n' "$1" >"$own/server.key.new"
  mv -f "$own/server.key.new" "$own/server.key"
  if [ ! -e "$own/worker.key_secret" ]; then
    "$program" keygen --quiet --output "$own" --name worker --role worker </dev/null
    echo made
  fi
  sed -n 's/^ *public-key = "\(.*\)".*/key \1/p' "$own/worker.key"
}

# start RESTART SECONDS LIMIT KEYED [OPTION...]: RESTART and KEYED are yes or no.
step_start() {
  restart=$1 seconds=$2 limit=$3 keyed=$4
  shift 4
  if [ "$keyed" = yes ]; then set -- --keys "$own/worker.key_secret" --server-key "$own/server.key" "$@"; fi
  write_start "$@"
  how=started
  if is_running; then
    if [ "$restart" = no ]; then
      how=running
      cmp -s "$own/start" "$own/start.new" || how=running-otherwise
    else
      stop "$limit"
      how=restarted
    fi
  fi
  case $how in running*) ;; *) mv -f "$own/start.new" "$own/start"; begin ;; esac
  rm -f "$own/start.new"
  wait_for "$seconds" has_settled || true
  if ! is_running; then
    forget_unit
    fail "the worker has ended: $(last_words)"
  fi
  has_joined || fail "the worker runs, but has not joined in $seconds s: $(last_words)"
  echo "worker $how $(manager)"
}

# stop LIMIT
step_stop() {
  if ! is_running; then
    forget_unit
    echo "worker none"
    return
  fi
  stop "$1"
  echo "worker $end"
}

main() {
  step=$1 name=$2 folder=$3
  shift 3
  users_umask=$(umask)
  umask 077
  case $folder in /*) ;; *) folder=$HOME/$folder ;; esac
  own=$folder/$name program=$folder/bin/expomerge
  # Another folder may have a worker of that name.
  unit=expomerge-worker-$name-$(printf %s "$own" | cksum | cut -d ' ' -f 1).service
  [ -n "${XDG_RUNTIME_DIR:-}" ] || XDG_RUNTIME_DIR=/run/user/$(id -u)
  export XDG_RUNTIME_DIR
  mkdir -p "$own"
  "step_$step" "$@"
}

main "$@"
