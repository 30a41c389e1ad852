"""The directions between the parts of the package, and what no file of it may do.

A rule takes the files as {path inside the package: source} and yields what breaks it. Every rule has an offender below,
so that none can be vacuous.
"""

import ast
import re
import subprocess
import sys

import pytest

BASE = {"types", "checks"}
MAY_IMPORT = {  # part -> the parts that it may import besides itself
    "types": {"checks"},
    "checks": set(),
    "kernels": BASE,
    "loops": BASE | {"kernels"},
    "functional": BASE | {"kernels", "loops"},
    "sampling": BASE | {"functional"},
    "phantoms": BASE | {"functional", "sampling"},
    "modules": BASE | {"functional", "kernels", "sampling"},
    "collate": BASE | {"modules"},
    "reference": {"types"},
    "choices": set(),
    "workers": set(),
    "data": BASE | {"choices"},
    "synthesize": BASE | {"loops", "choices", "workers", "functional", "modules", "data", "sampling", "phantoms"},
    "integrations": BASE | {"modules", "functional", "data"},
    "__init__": BASE | {"modules", "kernels", "functional", "sampling", "phantoms", "collate"},
}
MAY_IMPORT["cli"] = MAY_IMPORT["commands"] = {"", "commands", *MAY_IMPORT}  # "" is the package itself
ONLY_IN = {"cv2": {"reference", "data"}, "typer": {"commands"}, "triton": {"kernels"}, "numba": {"loops"}}
REFERENCE_USES = {"cv2", "numpy", "softcp_gpu", *sys.stdlib_module_names}

LONGEST = 250

DRAWS = re.compile(
    r"(torch|np|numpy)\.(rand\w*|normal|bernoulli|multinomial|poisson|manual_seed|random\..+)|random(\..+)?"
    r"|.+\.(normal|uniform|random|bernoulli|exponential|geometric|cauchy|log_normal)_",
    re.DOTALL,
)
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_CALLS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
OPTIONAL = {
    "SimpleITK",
    "cv2",
    "imagehash",
    "jinja2",
    "jsonschema",
    "matplotlib",
    "numba",
    "ray",
    "rich",
    "scipy",
    "triton",
    "typer",
}


def part_of(path):
    return path.split("/")[0].removesuffix(".py")


def nodes(files, *kinds):
    for path, source in files.items():
        yield from ((path, node) for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))


def imports(files):
    """(path, dotted name) of everything imported, also inside functions."""
    for path, node in nodes(files, ast.Import, ast.ImportFrom):
        origin = f"{'.' * node.level}{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
        yield from ((path, origin + alias.name) for alias in node.names)


def imports_only_what_its_part_may(files):
    yield from (f"{path}: give it a row in MAY_IMPORT" for path in files if part_of(path) not in MAY_IMPORT)
    for path, name in imports(files):
        top, *rest = name.split(".")
        part = part_of(path)
        allowed = {part, "__version__", *MAY_IMPORT.get(part, ())}
        if top == "softcp_gpu" and (rest or [""])[0] not in allowed:
            yield f"{path} imports {name}"
        elif top == "":
            yield f"{path} imports {name}: name it in full"


def leaves_libraries_to_their_parts(files):
    for path, name in imports(files):
        top, part = name.split(".")[0], part_of(path)
        if part not in ONLY_IN.get(top, {part}) or (part == "reference" and top not in REFERENCE_USES):
            yield f"{path} imports {name}"


def draws_random_numbers_in_sampling_only(files):
    attributes = ((path, ast.unparse(node)) for path, node in nodes(files, ast.Attribute))
    for path, name in (*imports(files), *attributes):
        if path != "sampling.py" and DRAWS.fullmatch(name):
            yield f"{path} uses {name}"


def keeps_no_module_state(files):
    for path, node in nodes(files, ast.Module, ast.Global):
        for line in node.body if isinstance(node, ast.Module) else [node]:
            value = getattr(line, "value", None)
            called = ast.unparse(value.func).split(".")[-1] if isinstance(value, ast.Call) else ""
            changes = isinstance(value, MUTABLE) or called in MUTABLE_CALLS or isinstance(line, ast.Global)
            if changes and not ast.unparse(line).startswith("__all__"):
                yield f"{path}:{line.lineno} can change"


def has_no_metaclass(files):
    for path, node in nodes(files, ast.ClassDef):
        if any(k.arg == "metaclass" for k in node.keywords) or any(ast.unparse(base) == "type" for base in node.bases):
            yield f"{path}: {node.name}"


def derives_from_nn_module_directly(files):
    bases = [(path, cls.name, ast.unparse(base)) for path, cls in nodes(files, ast.ClassDef) for base in cls.bases]
    ours = {name for _, name, base in bases if re.fullmatch(r"((torch\.)?nn\.)?Module", base)}
    for path, name, base in bases:
        if base.split(".")[-1] in ours or re.fullmatch(r"(torch\.)?nn\.(?!Module$).+", base):
            yield f"{path}: {name} derives from {base}"


