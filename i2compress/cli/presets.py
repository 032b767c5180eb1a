"""Options from elsewhere than the command line: from a file and from the environment.

--preset web.toml:

    quality = 60
    effort = 3

    [decode]
    depth = 16

Keys are the long names of options. Those before the first table are for every verb that has them, those of a table for the verb of that name.

I2C_ENCODE_QUALITY=60 in the environment is --quality 60 of encode, and so for every option of every verb. The command line goes before the
environment, and that before a preset.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESET = "preset"


def load(context: typer.Context, path: str | None) -> str | None:
    """Makes what a preset says the defaults of a verb's options. Raises UsageError."""
    if path is not None and not context.resilient_parsing:
        context.default_map = {**defaults(read(path), context, path), **(context.default_map or {})}
    return path


def environment(group: Any, variables: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says of the options of each verb: the values of its parameters by name, by verb."""
    found: dict[str, Any] = {}
    for verb, command in group.commands.items():
        if hasattr(command, "commands"):
            continue
        named = {f"I2C_{verb}_{option}".upper().replace("-", "_"): name for option, name in _options(command, also=(PRESET,)).items()}
        said = {name: variables[variable] for variable, name in named.items() if variable in variables}
        if said:
            found[verb] = said
    return found


def read(path: str) -> dict[str, Any]:
    """What a TOML file says. Raises UsageError where it cannot be read."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"preset {path} cannot be read ({error.strerror}); check the name") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"preset {path} is not a TOML file ({error}); expected lines such as quality = 60") from error


def defaults(said: Mapping[str, Any], context: typer.Context, path: str) -> dict[str, Any]:
    """The values of a verb's parameters by name. Raises UsageError for a key that no verb has, or a value that is none."""
    own, known = _options(context.command), _all_options(context)
    shared = {key: value for key, value in said.items() if not isinstance(value, dict)}
    table = said.get(context.command.name or "", {})
    for key in shared.keys() - known:
        raise UsageError(f"preset {path} has {key!r}, which is no option; expected {', '.join(sorted(known))}")
    for key in table.keys() - own.keys():
        raise UsageError(f"preset {path} has {key!r} for {context.command.name}; expected {', '.join(sorted(own))}")
    found = {own[key]: value for key, value in {**shared, **table}.items() if key in own}
    for name, value in found.items():
        if not isinstance(value, (bool, int, float, str, list)):
            raise UsageError(f"preset {path} has a {type(value).__name__} for {name}; expected a number, a text, true or false")
    # What the command line gives is text, which the parsers of the options expect.
    return {name: value if isinstance(value, (bool, list)) else str(value) for name, value in found.items()}


def _options(command: Any, *, also: tuple[str, ...] = ()) -> dict[str, str]:
    """The parameters of a verb by the long names of their options; --help and --preset, of which no preset can speak, only where in `also`."""
    found = {}
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--") and option[2:] not in {"help", PRESET} - set(also):
                found[option[2:]] = str(parameter.name)
    return found


def _all_options(context: typer.Context) -> set[str]:
    """The long names of the options of every verb."""
    commands = getattr(context.find_root().command, "commands", {context.command.name: context.command})
    return {name for command in commands.values() for name in _options(command)}


Preset = Annotated[
    str | None,
    typer.Option(f"--{PRESET}", metavar="FILE", is_eager=True, callback=load, help="Defaults of options from a TOML file: lines such as effort = 3."),
]
