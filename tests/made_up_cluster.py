"""A cluster under SLURM that is made up: the commands that submitit calls."""

from __future__ import annotations

from pathlib import Path

# A cluster of one machine: what sbatch is given runs at once, for each place of its array or once.
SBATCH = """#!/bin/sh
# A copy: submitit renames its file as soon as this ends, and a job may start later.
job="$(dirname "$0")/submitted.sh"
cp "$1" "$job"
[ -e "$(dirname "$0")/full" ] && echo "Submitted batch job 70" && exit
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
[ "$last" ] || SLURM_JOB_ID=70 sh "$job" > /dev/null 2>&1 &
[ "$last" ] && for place in $(seq 0 "$last"); do
    SLURM_JOB_ID=$((70 + place)) SLURM_ARRAY_JOB_ID=70 SLURM_ARRAY_TASK_ID=$place sh "$job" > /dev/null 2>&1 &
done
echo "Submitted batch job 70"
"""
SRUN = """#!/bin/sh
while :; do
    case "$1" in
        --unbuffered) shift;;
        --output) out=$(echo "$2" | sed "s/%A/70/; s/%j/70/; s/%a/$SLURM_ARRAY_TASK_ID/; s/%t/0/"); shift 2;;
        --error) err=$(echo "$2" | sed "s/%A/70/; s/%j/70/; s/%a/$SLURM_ARRAY_TASK_ID/; s/%t/0/"); shift 2;;
        *) exec "$@" > "$out" 2> "$err";;
    esac
done
"""


def make_cluster(folder: Path) -> None:
    """Write the commands into a folder that is to come first in PATH; submitted.sh is what was asked.

    With a file `full` beside them nothing that is submitted runs.
    """
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", "#!/bin/sh\necho 'JobID|State'\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