def is_short_enough_to_read(files):
    for path, source in files.items():
        if len(source.splitlines()) > LONGEST:
            yield f"{path} has {len(source.splitlines())} lines"


OFFENDERS = [
    (imports_only_what_its_part_may, "functional/paste.py", "from softcp_gpu.modules import SoftCP"),
    (imports_only_what_its_part_may, "functional/paste.py", "def f():\n    from softcp_gpu import sampling"),
    (imports_only_what_its_part_may, "modules/softcp.py", "import softcp_gpu"),
    (imports_only_what_its_part_may, "modules/softcp.py", "from .. import data"),
    (imports_only_what_its_part_may, "reference/opencv.py", "import softcp_gpu.functional as f"),
    (imports_only_what_its_part_may, "new.py", "import math"),
    (leaves_libraries_to_their_parts, "functional/warp.py", "import cv2"),
    (leaves_libraries_to_their_parts, "reference/opencv.py", "import scipy.ndimage"),
    (draws_random_numbers_in_sampling_only, "functional/intensity.py", "torch.randn_like(x)"),
    (draws_random_numbers_in_sampling_only, "functional/intensity.py", "torch.normal(0.0, x)"),
    (draws_random_numbers_in_sampling_only, "functional/intensity.py", "noise = torch.empty(3).normal_"),
    (draws_random_numbers_in_sampling_only, "functional/intensity.py", "from torch import randint"),
    (draws_random_numbers_in_sampling_only, "data/dataset.py", "np.random.default_rng(0)"),
    (draws_random_numbers_in_sampling_only, "data/dataset.py", "from numpy.random import default_rng"),
    (draws_random_numbers_in_sampling_only, "data/dataset.py", "import random"),
    (keeps_no_module_state, "data/layouts.py", "LAYOUTS = {}"),
    (keeps_no_module_state, "data/layouts.py", "LAYOUTS: dict[str, int] = dict(a=1)"),
    (keeps_no_module_state, "data/layouts.py", "seen = collections.defaultdict(list)"),
    (keeps_no_module_state, "data/layouts.py", "def f():\n    global seen"),
    (has_no_metaclass, "modules/softcp.py", "class Registry(type): pass"),
    (has_no_metaclass, "modules/softcp.py", "class A(metaclass=ABCMeta): pass"),
    (derives_from_nn_module_directly, "modules/a.py", "class A(nn.Module): pass\nclass B(A): pass"),
    (derives_from_nn_module_directly, "modules/a.py", "class A(torch.nn.Sequential): pass"),
    (is_short_enough_to_read, "modules/a.py", "\n" * (LONGEST + 1)),
]
RULES = list(dict.fromkeys(rule for rule, _, _ in OFFENDERS))

WELL_BEHAVED = """
from __future__ import annotations
from types import MappingProxyType
import numpy as np
from torch import Tensor, nn
from softcp_gpu import __version__, checks
from softcp_gpu.functional.paste import soft_paste
from softcp_gpu.modules.soft_mask import SoftMask

__all__ = ["Shell"]
NAMES = ("a", "b")
TABLE = MappingProxyType({"a": 1})

class Shell(nn.Module):
    def forward(self, normal: Tensor, randomness: Tensor) -> Tensor:
        found = []
        return soft_paste(normal, randomness.normal)
"""


@pytest.mark.parametrize("rule", RULES)
def test_every_file_of_the_package(rule, root):
    package = root / "softcp_gpu"
    files = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in package.rglob("*.py")}
    assert files
    broken = list(rule(files))
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("rule", "path", "source"), OFFENDERS)
def test_rule_catches_its_offender(rule, path, source):
    assert list(rule({path: source}))


@pytest.mark.parametrize("rule", RULES)
def test_rule_spares_a_well_behaved_file(rule):
    assert list(rule({"modules/shell.py": WELL_BEHAVED})) == []


def loaded_by(code, root):
    code += "\nimport sys; print(*sys.modules, sep='\\n')"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize(("code", "expected"), [("from softcp_gpu import *", set()), ("import rich", {"rich"})])
def test_import_loads_no_optional_package(code, expected, root):
    assert OPTIONAL & loaded_by(code, root) == expected


def test_the_classes_load_torch_and_not_all_of_kornia(root):
    loaded = loaded_by("from softcp_gpu import SoftCP; SoftCP()", root)
    assert "torch" in loaded
    assert "kornia" not in loaded


def test_the_help_of_the_command_line_loads_no_torch(root):
    loaded = loaded_by(
        "from softcp_gpu.commands import app; app(['synthesize', '--help'], standalone_mode=False)", root
    )
    assert "softcp_gpu.commands.synthesize" in loaded
    assert not {"torch", "numpy", "scipy", "PIL"} & loaded
