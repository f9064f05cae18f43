from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimdp.config import (
    AugmentSettings,
    ConfigError,
    DataSource,
    ScheduleSettings,
    StageSettings,
    TrainConfig,
    config_from_dict,
    config_to_dict,
    load_config,
)
from slimdp.losses import loss_terms
from slimdp.models import HourglassSettings
from slimdp.motion import FlowMotion, TpsMotion
from slimdp.motion.thin_plate import WarpSettings
from slimdp.settings_file import differences, dump_yaml, merge, parse_yaml

TWO_STAGES = """
stages:
  - name: stills
    data:
      - {annotations: stills.json, images: stills}
    steps: 100
    learning_rate: 1e-3
  - name: clips
    data:
      - {annotations: clips.json, images: clips, weight: 2}
      - {annotations: stills.json, images: stills}
    steps: 50
    batch: 8
model:
  features: 64
seed: 3
"""


@pytest.fixture
def two_stages(tmp_path: Path) -> Path:
    path = tmp_path / "two_stages.yaml"
    path.write_text(TWO_STAGES)
    return path


def test_settings_are_read_and_the_rest_is_default(two_stages: Path) -> None:
    config = load_config(two_stages)
    assert config == TrainConfig(
        stages=(
            StageSettings(
                name="stills", data=(DataSource(annotations="stills.json", images="stills"),), steps=100
            ),
            StageSettings(
                name="clips",
                data=(
                    DataSource(annotations="clips.json", images="clips", weight=2.0),
                    DataSource(annotations="stills.json", images="stills"),
                ),
                steps=50,
                batch=8,
            ),
        ),
        model=HourglassSettings(stacks=2, features=64),
        seed=3,
    )
    assert type(config.stages[1].data[0].weight) is float


def test_overrides_reach_into_mappings_and_lists(two_stages: Path) -> None:
    overrides = ["stages.0.steps=10", "model.stacks=1", "stages.1.data.1.images=/a=b", "loss.uv=2e1"]
    overrides.append("model.keypoints=[nose, left_knee]")
    config = load_config(two_stages, overrides)
    assert config.stages[0].steps == 10
    assert config.stages[1].steps == 50
    assert config.model == HourglassSettings(stacks=1, features=64, keypoints=("nose", "left_knee"))
    assert config.stages[1].data[1].images == "/a=b"
    assert config.stages[0].data[0].images == "stills"
    assert config.loss == loss_terms(uv=20.0, equivariance={"at": "level_3"})


def test_an_override_of_one_alias_leaves_the_other(tmp_path: Path) -> None:
    path = tmp_path / "alias.yaml"
    path.write_text(
        "stages:\n"
        "  - {name: a, steps: 1, data: &both [{annotations: x.json, images: x}]}\n"
        "  - {name: b, steps: 1, data: *both}\n"
    )
    config = load_config(path, ["stages.1.data.0.images=y"])
    assert [stage.data[0].images for stage in config.stages] == ["x", "y"]


