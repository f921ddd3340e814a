"""Jobs on a Ray cluster of several nodes: the files of a local run; a job whose worker is killed is done again."""

import os
from pathlib import Path

import pytest
import squares
from squares import files, ran

from experiments.running.options import Options
from experiments.running.run import JobsFailedError, run

pytest.importorskip("ray", reason="needs the extra: pip install -c constraints.txt -e '.[dev,ray]'")


@pytest.fixture
def cluster(traces: Path, monkeypatch: pytest.MonkeyPatch):
    """Three nodes, each with processes of its own and one processor."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - of an extra

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parent))))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()


def test_a_cluster_leaves_what_local_processes_leave(cluster, traces: Path, tmp_path: Path) -> None:
    run("squares", squares.EXPERIMENT, Options(out=tmp_path / "local"))
    for trace in traces.iterdir():
        trace.unlink()
    (traces / "3-1.mishap").write_text("die once")
    (traces / "5-0.mishap").write_text("raise")
    there = Options(workers=f"ray:{cluster.address}", out=tmp_path / "cluster")
    with pytest.raises(JobsFailedError, match=r'1 of 6 jobs failed.*"number": 5.*ArithmeticError: 5 has no square'):
        run("squares", squares.EXPERIMENT, there)
    (traces / "5-0.mishap").unlink()
    run("squares", squares.EXPERIMENT, there)
    assert files(tmp_path / "cluster") == files(tmp_path / "local")
    assert ran(traces) == {"2-0": 1, "3-0": 1, "5-0": 2, "2-1": 1, "3-1": 2, "5-1": 1}
