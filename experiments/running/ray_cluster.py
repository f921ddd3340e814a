"""Jobs on a Ray cluster, all of whose nodes have this project set up with the extra `ray`."""

from collections.abc import Sequence

import torch

from experiments.running.experiment import Case, Job, Row
from experiments.running.provenance import versions
from experiments.running.workers import ATTEMPTS, Measure, Outcomes
from splitgym.evaluation.kept import differences
from splitgym.evaluation.processes import TORCH_THREADS


def on_ray(measure: Measure, jobs: Sequence[Job], address: str) -> Outcomes:
    """Runs the jobs on a processor each; the job of a worker or a node that dies is begun again, elsewhere.

    Args:
        measure: What runs.
        jobs: With what.
        address: Of the cluster; "auto": the one that runs on this machine.

    Raises:
        ConnectionError: no cluster is there.
    """
    import ray  # noqa: PLC0415 - of an extra

    # What jobs raise is said by who runs them, once.
    ray.init(address=address, log_to_driver=False, logging_level="WARNING")
    try:
        task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_measure)
        own = versions(measure)
        running = {task.remote(measure, job.case, job.seed, own): job for job in jobs}
        while running:
            (done,), _ = ray.wait(list(running))
            job = running.pop(done)
            try:
                yield job, ray.get(done)
            except ray.exceptions.RayError as failure:
                yield job, getattr(failure, "cause", None) or failure
    finally:
        ray.shutdown()


def _measure(measure: Measure, case: Case, seed: int, expected: dict[str, str]) -> Sequence[Row]:
    """The rows, if this node runs the same code as the machine that asks for them."""
    torch.set_num_threads(TORCH_THREADS)
    if differ := differences(expected, versions(measure)):
        raise RuntimeError(f"a node of the cluster differs: {differ}")
    return measure(case, seed)
