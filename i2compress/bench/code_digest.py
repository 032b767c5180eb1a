"""A digest of the code that shapes a file, found by following imports: no list of files that could be out of date.

What cannot change a file does not change the digest: where a module lies and what it is called, comments, docstrings, layout, the order of
the package's own imports, and what only type checkers import.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_BY_NAME = ("import_module", "__import__")


@dataclass
class _Module:
    """A parsed file, or a function with the file's place.

    Args:
        tree: without docstrings, imports of the package and what is for type checkers only.
        uses: modules of the package, each with the name taken from it ("" for the module itself) and what it is called here.
    """

    tree: ast.Module
    uses: list[tuple[Path, str, str]] = field(default_factory=list)

    def text(self, name_of: Callable[[Path], str]) -> str:
        """The code, each module that it names called by `name_of`."""
        modules = {called: name_of(path) for path, name, called in self.uses if not name}
        names = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name) and node.id in modules]
        own = [node.id for node in names]
        for node in names:
            node.id = modules[node.id]
        code = ast.unparse(self.tree)
        for node, before in zip(names, own, strict=True):
            node.id = before
        imports = sorted({f"{name_of(path)} {name} {called if name else ''}" for path, name, called in self.uses})
        return "\n".join([*imports, code])


def code_digest(*functions: Callable[..., object], without: Sequence[str] = ()) -> str:
    """Twelve hexadecimal digits of the functions and of every module of their package that they reach by imports, wherever those stand.

    Files that are no Python in the folders of those modules count too. A package's `__init__` counts where something is imported from it.

    Args:
        functions: of one package, such as an encoder and a decoder; what they import counts, the rest of their own modules does not.
        without: dotted names of modules and folders that do not count, such as "cli".

    Raises:
        LookupError: a module that is not there, in an import or in `without`; or one that imports by name, which cannot be followed.
    """
    starts, found = _followed(functions, without)
    # A module is called by its own code, so that another one under the same name is seen, and the same one under another name is not.
    own = {path: _hash(module.text(lambda _: "m")) for path, module in found.items()}
    contents: list[str | bytes] = [module.text(lambda path: "m" + own.get(path, "")) for module in (*starts, *found.values())]
    contents += [file.read_bytes() for folder in {path.parent for path in found} for file in folder.iterdir() if _is_data(file)]
    return _hash("".join(sorted(_hash(content) for content in contents)))[:12]


def files_reached(*functions: Callable[..., object], without: Sequence[str] = ()) -> set[Path]:
    """The files of the modules whose code counts in `code_digest`, whose arguments and errors these are."""
    return set(_followed(functions, without)[1])


def _followed(functions: Sequence[Callable[..., object]], without: Sequence[str]) -> tuple[list[_Module], dict[Path, _Module]]:
    """The functions, and the modules that they reach."""
    package = _package(functions[0])
    left_out = [_left_out(name, package) for name in without]
    starts = [_start(function, package) for function in functions]
    found: dict[Path, _Module] = {}
    waiting = list(starts)
    while waiting:
        for path, _, _ in waiting.pop().uses:
            if path not in found and not any(path == other or other in path.parents for other in left_out):
                found[path] = _parsed(path.read_text(encoding="utf-8"), path, package)
                waiting.append(found[path])
    return starts, found


def _start(function: Callable[..., object], package: Path) -> _Module:
    """The function, with what it uses of its module's imports."""
    path = Path(inspect.getfile(function))
    start = _parsed(textwrap.dedent(inspect.getsource(function)), path, package)
    names = {node.id for node in ast.walk(start.tree) if isinstance(node, ast.Name)}
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    imports = "\n".join(ast.unparse(statement) for statement in statements if isinstance(statement, ast.Import | ast.ImportFrom))
    return _Module(start.tree, [*start.uses, *(use for use in _parsed(imports, path, package).uses if use[2] in names)])


def _package(function: Callable[..., object]) -> Path:
    """The folder of the package that the function's module is in."""
    return Path(inspect.getfile(function)).parents[function.__module__.count(".") - 1]


def _parsed(text: str, path: Path, package: Path) -> _Module:
    stripped = _Stripped(path, package)
    tree = stripped.visit(ast.parse(text))
    if any(name in _BY_NAME for node in ast.walk(tree) for name in (getattr(node, "id", None), getattr(node, "attr", None))):
        raise LookupError(f"{path} imports by name, which cannot be followed; leave it out, and import what it finds where the digest begins")
    return _Module(tree, stripped.uses)


class _Stripped(ast.NodeTransformer):
    """Takes out what does not count, and keeps what is imported from the package."""

    def __init__(self, path: Path, package: Path) -> None:
        self.path, self.package = path, package
        self.uses: list[tuple[Path, str, str]] = []

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Docstrings go."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        """What is for type checkers goes."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [kept for statement in node.orelse if (kept := self.visit(statement)) is not None]
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """Modules of the package are followed."""
        parts = [(alias.name.split("."), alias.asname) for alias in node.names]
        for names, called in parts:
            if names[0] == self.package.name:
                self.uses.append((self._existing(self.package.joinpath(*names[1:])), "", called or ""))
        node.names = [alias for alias, (names, _) in zip(node.names, parts, strict=True) if names[0] != self.package.name]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Modules of the package are followed."""
        names = node.module.split(".") if node.module else []
        if node.level == 0:
            if names[0] != self.package.name:
                return node
            base = self.package.joinpath(*names[1:])
        else:
            base = self.path.parents[node.level - 1].joinpath(*names)
        for alias in node.names:
            module = _file(base / alias.name)
            self.uses.append((module, "", alias.asname or alias.name) if module else (self._existing(base), alias.name, alias.asname or alias.name))
        return None

    def _existing(self, base: Path) -> Path:
        found = _file(base)
        if found is None:
            raise LookupError(f"{self.path} imports {base}, which is not there")
        return found


def _file(base: Path) -> Path | None:
    """The file of the module or package at `base`, without its ending."""
    return next((path for path in (base.with_name(base.name + ".py"), base / "__init__.py") if path.is_file()), None)


def _left_out(name: str, package: Path) -> Path:
    base = package.joinpath(*name.split("."))
    found = base if base.is_dir() else _file(base)
    if found is None:
        raise LookupError(f"{name} is to be left out of the digest, and is not there")
    return found


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")


def _hash(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
