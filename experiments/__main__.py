"""`python -m experiments list` names the experiments; `python -m experiments NAME [options]` runs one."""

import importlib
import pkgutil
import sys

import experiments


def main() -> int:
    """Lists or runs; returns the exit status."""
    names = sorted(module.name for module in pkgutil.iter_modules(experiments.__path__) if module.name != "__main__")
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("list", "-h", "--help"):
        print("usage: python -m experiments NAME [options]")
        for each in names:
            summary = (importlib.import_module(f"experiments.{each}").__doc__ or "").splitlines()[0]
            print(f"{each:20} {summary}")
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
