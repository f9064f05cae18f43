"""Write the JSON schemas of the settings files: editors complete keys by them, and mark mistakes.

    python tools/write_schemas.py                                 # docs/schema/*.json
    python tools/write_schemas.py --out my/schema my_package.my_file  # with what this module registers

A key is described by the comment beside its field, or else right above it. docs/training.md says how an
editor finds them.
"""

from __future__ import annotations

import argparse
import ast
import copy
import inspect
import io
import json
import sys
import textwrap
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from slimdp.config import Settings, TrainConfig
from slimdp.registry import import_modules
from slimdp.studies.settings import StudySettings

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schema"
#: Name of a schema -> the settings, and whether files of them may build on others (`base: other.yaml`).
SCHEMAS: Mapping[str, tuple[type[Settings], bool]] = {
    "train": (TrainConfig, True),
    "study": (StudySettings, False),
}


def schema_of(settings: type[Settings], on_a_base: bool) -> dict[str, Any]:
    """The JSON schema of a settings file, with descriptions.

    Args:
        settings: what the file holds.
        on_a_base: whether a file may have the key `base`, and then hold only what differs: nothing is
            required of it, and items of lists may be given by their numbers.
    """
    schema = settings.model_json_schema(schema_generator=_Described)
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    if not on_a_base:
        return schema
    definitions = schema.pop("$defs", {})
    changes = _optional({"whole": schema, **definitions})
    changes["whole"]["properties"]["base"] = {
        "type": "string",
        "description": "the settings file, relative to this one, that this one changes",
    }
    definitions["whole"] = {key: value for key, value in schema.items() if key != "$schema"}
    definitions |= {f"change_{name}": value for name, value in changes.items()}
    return {
        "$schema": schema["$schema"],
        "title": schema["title"],
        "if": {"required": ["base"]},
        "then": {"$ref": "#/$defs/change_whole"},
        "else": {"$ref": "#/$defs/whole"},
        "$defs": definitions,
    }


def _optional(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The same schemas for what may be left out or, in lists, be given by number."""

    def relaxed(node: Any) -> Any:
        if isinstance(node, list):
            return [relaxed(each) for each in node]
        if not isinstance(node, dict):
            return node
        changed = {key: relaxed(value) for key, value in node.items() if key not in ("required", "default")}
        if "$ref" in changed:
            changed["$ref"] = changed["$ref"].replace("#/$defs/", "#/$defs/change_")
        if node.get("type") == "array":
            by_number = {"type": "object", "patternProperties": {"^[0-9]+$": changed.get("items", {})}}
            told = {key: changed.pop(key) for key in ("title", "description") if key in changed}
            return {**told, "anyOf": [changed, by_number | {"additionalProperties": False}]}
        return changed

    return {name: relaxed(copy.deepcopy(value)) for name, value in definitions.items()}


class _Described(GenerateJsonSchema):
    """With the comments of the fields as descriptions, and without titles that repeat the key."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        made = super().model_schema(schema)
        kind = schema["cls"]
        made["description"] = (inspect.getdoc(kind) or "").split("\n\n")[0]
        comments = {name: told for each in reversed(kind.__mro__) for name, told in _comments(each)}
        for name, value in made.get("properties", {}).items():
            value.pop("title", None)
            if name in comments:
                made["properties"][name] = {"description": comments[name], **value}
        return made


def _comments(kind: type) -> Iterator[tuple[str, str]]:
    """Names of a class's own fields, each with the comment beside it or else right above it."""
    if not issubclass(kind, Settings) or kind is Settings:
        return
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    told = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and "fmt:" not in token.string
    }
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    for field in definition.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        last = field.end_lineno or field.lineno
        beside = [told[line] for line in range(field.lineno, last + 1) if line in told]
        above, line = [], field.lineno - 1
        while line in told and lines[line - 1].lstrip().startswith("#"):
            above, line = [told[line], *above], line - 1
        if beside or above:
            yield field.target.id, " ".join(beside or above)


def schemas() -> dict[str, str]:
    """File name -> its text."""
    return {f"{name}.json": json.dumps(schema_of(*how), indent=1) + "\n" for name, how in SCHEMAS.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="that register something of their own")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="default: docs/schema")
    options = parser.parse_args(arguments)
    import_modules(options.modules, "MODULE")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (options.out / name).write_text(text, encoding="utf-8")
        print(options.out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
