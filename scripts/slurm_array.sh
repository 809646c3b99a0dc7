#!/bin/bash
# Build a dataset with the jobs of a Slurm array, in a folder that all nodes see by the same path.
#
#   PARTS=16 CPUS=8 scripts/slurm_array.sh FOLDER [options of `equime build`]
#
# Three submissions: one job plans; PARTS jobs build one part of the shards each, on CPUS cores; when all have ended, one
# job builds what failed jobs have left and what stands in for refused clips, writes index and card, and checks it all.
# A part that failed is built again by the same command: what is committed is kept. Partition, account, time and GPUs
# are set as for any sbatch: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, SBATCH_GPUS=1 for --generator ltx.
set -euo pipefail

submit() { sbatch --parsable --job-name="equime-$1" --cpus-per-task="${CPUS:-4}" "${@:2}"; }

case "${1:-}" in
plan) # FOLDER OPTIONS...
    exec equime build "${@:2}" --shards none
    ;;
part) # PARTS FOLDER OPTIONS...; the number of parts is not the number of tasks where only some are submitted again
    exec equime build "${@:3}" --shards "${SLURM_ARRAY_TASK_ID}/$2"
    ;;
finish) # FOLDER OPTIONS...
    equime build "${@:2}"
    exec equime verify "$2"
    ;;
"" | -*)
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
*)
    parts="${PARTS:-8}"
    planned=$(submit plan "$0" plan "$@")
    built=$(submit part --dependency="afterok:${planned%%;*}" --array="1-$parts" "$0" part "$parts" "$@")
    finished=$(submit finish --dependency="afterany:${built%%;*}" "$0" finish "$@")
    echo "submitted: plan ${planned%%;*}, $parts parts ${built%%;*}, finish ${finished%%;*}"
    ;;
esac
