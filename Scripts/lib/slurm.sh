# shellcheck shell=bash
# A cluster of Slurm on this machine: source it after cluster.sh, in a network, mount, UTS and PID namespace made for the purpose.
#
# `head` has munge and slurmctld, each other node a slurmd: with a network, a host name and processes of its own.
# shellcheck disable=SC2154  # work and logs are of cluster.sh.

# shellcheck disable=SC2034  # For those who source this.
slurm_programs=(munge munged slurmctld slurmd sbatch srun scancel scontrol squeue)

# make_slurm NODE...: leaves nobody's configuration, sockets or keys but those in $work.
make_slurm() {
  local node address=11
  export SLURM_CONF=$work/slurm/slurm.conf
  mkdir -p "$work/slurm/state"
  chmod 755 "$work" "$work/slurm"
  printf '%s\n' '127.0.0.1 localhost' '10.77.0.1 head' >"$work/slurm/hosts"
  for node in "$@"; do printf '%s\n' "10.77.0.$((address++)) $node" >>"$work/slurm/hosts"; done
  mount --bind "$work/slurm/hosts" /etc/hosts
  hostname head
  write_slurm_configuration "$@"
  make_bridge
  make_node head 10.77.0.1
  address=11
  for node in "$@"; do make_node "$node" 10.77.0.$((address++)); done
  start_slurm "$@"
}

# Jobs are looked at at once, and not every minute. One that is requeued waits for its old credentials to end, for seconds here
# and not for two minutes.
write_slurm_configuration() {
  local nodes
  nodes=$(IFS=,; echo "$*")
  cat >"$SLURM_CONF" <<END
ClusterName=expomerge
SlurmctldHost=head
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/slurm/munge.socket,cred_expire=5
StateSaveLocation=$work/slurm/state
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmctldLogFile=/dev/null
SlurmdSpoolDir=$work/slurm/spool-%n
SlurmdPidFile=$work/slurm/slurmd-%n.pid
SlurmdLogFile=/dev/null
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
PrologFlags=Contain
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
NodeName=$nodes CPUs=2
PartitionName=main Nodes=$nodes Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=graceful Nodes=$nodes MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=$nodes MaxTime=INFINITE PriorityTier=2
END
}

start_slurm() {
  local node
  (umask 077 && head -c 128 /dev/urandom >"$work/slurm/munge.key")
  # --force: folders below /tmp are those of everybody.
  start munged head munged --foreground --force --socket="$work/slurm/munge.socket" --key-file="$work/slurm/munge.key" \
    --pid-file="$work/slurm/munged.pid" --seed-file="$work/slurm/munge.seed" --log-file="$logs/munge.log"
  wait_until "munge answers" has_munge
  start slurmctld head slurmctld -D
  for node in "$@"; do power_on "$node"; done
  wait_until "the nodes of Slurm are idle" are_idle "$@"
}

has_munge() { munge --no-input --socket="$work/slurm/munge.socket" >/dev/null 2>&1; }
are_idle() { [ "$(slurm sinfo --noheader --partition=main --states=idle --format=%D 2>/dev/null)" = $# ]; }

# power_on NODE
power_on() {
  # shellcheck disable=SC2016
  start "$1" "$1" unshare --uts --pid --fork --kill-child --mount-proc -- \
    sh -c 'hostname "$0" && PATH=/usr/sbin:$PATH && exec slurmd -D' "$1"
}

# power_off NODE: all its processes are gone at once, and nobody has been told.
power_off() { destroy "$1"; }

# slurm COMMAND...: as somebody on the head, in the folder where this script works.
slurm() { on head timeout 30 "$@"; }

# field JOB NAME: of what scontrol shows.
field() { slurm scontrol --oneliner show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }

# is JOB NAME VALUE
is() { [ "$(field "$1" "$2")" = "$3" ]; }

# expect JOB NAME VALUE
expect() { is "$@" || fail "job $1 has $2=$(field "$1" "$2"), not $3"; }

# wait_requeued JOB COUNT: for the so manieth time. It is held until `go_on`.
wait_requeued() {
  wait_until "job $1 is requeued" is "$1" Restarts "$2"
  wait_until "job $1 is pending" is "$1" JobState PENDING
  slurm scontrol hold "$1" || fail "job $1 was faster than this test"
}

# go_on JOB: one that was requeued starts again.
go_on() {
  slurm scontrol release "$1"
  wait_until "job $1 runs" is "$1" JobState RUNNING
}
