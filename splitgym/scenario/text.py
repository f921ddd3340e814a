"""What a scenario may say of a text that is learnt."""

from typing import TYPE_CHECKING, Any

from splitgym.scenario.quantities import FULL_BITS

if TYPE_CHECKING:
    from splitgym.scenario.scenario import Scenario


def check_text(scenario: "Scenario") -> None:
    """Raises a ValueError if text and network do not belong together, or the scenario asks for what images alone have.

    Args:
        scenario: Its sections are valid.
    """
    task, training, plan = scenario.task, scenario.training, scenario.plan
    if task.is_text != (task.model == "transformer"):
        allowed = "'transformer'" if task.is_text else "other networks, or task.dataset 'kjv'"
        raise ValueError(f"task.model = {task.model!r} with task.dataset {task.dataset!r}, allowed: {allowed}")
    if not task.is_text:
        return
    asked: tuple[tuple[str, Any, Any], ...] = (
        ("task.augmentation", task.augmentation, "none"),
        ("training.aggregation_reading", training.aggregation_reading, "inject"),
        ("training.label_balancing", training.label_balancing, "none"),
        ("plan.precisions", list(plan.precisions), [FULL_BITS]),
    )
    for name, value, allowed in asked:
        if value != allowed:
            raise ValueError(f"{name} = {value!r} with task.dataset 'kjv', allowed: {allowed!r}")
