"""The even split of the power budgets."""

from splitgym.kernels import INLINED, kernel


@kernel(INLINED)
def even_power(client_max_w: float, total_max_w: float, clients: int) -> float:
    """min(p_max, p_th / n): what each of n clients may spend if all spend the same, W."""
    return min(client_max_w, total_max_w / max(clients, 1))
