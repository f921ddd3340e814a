"""Where a network is trained, and with which arithmetic."""

import torch

from splitgym.scenario import ScenarioError


def training_device(name: str | torch.device | None) -> torch.device:
    """The torch device of that name; None: cuda if there is one, else cpu.

    Raises:
        ScenarioError: torch has no such device here.
    """
    if not isinstance(name, str | torch.device | None):
        raise ScenarioError(f"device = {name!r}, allowed: the name of a torch device, or None")
    try:
        one = torch.ones(1, device=name or ("cuda" if torch.cuda.is_available() else "cpu"))
        # Of the devices that torch can name, not all can compute.
        one.item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ScenarioError(f"device = {str(name)!r} is not there: {str(error).splitlines()[0]}") from error
    return one.device


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16 by itself."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # The CPU's answer has no public name yet, and none at all in some versions of torch.
    on_cpu = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(on_cpu())


def check_precision(precision: str, device: torch.device) -> None:
    """Raises a ScenarioError if the device can only imitate the precision, which is slower than fp32."""
    if precision == "bf16" and not has_bf16(device):
        raise ScenarioError(f"training.precision = 'bf16': device {device} has no such arithmetic, allowed: 'fp32'")
