"""`splitgym profile`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tomli_w

from splitgym.inputs import InputError
from splitgym.outputs import write_text


@dataclass(frozen=True)
class Profile:
    """Measure how many seconds each unit of a network takes on this machine, and write them to a file.

    Forward pass, backward pass and step of the optimiser of each unit, medians of several mini-batches, and bytes of
    its output and weights. A scenario reads the file with `clients.profile = "FILE.toml"`.
    """

    out: Path
    """The file to write, FILE.toml."""
    model: str = "cnn"
    """Network: resnet18, cnn, vgg19, mlp, or your own as module:NAME, for which that module is imported: whatever code
    it holds is executed."""
    dataset: str = "digits"
    """Whose images and classes it is for: digits, mnist, ham10000, or the path of an .npz file."""
    stem: Literal["7x7", "3x3"] = "7x7"
    """First unit of resnet18."""
    batch_size: int = 32
    """Samples of a mini-batch."""
    repeats: int = 30
    """Mini-batches, of which the median counts."""
    threads: int = 1
    """Of torch."""
    device: str = "cpu"
    """Of torch."""
    name: str = "here"
    """What the device is called."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        for option, value, most in (
            ("batch-size", self.batch_size, 100_000),
            ("repeats", self.repeats, 1_000_000),
            ("threads", self.threads, 1024),
        ):
            if not 1 <= value <= most:
                raise InputError(f"--{option} {value}, allowed: 1..{most}")
        if not 1 <= len(self.name) <= 100:
            raise InputError(f"--name has {len(self.name)} characters, allowed: 1..100")
        if self.out.suffix != ".toml" or not self.out.parent.is_dir():
            raise InputError(f"--out {self.out}, allowed: a name that ends in .toml, in a folder that is there")

    def run(self) -> None:
        """Measures and writes."""
        self.check()
        import torch  # noqa: PLC0415 - help need not import it

        from splitgym import data, models  # noqa: PLC0415 - likewise
        from splitgym.models.stopwatch import stopwatch  # noqa: PLC0415 - likewise

        torch.set_num_threads(self.threads)
        dimensions = data.dimensions(self.dataset)
        network = models.build(self.model, *dimensions, stem=self.stem)
        try:
            found = stopwatch(network, dimensions[0], self.batch_size, self.repeats, self.device, self.name, self.model)
        except (RuntimeError, AssertionError) as fault:
            raise InputError(f"--device {self.device}: {fault}") from fault
        write_text(self.out, tomli_w.dumps(found.model_dump(mode="json")))
        print(f"{'unit':12} {'forward':>10} {'backward':>10} {'update':>10}   milliseconds of {self.batch_size} rows")
        for unit in found.units:
            seconds = (unit.forward_s, unit.backward_s, unit.update_s)
            print(f"{unit.name:12} {' '.join(f'{1e3 * value:10.3f}' for value in seconds)}")
        print(f"{self.out}: {self.name}, {found.machine}; {found.threads} threads, median of {found.repeats}")
