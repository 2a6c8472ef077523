#!/usr/bin/env bash
# A sweep as a Slurm job array gives the results of one on this machine. Needs Slurm and munge (Debian: slurm-wlm, munge) and
# root; starts a controller and one node of its own, on ports of their own, and ends them.
#
#   cargo build --release && sudo tests/slurm.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export PATH="$root/target/release:/usr/sbin:$PATH"
for program in wagesim munged slurmctld slurmd sbatch; do
    command -v "$program" > /dev/null || { echo "skipped: no $program here"; exit 0; }
done
dir=$(mktemp -d)
host=$(hostname -s)
started=()
trap 'kill "${started[@]}" 2> /dev/null || true; sleep 1; rm -rf "$dir"' EXIT

head -c 1024 /dev/urandom > "$dir/munge.key"
chmod 0400 "$dir/munge.key"
mkdir -p "$dir/state" "$dir/spool"
cat > "$dir/slurm.conf" <<CONF
ClusterName=sweep
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$dir/slurm.conf"
munged --foreground --force --socket="$dir/munge.sock" --key-file="$dir/munge.key" --log-file="$dir/munge.log" \
    --pid-file="$dir/munge.pid" --seed-file="$dir/munge.seed" 2> "$dir/munge.err" &
started+=($!)
sleep 1
slurmctld -D 2> "$dir/slurmctld.err" &
started+=($!)
slurmd -D 2> "$dir/slurmd.err" &
started+=($!)
for _ in $(seq 60); do
    sinfo --noheader --format=%T 2> /dev/null | grep -q idle && break
    sleep 1
done
sinfo

# A small network, and the first digits.
mkdir "$dir/digits"
python3 - "$root/data/mnist" "$dir/digits" <<'PYTHON'
import gzip, sys
for stem, count in ("train", 32), ("t10k", 16):
    for kind, header, size in ("images-idx3-ubyte", 16, 784), ("labels-idx1-ubyte", 8, 1):
        data = bytearray(gzip.open(f"{sys.argv[1]}/{stem}-{kind}.gz").read()[:header + count * size])
        data[4:8] = count.to_bytes(4, "big")
        open(f"{sys.argv[2]}/{stem}-{kind}", "wb").write(data)
PYTHON
cat > "$dir/net.toml" <<'NET'
name = "tiny"
data = { set = "mnist", path = "digits" }
layer = [{ conv = 4, kernel = 5, pool = 4 }, { fc = 10 }]
recipe = { epochs = 3, batch = 8, learning_rate = 8 }
NET
points=("$dir/net.toml" --vary accumulators.forward.bits=9..12 --vary accumulators.forward.overflow=wrap,saturate)
wagesim sweep "${points[@]}" --out "$dir/here" > /dev/null
count=$(wagesim sweep "${points[@]}" --out "$dir/there" --plan | sed -n '1s/.* \([0-9]*\) trainings.*/\1/p')
sbatch --wait --array="1-$count" --output="$dir/task-%a.log" programs/studies/sweep.sbatch "$dir/there" \
    || { cat "$dir"/task-*.log; exit 1; }
wagesim sweep --out "$dir/there" --collect > /dev/null
cmp "$dir/here/results.csv" "$dir/there/results.csv"
echo "$count tasks of a Slurm array gave the results of one sweep"
