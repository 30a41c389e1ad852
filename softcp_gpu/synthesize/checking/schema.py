"""What the lists of a run may hold: JSON Schemas, which come with the package."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcp_gpu.data import DataError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

KINDS = ("run", "input", "sample", "summary")
_SHOWN = 60  # characters of a value that is not what it should be


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema, draft 2020-12, of `run.json`, `summary.json`, or a line of `inputs.jsonl` or `samples.jsonl`.

    Args:
        kind: one of `KINDS`.

    Example:
        >>> schema_of("sample")["$id"]
        'urn:softcp-gpu:schema:sample:1'
    """
    return json.loads((resources.files("softcp_gpu") / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8"))


def check_record(kind: str, record: Any, where: Path | str) -> None:
    """Checks that a record has the fields that it should have, with values that they may have.

    Args:
        kind: one of `KINDS`.
        record: what was read.
        where: the file, for the message; of a list with the line.

    Raises:
        DataError: it has not; of several faults the one that tells most.

    Example:
        >>> check_record("run", {"schema": 2}, "run.json")
        Traceback (most recent call last):
            ...
        softcp_gpu.data.errors.DataError: run.json: expected schema to be 1 (the version of these fields), found 2
    """
    validator = _validator(kind)
    if validator.is_valid(record):  # much faster than to look for the best match of none
        return
    from jsonschema.exceptions import best_match

    errors = list(validator.iter_errors(record))
    version = [error for error in errors if error.json_path == "$.schema"]  # of another one all may be different
    error = best_match(version or errors)
    raise DataError(where, *_told(error))


@cache
def _validator(kind: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema_of(kind))


def _told(error: ValidationError) -> tuple[str, str]:
    """What was expected of which field, and what was found."""
    field, value, found = error.json_path.removeprefix("$").removeprefix("."), error.validator_value, error.instance
    inside = f" in {field}" if field else ""
    meaning = f" ({error.schema['description']})" if "description" in error.schema else ""
    match error.validator:
        case "required":
            missing = [name for name in value if name not in found]
            return f"{', '.join(missing)}{inside}", "none"
        case "dependentRequired":
            there = next(name for name in value if name in found)
            return f"{', '.join(value[there])} beside {there}{inside}", "not all of them"
        case "additionalProperties" if value is False:
            names, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
            odd = [name for name in found if name not in names and not any(re.search(p, name) for p in patterns)]
            return f"no other fields than {', '.join((*names, *patterns))}{inside}", ", ".join(odd)
        case "oneOf":
            return f"either {' or '.join(name for way in value for name in way['required'])}{inside}", _short(found)
        case "not":
            return f"no {field}{meaning}", _short(found)
        case "enum" | "type" if isinstance(value, list):
            return f"{field} to be {' or '.join(map(str, value))}{meaning}", _short(found)
        case "enum" | "type" | "const":
            return f"{field or 'the record'} to be {value}{meaning}", _short(found)
        case rule:
            return f"{field} to have {rule} {value}{meaning}", _short(found)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
