# shellcheck shell=bash
# What cluster-up and cluster-down share: hosts reached by ssh, all at the same time, and a table of what was done.
# Source it after common.sh.
shopt -s inherit_errexit

hosts=() ssh=(ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=6)
folder=.local/share/expomerge limit=120
# How many hosts at a time.
crowd=16
# The folder of what each host has said.
rows=''

# add_host HOST: as ssh takes it. Its name, without a user's, becomes the worker's.
add_host() {
  local host
  [[ $1 =~ ^([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
    fail "'$1' is no name for a worker: give the host one in ~/.ssh/config, of letters, digits, '.', '_' and '-'"
  for host in ${hosts[@]+"${hosts[@]}"}; do
    [ "${host#*@}" != "${1#*@}" ] || fail "${1#*@} is there twice"
  done
  hosts+=("$1")
}

take_number() { [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || fail "$1 takes a number of seconds from 1 to 999999, not '$2'"; }
take_folder() { [[ $1 =~ ^[A-Za-z0-9._/+-]+$ ]] || fail "--folder takes letters, digits and ._/+- only, not '$1'"; }

quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# ask SECONDS HOST STEP [ARGUMENT...]: has the host do a step of worker-host.sh, whatever shell its user has.
ask() {
  local seconds=$1 host=$2 step=$3 word
  shift 3
  {
    printf 'set --'
    for word in "$step" "${host#*@}" "$folder" "$@"; do printf ' %s' "$(quoted "$word")"; done
    echo
    cat "$root/Scripts/lib/worker-host.sh"
  } | timeout --kill-after=5 "$seconds" "${ssh[@]}" "$host" sh
}

# for_each_host COMMAND TITLE...: runs it with each host, many at a time, and prints what it prints, cells with tabs
# between them, as a table. Of a host that failed, the last line on stderr is the reason; 1 if there is one.
for_each_host() {
  local command=$1 host failed=0
  shift
  rows=$(mktemp -d "${TMPDIR:-/tmp}/expomerge-hosts-XXXXXX")
  trap 'rm -rf "$rows"' EXIT
  for host in "${hosts[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$crowd" ]; do wait -n || true; done
    # The command is no part of a condition: there a failure within would not end it.
    (
      "$command" "$host" >"$rows/${host#*@}.cells" 2>"$rows/${host#*@}.errors"
      : >"$rows/${host#*@}.done"
    ) &
  done
  wait
  print_table "$@"
  for host in "${hosts[@]}"; do
    [ ! -e "$rows/${host#*@}.done" ] || continue
    failed=$((failed + 1))
    printf 'error: %s: %s\n' "${host#*@}" "$(reason "$rows/${host#*@}.errors")" >&2
  done
  [ "$failed" -eq 0 ] || fail "$failed of ${#hosts[@]} hosts failed; the same command tries them again"
}

print_table() {
  local host
  {
    printf HOST
    printf '\t%s' "$@"
    echo
    for host in "${hosts[@]}"; do
      printf '%s\t' "${host#*@}"
      if [ -e "$rows/${host#*@}.done" ]; then cat "$rows/${host#*@}.cells"; else echo FAILED; fi
    done
  } | aligned
}

reason() {
  local line
  line=$(grep -v '^[[:space:]]*$' "$1" | tail -n 1 | tr -d '\r' | tr -c '[:print:]\n' '?')
  line=${line#error: }
  printf '%s\n' "${line:-ssh did not answer in time}"
}

# Columns as wide as their widest cell.
aligned() {
  awk -F '\t' '
    { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) }; cells[NR] = NF }
    END { for (row = 1; row <= NR; row++) { line = ""
      for (i = 1; i <= cells[row]; i++) line = line sprintf("%-" (width[i] + 2) "s", cell[row, i])
      sub(/ +$/, "", line); print line } }'
}