def test_a_stage_says_only_what_differs_from_the_run(two_stages: Path) -> None:
    config = load_config(two_stages, ["loss.uv=3", "stages.1.loss.part=2", "stages.1.augment.flip=false"])
    assert config.stages[0].loss is None
    assert config.stages[1].loss == loss_terms(uv=3, part=2, equivariance={"at": "level_3"})
    assert config.stages[1].augment == AugmentSettings(flip=False)
    # What a run's folder keeps of it gives the same again.
    assert config_from_dict(config_to_dict(config), "here") == config


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("modle.features=64", ["unknown key modle", "stages, model, crop"]),
        ("model.feature=64", ["unknown key model.feature", "stacks, features"]),
        ("stages.1.stepss=3", ["unknown key stages.1.stepss", "name, data, steps, batch"]),
        ("stages.1.data.0.imagess=x", ["unknown key stages.1.data.0.imagess", "annotations, images, weight"]),
        ("model.features=wide", ["model.features = 'wide'", "a whole number"]),
        ("model.features='64'", ["model.features = '64'", "a whole number"]),
        ("model.features=64.5", ["model.features = 64.5", "a whole number"]),
        ("model.features=true", ["model.features = True", "a whole number"]),
        ("stages.0.learning_rate=.nan", ["stages.0.learning_rate = nan", "finite"]),
        ("stages.0.name=2017", ["stages.0.name = 2017", "a text (in quotes)"]),
        ("augment.flip=1", ["augment.flip = 1", "true or false"]),
        ("stages.0.data=stills", ["stages.0.data = 'stills'", "a list"]),
        ("model=64", ["model = 64", "stacks, features"]),
        ("model.features=10", ["model.features = 10", "multiple of 4"]),
        ("model.keypoints=[nose, nose]", ["model.keypoints = ('nose', 'nose')", "names that differ"]),
        ("model.keypoints=nose", ["model.keypoints = 'nose'", "a list"]),
        ("augment.occlusion=1.5", ["augment.occlusion = 1.5", "in 0..1"]),
        ("crop.size=200", ["crop.size = 200", "multiple of 64"]),
        ("stages.1.steps=0", ["stages.1.steps = 0", "positive"]),
        ("stages.0.name=../x", ["stages.0.name = '../x'", "letters"]),
        ("stages.0.clip_norm=0", ["stages.0.clip_norm = 0.0", "positive"]),
        ("stages.1.name=stills", ["stages", "different names"]),
        ("stages=[]", ["stages = ()", "at least one stage"]),
        ("ema_decay=1", ["ema_decay = 1.0"]),
        ("stages.0.optimiser.name=adam", ["stages.0.optimiser.name = 'adam'", "adamw, rmsprop, sgd"]),
        ("stages.0.optimiser.momentum=1", ["stages.0.optimiser.momentum = 1.0"]),
        ("stages.0.optimiser.momentum=high", ["stages.0.optimiser.momentum = 'high'", "a number"]),
        ("stages.0.schedule.name=linear", ["stages.0.schedule.name = 'linear'", "cosine, step, constant"]),
        ("stages.0.schedule.drops=[0.9,0.5]", ["stages.0.schedule.drops = (0.9, 0.5)", "rising"]),
        ("stages.0.accumulate=3", ["stages.0.accumulate = 3", "a divisor of batch = 16"]),
        ("stages.0.loss.uvv=3", ["stages.0.loss.uvv = 'uvv'", "one of part, uv, coarse"]),
        ("stages.0.loss.uv=-1", ["stages.0.loss.uv.weight = -1.0"]),
        ("validation.every=5", ["missing key validation.data"]),
        ("validation={data: []}", ["validation.data = ()", "at least one"]),
        ("precision=half", ["precision = 'half'", "auto, float32, bf16"]),
        ("average_decay=0.9", ["average_decay is now ema_decay"]),
        ("pictures_every=9", ["pictures_every is now images_every"]),
        ("shared_batch_norm=true", ["shared_batch_norm is now sync_batchnorm"]),
        ("motion.steps=[1]", ["motion.steps is now motion.frame_offsets"]),
        ("loss.equivariance_at=uv", ["loss.equivariance_at is now loss.equivariance.at"]),
        ("stages.1.loss.equivariance_stop=first", ["is now stages.1.loss.equivariance.stop"]),
        ("stages.1.motion.steps=[1]", ["stages.1.motion.steps is now stages.1.motion.frame_offsets"]),
        (
            "stages.0.optimiser.smoothing=0.9",
            ["stages.0.optimiser.smoothing is now stages.0.optimiser.beta2"],
        ),
        ("keep=0", ["keep = 0", "positive"]),
        ("compile=yes please", ["compile = 'yes please'", "true or false"]),
        ("seed=-1", ["seed = -1"]),
        ("stages.2.steps=1", ["stages.2.steps=1", "items 0..1"]),
        ("stages.one.steps=1", ["stages has items 0..1", "'one'"]),
        ("seed.x=1", ["seed = 3 holds no 'x'"]),
        ("model.features", ["'model.features'", "key=value"]),
        ("seed=[1", ["not valid YAML"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_choices(two_stages: Path, override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(two_stages, [override])
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message


def test_a_batch_of_one_needs_maps_of_two_pixels(two_stages: Path) -> None:
    with pytest.raises(ConfigError, match=r"stages.1.batch = 1.*crop.size 64"):
        load_config(two_stages, ["crop.size=64", "stages.1.batch=1"])
    assert load_config(two_stages, ["crop.size=128", "stages.1.batch=1"]).stages[1].batch == 1


def test_settings_that_an_earlier_version_saved_are_read(two_stages: Path) -> None:
    values = parse_yaml(TWO_STAGES) | {
        "average_decay": 0.5,
        "shared_batch_norm": False,
        "motion": {"kind": "flow", "flow": "f.h5", "exact": "", "steps": [1], "warp": {"bend": 0.1}},
        "loss": {"uv": 5.0, "equivariance": 1.0, "equivariance_at": "uv", "equivariance_stop": "none"},
    }
    values["stages"][1] |= {"motion": {"kind": "tps"}, "optimiser": {"smoothing": 0.25}}
    config = config_from_dict(values, "saved", saved=True)
    assert (config.ema_decay, config.sync_batchnorm) == (0.5, False)
    assert config.motion == FlowMotion(flow="f.h5", frame_offsets=(1,))
    assert config.stages[1].motion == TpsMotion(warp=WarpSettings(bend=0.1))
    assert config.stages[1].optimiser.beta2 == 0.25
    assert config.loss == loss_terms(uv=5.0, equivariance={"weight": 1.0, "at": "uv"})
    with pytest.raises(ConfigError, match="here: average_decay is now ema_decay"):
        config_from_dict(values, "here")


def test_a_number_of_a_loss_and_its_keys_are_laid_over_one_another(two_stages: Path, tmp_path: Path) -> None:
    """Whichever of the two comes first, neither the weight nor the other keys get lost."""
    row = tmp_path / "row.yaml"
    row.write_text(
        "base: two_stages.yaml\nloss: {equivariance: 2.0}\nstages: {1: {loss: {equivariance: {at: uv}}}}\n"
    )
    over_it = tmp_path / "over.yaml"
    over_it.write_text("base: row.yaml\nloss: {equivariance: {stop: first}}\n")
    config = load_config(over_it, ["stages.1.loss.equivariance=3"])
    assert config.loss["equivariance"].plain() == {"weight": 2.0, "at": "level_3", "stop": "first"}
    assert config.loss_of(config.stages[1])["equivariance"].plain() == {
        "weight": 3.0,
        "at": "uv",
        "stop": "first",
    }
    assert load_config(row, ["loss.equivariance.at=level_0"]).loss["equivariance"].weight == 2.0
    saved = config_to_dict(config)
    assert saved["loss"]["uv"] == 10.0
    assert config_from_dict(saved, "saved", saved=True) == config


def test_the_error_names_the_file(two_stages: Path) -> None:
    two_stages.write_text(TWO_STAGES + "colour: red\n")
    with pytest.raises(ConfigError, match=r"two_stages\.yaml: unknown key colour"):
        load_config(two_stages)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stages: [", "not valid YAML"),
        ("- a\n- b\n", "key: value"),
        ("", "key: value"),
        ("seed: 1\nseed: 2\n", "'seed' twice"),
        ("seed: 1\n", "missing key stages"),
        ("stages: [{name: a, steps: 3}]", "missing key stages.0.data"),
        ("base: 3", "the name of a file"),
        ("base: nowhere.yaml", "nowhere.yaml: no such settings file"),
        ("base: broken.yaml", "leads back to itself"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert problem in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        load_config(path)


def test_a_file_over_a_base_holds_the_difference(two_stages: Path, tmp_path: Path) -> None:
    row = tmp_path / "rows" / "deep.yaml"
    row.parent.mkdir()
    row.write_text("base: ../two_stages.yaml\nmodel: {stacks: 8}\nloss: {uv: 1}\n")
    base, config = load_config(two_stages), load_config(row)
    assert config.model == HourglassSettings(stacks=8, features=64)
    assert config.stages == base.stages
    assert list(differences(config_to_dict(base), config_to_dict(config))) == [
        "model.stacks: 2, 8",
        "loss.uv: 10.0, 1.0",
    ]


def test_a_file_over_a_base_changes_items_of_lists_by_number(two_stages: Path, tmp_path: Path) -> None:
    row = tmp_path / "row.yaml"
    row.write_text(
        "base: two_stages.yaml\n"
        "stages: {1: {steps: 7, data: {0: {weight: 3}}, loss: {uv: 5}}, 0: {schedule: {name: step}}}\n"
    )
    base, config = load_config(two_stages), load_config(row)
    first, second = base.stages
    heavier = (second.data[0].replace(weight=3.0), second.data[1])
    assert config.stages == (
        first.replace(schedule=ScheduleSettings(name="step")),
        second.replace(steps=7, data=heavier, loss=loss_terms(uv=5, equivariance={"at": "level_3"})),
    )
    over_it = tmp_path / "over.yaml"
    over_it.write_text("base: row.yaml\nstages: {1: {steps: 8}}\n")
    assert load_config(over_it).stages[1].steps == 8
    assert load_config(over_it).stages[1].data[0].weight == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stages: {2: {steps: 1}}", r"row\.yaml: stages has items 0\.\.1, not 2"),
        ("stages: {-1: {steps: 1}}", r"stages has items 0\.\.1, not -1"),
        ("stages: {steps: 1}", r"stages is a list, and 'steps' is no number.*stages: \{0: \.\.\.\}"),
        ("stages: {1: {data: {annotations: x}}}", r"stages\.1\.data is a list, and 'annotations'"),
        ("stages: {1: {data: {1: {images: x}, 5: {images: x}}}}", r"stages\.1\.data has items 0\.\.1, not 5"),
        ("model: {0: {features: 8}}", r"model = \{'features': 64\} is no list: it has no item 0"),
        ("seed: {0: 1}", r"seed = 3 is no list"),
        ("validation: {0: 1}", r"validation = None is no list"),
        ("stages: {1: {data: {1: {weight: {0: 1}}}}}", r"stages\.1\.data\.1\.weight = None is no list"),
        ("stages: {1: 5}", r"stages\.1 = 5, but keys are wanted"),
    ],
)
def test_items_that_are_not_there_cannot_be_changed(
    two_stages: Path, tmp_path: Path, text: str, words: str
) -> None:
    row = tmp_path / "row.yaml"
    row.write_text(f"base: two_stages.yaml\n{text}\n")
    with pytest.raises(ConfigError, match=words):
        load_config(row)


_PLAIN = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw takes long on a busy machine
@given(st.dictionaries(st.text("abc", min_size=1), _PLAIN, max_size=3), st.data())
def test_a_change_reaches_its_place_and_no_other(base: dict[str, Any], data: st.DataObject) -> None:
    node: Any = base
    path: list[Any] = []
    while isinstance(node, (dict, list)) and node and (not path or data.draw(st.booleans())):
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        path.append(data.draw(st.sampled_from(keys)))
        node = node[path[-1]]
    if not path:
        return
    change: Any = "new"
    for key in reversed(path):
        change = {key: change}
    before = copy.deepcopy(base)
    merged = merge(base, change)
    assert base == before
    wanted: Any = before
    for key in path[:-1]:
        wanted = wanted[key]
    wanted[path[-1]] = "new"
    assert merged == before


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+1e-3", ".1e-2", "1.0e-3", "0.001"])
def test_every_way_to_write_a_number_is_a_number(text: str) -> None:
    assert parse_yaml(text) == pytest.approx(0.001)
    assert isinstance(parse_yaml(text), float)


@given(
    st.builds(
        TrainConfig,
        stages=st.lists(
            st.builds(
                StageSettings,
                name=st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
                data=st.tuples(st.builds(DataSource, annotations=st.text(), images=st.text())),
                steps=st.integers(1, 10**6),
                learning_rate=st.floats(1e-9, 1e9),
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda stage: stage.name,
        ).map(tuple),
        model=st.builds(HourglassSettings, stacks=st.integers(1, 16)),
        seed=st.integers(0, 2**40),
    )
)
def test_settings_survive_plain_values_and_yaml(config: TrainConfig) -> None:
    plain: Any = config_to_dict(config)
    assert config_from_dict(plain, "here") == config
    assert config_from_dict(parse_yaml(dump_yaml(plain)), "here") == config


@pytest.mark.parametrize("text", ["1e3", "0E0", "12", "true", "null", "~", "a: b", "", "Größe", "\n"])
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert parse_yaml(dump_yaml({"key": text})) == {"key": text}


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("text", ["{}", "a{}", "{}a", "a {} b", "a{0}{0}b"])
def test_a_text_keeps_its_line_breaks(text: str, line_break: str) -> None:
    broken = text.format(line_break)
    assert parse_yaml(dump_yaml({"key": [broken]})) == {"key": [broken]}


def test_differences_name_the_keys() -> None:
    first = {"a": 1, "b": [{"c": 1}, {"c": 2}], "d": [1]}
    second = {"a": 1, "b": [{"c": 1}, {"c": 3}], "d": [1, 2], "e": None, "f": 5}
    assert list(differences(first, second)) == ["b.1.c: 2, 3", "d: [1], [1, 2]", "f: None, 5"]


def test_what_no_machine_has_is_refused() -> None:
    source = DataSource(annotations="a.json", images="images")
    with pytest.raises(ConfigError, match=r"^batch = 1000000000, but it must be in 1\.\.16384"):
        StageSettings(name="a", data=(source,), steps=1, batch=10**9)
    with pytest.raises(ConfigError, match=r"workers = 100000, but it must be in 0\.\.256"):
        TrainConfig(stages=(StageSettings(name="a", data=(source,), steps=1),), workers=100_000)
