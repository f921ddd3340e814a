"""`python -m experiments list` names the experiments; `python -m experiments NAME [options]` runs one."""

import importlib
import pkgutil
import sys

import experiments


def experiment_names() -> list[str]:
    """Names of all modules, at any depth, that have a `main`: what stands beside them are their parts."""
    modules = pkgutil.walk_packages(experiments.__path__, "experiments.")
    names = sorted(module.name.removeprefix("experiments.") for module in modules)
    return [
        name
        for name in names
        if not name.endswith("__main__") and hasattr(importlib.import_module(f"experiments.{name}"), "main")
    ]


def main() -> int:
    """Lists or runs; returns the exit status."""
    names = experiment_names()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("list", "-h", "--help"):
        print("usage: python -m experiments NAME [options]")
        for each in names:
            summary = (importlib.import_module(f"experiments.{each}").__doc__ or "").splitlines()[0]
            print(f"{each:22} {summary}")
        return 0
    if name not in names:
        print(f"error: experiment {name!r} is unknown, allowed: list, {', '.join(names)}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m experiments {name}", *sys.argv[2:]]
    try:
        importlib.import_module(f"experiments.{name}").main()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
