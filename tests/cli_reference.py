"""Writes docs/cli.md from the command line's own parser: python tests/cli_reference.py"""

from collections.abc import Iterator
from pathlib import Path

import typer

from i2compress.cli import EPILOG, app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def reference() -> str:
    """The page."""
    group = typer.main.get_command(app)
    parts = ["# The i2c command line", "", "Generated from the parser by `python tests/cli_reference.py`; a test keeps it equal.", ""]
    parts += ["Many files, several processes, many machines, and what a signal or a kill leaves: [batch.md](batch.md).", ""]
    for name, command in leaves(group, "i2c"):
        parts += [f"## {name}", "", str(getattr(command, "help", "")).strip(), "", "| option | value | default | meaning |", "|---|---|---|---|"]
        parts += [row(parameter) for parameter in getattr(command, "params", [])]
        parts.append("")
    parts += ["## Examples and exit codes", "", "```", EPILOG.replace("\b\n", "").strip(), "```", ""]
    return "\n".join(parts)


def leaves(command: object, name: str) -> Iterator[tuple[str, object]]:
    """Every command that does something, with its full name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, inner in below.items():
        yield from leaves(inner, f"{name} {word}")


def row(parameter: object) -> str:
    """A line of the table."""
    names = [*getattr(parameter, "opts", []), *getattr(parameter, "secondary_opts", [])]
    argument = getattr(parameter, "param_type_name", "") == "argument"
    default = getattr(parameter, "default", None)
    shown = "" if default is None or default is False or callable(default) or argument else f"{getattr(default, 'value', default)}"
    shown = "on" if default is True else shown
    metavar = getattr(parameter, "metavar", None) or ""
    help_text = (getattr(parameter, "help", None) or "") + (f" Also `{parameter.envvar}`." if getattr(parameter, "envvar", None) else "")
    option = str(metavar) if argument else ", ".join(f"`{name}`" for name in names)
    cells = (option, "" if argument else str(metavar), shown, help_text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
