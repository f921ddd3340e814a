"""Shared by the tests of command lines."""


def error_line(main, capsys, *arguments):
    """The one line on stderr of a command that ends with status 2."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    return lines[0]
