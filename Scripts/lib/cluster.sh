# shellcheck shell=bash
# Nodes on one machine: source it after common.sh, in a network and mount namespace made for the purpose.
#
# A node is a network namespace with a link to a bridge, and a mount namespace. Both live as long as a process that
# sleeps in them; processes that a node runs enter them through it. All of it ends with this script, also by SIGKILL.

declare -A node_keeper=() running=()
time_limit=120
# Folders, to be set, and whether they stay.
work='' logs='' keep=false
tied=(setpriv --pdeathsig KILL --)
PATH=$PATH:/usr/sbin:/sbin

skip() { say "skipped: $*"; exit 0; }

# find_isolation: leaves in $isolation what unshare needs to make namespaces here.
find_isolation() {
  isolation=(--net --mount)
  [ "$(id -u)" -eq 0 ] || isolation+=(--user --map-root-user)
  unshare "${isolation[@]}" true 2>/dev/null || skip "namespaces are not allowed here (try as root)"
}

# clean_up_at_exit: ends all processes and removes $work, whatever ends this script.
clean_up_at_exit() {
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

clean_up() {
  local status=$? log
  trap - EXIT
  set +e
  # Nobody asks why when a signal ended it.
  if [ "$status" -ne 0 ] && [ "$status" -lt 128 ]; then
    for log in "$logs"/*.log; do
      [ -s "$log" ] || continue
      say "the end of $(basename "$log")"
      tail -n 15 "$log" >&2
    done
  fi
  destroy_everything
  if $keep; then say "kept $work"; else rm -rf "$work"; fi
  exit "$status"
}

# wait_until WHAT COMMAND...: polls until the command succeeds. Processes that end meanwhile by themselves fail the test.
wait_until() {
  local what=$1 name end=$((SECONDS + time_limit))
  shift
  until "$@"; do
    for name in "${!running[@]}"; do
      if gone "${running[$name]}"; then fail "$name ended by itself while waiting until $what"; fi
    done
    [ "$SECONDS" -lt "$end" ] || fail "waited $time_limit s until $what"
    sleep 0.05
  done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# on NODE COMMAND...
on() {
  local node=$1
  shift
  nsenter --target "${node_keeper[$node]}" --net --mount -- "$@"
}

make_bridge() {
  ip link set lo up
  ip link add bridge type bridge
  ip link set bridge up
}

# make_node NAME ADDRESS: links of nodes are called eth0 on their side, and by the node's name on the bridge's.
make_node() {
  local node=$1 address=$2
  "${tied[@]}" unshare --net --mount --propagation private -- sleep infinity &
  node_keeper[$node]=$!
  wait_until "$node has namespaces" apart "$!"
  ip link add "$node" type veth peer name eth0 netns "$!"
  # Packets as a wire would carry them, so that one that is lost is not 64 KiB.
  ip link set "$node" master bridge gso_max_segs 1 up
  on "$node" ip link set eth0 gso_max_segs 1 up
  on "$node" ip link set lo up
  on "$node" ip address add "$address/24" dev eth0
}

apart() {
  [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
    [ "$(readlink "/proc/$1/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]
}

# hide NODE FOLDER: on that node the folder is an empty one of its own.
hide() { on "$1" mount -t tmpfs tmpfs "$2"; }

# lose_packets NODE: one of a hundred that come over its link.
lose_packets() {
  on "$1" nft -f - <<'RULES'
table inet faults {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "eth0" numgen random mod 100 < 1 counter drop
  }
}
RULES
}

lost_packets() {
  on "$1" nft --json list chain inet faults input | jq '[.nftables[].rule?.expr[]?.counter?.packets // empty] | add'
}

# hold_link NODE RATE: in both directions.
hold_link() {
  local shape=(root handle 1: tbf rate "$2" burst 128kb latency 100ms)
  tc qdisc replace dev "$1" "${shape[@]}"
  on "$1" tc qdisc replace dev eth0 "${shape[@]}"
}

release_link() {
  tc qdisc del dev "$1" root
  on "$1" tc qdisc del dev eth0 root
}

# delay_packets NODE TIME: those that it sends. Fails where the kernel has no netem.
delay_packets() { on "$1" tc qdisc add dev eth0 root netem delay "$2" limit 100000; }

# traffic NODE rx|tx: bytes over its link until now.
traffic() { on "$1" ip -json -statistics link show dev eth0 | jq ".[0].stats64.$2.bytes"; }

# start NAME NODE COMMAND...: runs it on the node in the background, with its output in $logs/NAME.log.
start() {
  local name=$1 node=$2
  shift 2
  printf '\n-- %s\n' "$*" >>"$logs/$name.log"
  nsenter --target "${node_keeper[$node]}" --net --mount -- "${tied[@]}" "$@" >>"$logs/$name.log" 2>&1 &
  running[$name]=$!
}

# finish NAME: waits for the end of a process, which must be exit 0.
finish() {
  local name=$1 pid=${running[$1]} status=0
  unset "running[$name]"
  wait_until "$name has ended" gone "$pid"
  wait "$pid" 2>/dev/null || status=$?
  [ "$status" -eq 0 ] || fail "$name ended with status $status"
}

# terminate NAME: by SIGTERM.
terminate() {
  kill -TERM "${running[$1]}"
  finish "$1"
}

# destroy NAME: by SIGKILL.
destroy() {
  local pid=${running[$1]}
  unset "running[$1]"
  destroy_process "$pid"
}

destroy_process() {
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

destroy_everything() {
  local pid
  for pid in "${running[@]}" "${node_keeper[@]}"; do destroy_process "$pid"; done
}
