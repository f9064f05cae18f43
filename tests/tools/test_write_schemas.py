from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from slimdp.config import ConfigError, load_config
from slimdp.settings_file import parse_yaml
from tools.write_schemas import FOLDER, main, schemas

EXPERIMENTS = sorted(file for file in Path("experiments").rglob("*.yaml") if file.name != "study.yaml")
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def test_the_schemas_in_the_documentation_are_those_of_the_settings() -> None:
    written = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.iterdir()}
    wanted = {name: json.loads(text) for name, text in schemas().items()}
    assert written == wanted, "run: python tools/write_schemas.py"


def test_a_schema_tells_what_is_beside_a_field() -> None:
    definitions = json.loads(schemas()["train.json"])["$defs"]
    assert definitions["AugmentSettings"]["properties"]["rotation_deg"] == {
        "default": 30.0,
        "description": "turn by an angle in -rotation .. rotation",
        "maximum": 180,
        "minimum": 0,
        "type": "number",
    }
    seed = definitions["BudgetSettings"]["properties"]["seed"]
    assert seed["description"].startswith("Of the shares; null: that of the training run")
    assert (
        definitions["CropSettings"]["description"]
        == "The square around a person's box that the network sees."
    )


def conforms(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """Whether a value is as a JSON schema says, of the words that ours use."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return conforms(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "if" in schema:
        return conforms(value, schema["then" if "base" in value else "else"], root)
    if "anyOf" in schema:
        return any(conforms(value, each, root) for each in schema["anyOf"])
    kind = schema.get("type")
    if kind == "null":
        return value is None
    if kind and (not isinstance(value, KINDS[kind]) or isinstance(value, bool) != (kind == "boolean")):
        return False
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        for pattern, each in schema.get("patternProperties", {}).items():
            known = {**known, **{key: each for key in value if re.match(pattern, str(key))}}
        return set(schema.get("required", ())) <= value.keys() and all(
            conforms(each, known[key], root) if key in known else conforms(each, rest, root)
            for key, each in value.items()
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            conforms(each, schema.get("items", {}), root) for each in value
        )
    if isinstance(value, (int, float)):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        inside = schema.get("exclusiveMinimum", -1e99) < value < schema.get("exclusiveMaximum", 1e99)
        return low <= value <= high and inside and value % schema.get("multipleOf", value or 1) == 0
    return value in schema.get("enum", [value])


@pytest.fixture(scope="module")
def train() -> dict[str, Any]:
    return json.loads(schemas()["train.json"])  # type: ignore[no-any-return]


@pytest.mark.parametrize("file", EXPERIMENTS, ids=str)
def test_every_experiment_is_as_the_schema_says(train: dict[str, Any], file: Path) -> None:
    assert conforms(parse_yaml(file.read_text(encoding="utf-8")), train, train)


@pytest.mark.parametrize("file", sorted(Path("experiments").rglob("study.yaml")), ids=str)
def test_every_study_is_as_the_schema_says(file: Path) -> None:
    study, values = json.loads(schemas()["study.json"]), parse_yaml(file.read_text(encoding="utf-8"))
    assert conforms(values, study, study)
    assert not conforms({**values, "about": {}}, study, study)
    assert not conforms({**values, "rows": {"a": {"title": "without settings"}}}, study, study)


WHOLE = "stages: [{name: a, steps: 1, data: [{annotations: a, images: b}]}]"


@pytest.mark.parametrize(
    "text",
    [
        "modle: {stacks: 2}",
        "base: base.yaml\nmodle: {stacks: 2}",
        "base: base.yaml\nstages: {0: {stepss: 2}}",
        "base: base.yaml\nstages: {0: {steps: 0}}",
        "base: base.yaml\nstages: {0: {data: {0: {budget: {images: 2}}}}}",
        "stages: []",
        "stages: [{name: a, steps: 1}]",
        "seed: true",
        "crop: {size: 0}",
        "precision: half",
        "motion: {kind: optical}",
    ],
)
def test_what_the_reader_refuses_the_schema_marks(train: dict[str, Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "base.yaml").write_text(WHOLE)
    whole = text if "stages:" in text or "base:" in text else f"{WHOLE}\n{text}"
    (tmp_path / "wrong.yaml").write_text(whole)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "wrong.yaml")
    assert not conforms(parse_yaml(whole), train, train)
    assert conforms(parse_yaml(WHOLE), train, train)


def test_a_folder_is_written(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "new")]) == 0
    assert {file.name: file.read_text() for file in (tmp_path / "new").iterdir()} == schemas()
    with pytest.raises(ConfigError, match=r"MODULE\.0 = 'nowhere_at_all'"):
        main(["nowhere_at_all"])
