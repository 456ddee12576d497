from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml
from PIL import Image

from marea.errors import ConfigError
from marea.pipelines.catalog import UnknownPipeline, lacking_libraries, load_catalog
from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.pipeline import Produced, Source

BUILTIN = ["grayscale", "thumbnail", "square", "web", "avif", "watermark", "summary", "copy"]

USER_PIPELINE = """
from marea.pipelines.pipeline import Artifact, Produced

class Reverse:
    digest = "0123456789abcdef"
    pool = "images"
    max_bytes = 1000
    def __init__(self, name="reverse"):
        self.name = name
    def result_keys(self, key):
        return (key + ".reversed",)
    def run(self, source):
        return Produced((Artifact(source.key + ".reversed", source.data[::-1], "text/plain"),))

READY = Reverse("ready")
BROKEN = object()
def explode():
    raise RuntimeError("no licence")
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_catalog(text, entry_points=())
    return caught.value.problems


def test_the_built_in_pipelines_are_there_without_configuration() -> None:
    assert list(load_catalog(entry_points=())) == BUILTIN


def test_a_pool_tells_which_libraries_its_pipelines_lack() -> None:
    """As in an image that was built without the tables extra."""
    catalog = load_catalog(entry_points=())
    summary = catalog["summary"]
    assert isinstance(summary, DeclaredPipeline)
    lacking = type(summary)(replace(summary.definition, libraries=("pandas-is-not-here",)))
    pipelines = [catalog["grayscale"], lacking]
    assert lacking_libraries(pipelines, "images") == []
    [sentence] = lacking_libraries(pipelines, "tables")
    assert sentence.startswith("pool 'tables' cannot run summary without pandas-is-not-here")
    assert lacking_libraries(catalog.values(), "tables") == []


def test_loading_the_catalog_imports_neither_pillow_nor_pandas() -> None:
    script = (
        "import sys; from marea.pipelines.catalog import load_catalog;"
        "c = load_catalog('pipelines: [{name: x, steps: [{resize: {width: 9}}]}]');"
        "[(p.digest, p.result_keys('a/b.jpg'), c.describe(n)) for n, p in c.items()];"
        "c.colliding_pipelines(list(c));"
        "print([m for m in ('PIL', 'pandas', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.strip() == "[]"


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    catalog = load_catalog(entry_points=())
    with pytest.raises(UnknownPipeline, match=r"^there is no pipeline 'grey'; known are: gray"):
        catalog["grey"]
    assert "grey" not in catalog
    assert catalog.get("grey") is None


def test_all_problems_are_told_at_once_each_with_pipeline_and_field() -> None:
    problems = problems_of("""
pipelines:
  - name: Bad Name
    steps: [grayscale]
  - name: steps
    steps:
      - greyscale
      - resize: {width: big, colour: red}
      - resize: {mode: fill, width: 10}
      - convert: {format: png, quality: 80}
      - sizes: [10, 10]
      - 7
  - name: fields
    kind: images
    result: "{dir}{name}"
    limits: {max_pixels: 0, max_rows: 3}
    manifest: maybe
    pool: "Not A Pool"
    animation: some
    surprise: 1
  - name: kind
    kind: videos
  - just text
  - name: grayscale
    steps: [grayscale]
  - name: order
    steps: [{sizes: [10]}, blurhash, orient]
  - name: rows
    kind: tables
    steps: []
  - name: whole
    kind: none
    steps: [{python: "os:getcwd"}]
""")
    for expected in (
        "pipeline 'Bad Name': name must be 1 to 40 of a-z, 0-9 and '-'",
        "pipeline 'steps', step 1 (greyscale): unknown step; steps of kind images are:",
        "pipeline 'steps', step 2 (resize): has no parameter 'colour'",
        "pipeline 'steps', step 2 (resize): width must be a whole number from 1 to 16,383",
        "pipeline 'steps', step 3 (resize): mode fill needs both width and height",
        "pipeline 'steps', step 4 (convert): quality has no meaning for png",
        "pipeline 'steps', step 5 (sizes): widths must be a list of 1 to 20 different",
        "pipeline 'steps', step 6 (7): must be a step's name",
        "pipeline 'fields': result '{dir}{name}' has the unknown placeholder {name}",
        "pipeline 'fields': result '{dir}{name}' has no {stem}",
        "pipeline 'fields', limits: max_pixels must be a whole number from 1",
        "pipeline 'fields', limits: has no parameter 'max_rows'",
        "pipeline 'fields': manifest must be true or false",
        "pipeline 'fields': pool must be",
        "pipeline 'fields': animation must be one of first, all (given: 'some')",
        "pipeline 'fields': unknown key 'surprise'",
        "pipeline 'kind': kind must be one of images, tables, none (given: 'videos')",
        "pipeline 5: must be a mapping",
        "pipeline 'grayscale': the name is taken",
        "pipeline 'order': orient must be the first step",
        "pipeline 'order': blurhash must come before sizes",
        "pipeline 'rows': must have one step 'summary', as the last",
        "pipeline 'whole', step 1 (python): pipelines of kind none have no steps",
    ):
        assert any(problem.startswith(expected) for problem in problems), expected


@pytest.mark.parametrize(
    "text",
    [
        "pipelines: 3",
        "[1, 2]",
        "other: []",
        "a: b: c",
        "pipelines: [{steps: [null]}]",
        "pipelines: [{name: a, steps: [{}]}]",
        "pipelines: [{name: [x]}]",
        "pipelines: [{name: a, kind: [x]}]",
        "pipelines: [{name: a, limits: 3}]",
        "pipelines: [{name: a, result: 3}]",
        "pipelines: [{name: a, steps: {crop: 3}}]",
    ],
)
def test_a_file_of_another_shape_is_a_config_error(text: str) -> None:
    assert problems_of(text)


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "pipelines: []"])
def test_an_empty_file_adds_nothing(text: str | None) -> None:
    assert list(load_catalog(text, entry_points=())) == BUILTIN


def test_outputs_that_share_a_key_are_refused() -> None:
    problems = problems_of(
        'pipelines: [{name: a, result: "{dir}{stem}_a.manifest.json", manifest: true, kind: none}]'
    )
    assert "would share one result key" in problems[0]


def test_a_digest_follows_what_is_written_and_nothing_else() -> None:
    def digest(**keys: object) -> str:
        entry = {"name": "card", "steps": [{"resize": {"width": 9}}], **keys}
        return load_catalog(yaml.safe_dump({"pipelines": [entry]}), entry_points=())["card"].digest

    plain = digest()
    assert len(plain) == 16
    assert int(plain, 16) >= 0
    assert digest() == plain
    # Said explicitly or by default, the definition is the same.
    assert digest(steps=["orient", {"resize": {"width": 9, "mode": "fit"}}]) == plain
    assert digest(limits={"max_bytes": 5}, pool="big") == plain
    changed = {
        digest(steps=[{"resize": {"width": 10}}]),
        digest(result="{dir}{stem}-card{ext}"),
        digest(manifest=True),
        digest(animation="all"),
        digest(steps=[{"resize": {"width": 9}}, "grayscale"]),
    }
    assert plain not in changed
    assert len(changed) == 5


def test_built_in_digests_all_differ() -> None:
    catalog = load_catalog(entry_points=())
    assert len({pipeline.digest for pipeline in catalog.values()}) == len(BUILTIN)


def test_pipelines_that_write_the_same_key_are_found() -> None:
    text = """
pipelines:
  - {name: sepia, steps: [grayscale], result: "{dir}{stem}_processed{ext}"}
  - {name: jpegs, steps: [{convert: jpeg}], result: "{dir}{stem}_thumbnail{ext}"}
"""
    catalog = load_catalog(text, entry_points=())
    assert catalog.colliding_pipelines(BUILTIN) == []
    (found,) = catalog.colliding_pipelines(["grayscale", "web", "sepia"])
    assert (found.first, found.second) == ("grayscale", "sepia")
    assert "'grayscale' and 'sepia' would both write" in str(found)
    # Only for a source whose own extension is .jpg.
    (found,) = catalog.colliding_pipelines(["jpegs", "thumbnail", "jpegs"])
    assert found.result_key == "a/photo_thumbnail.jpg"


def test_a_description_shows_steps_with_their_defaults_and_an_example() -> None:
    shown = load_catalog(entry_points=()).describe("thumbnail")
    assert shown["steps"][1]["parameters"]["upscale"] is False
    assert shown["example"] == {
        "source": "photos/photo.jpg",
        "results": ["photos/photo_thumbnail.jpg"],
    }


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"reversing_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USER_PIPELINE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_an_entry_point_of_an_installed_package_adds_its_pipeline(
    user_module: str, tmp_path: Path
) -> None:
    installed = tmp_path / "reversing-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: reversing\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        f"[marea.pipelines]\nready = {user_module}:READY\nreverse = {user_module}:Reverse\n"
    )
    catalog = load_catalog()
    assert catalog["ready"].run(Source(b"abc", "k")).artifacts[0].data == b"cba"
    assert isinstance(catalog["reverse"].run(Source(b"abc", "k")), Produced)
    assert catalog.describe("reverse")["class"] == f"{user_module}:Reverse"


def test_broken_entry_points_are_config_errors_that_name_them(user_module: str) -> None:
    points = [
        EntryPoint(name, f"{user_module}:{value}", "marea.pipelines")
        for name, value in (("gone", "Missing"), ("odd", "BROKEN"), ("bang", "explode"))
    ]
    with pytest.raises(ConfigError) as caught:
        load_catalog(entry_points=points)
    told = "\n".join(caught.value.problems)
    assert f"entry point 'gone' ({user_module}:Missing): cannot be imported" in told
    assert "entry point 'bang'" in told
    assert "no licence" in told
    assert "entry point 'odd'" in told


def test_a_whole_pipeline_can_be_module_and_function_in_the_file(user_module: str) -> None:
    text = f"""
pipelines:
  - {{name: backwards, python: "{user_module}:Reverse", options: {{name: backwards}}}}
  - {{python: "{user_module}:READY"}}
"""
    catalog = load_catalog(text, entry_points=())
    assert catalog["backwards"].run(Source(b"abc", "k")).artifacts[0].data == b"cba"
    assert catalog["ready"].name == "ready"


def test_a_whole_pipeline_that_cannot_be_had_is_a_config_error(user_module: str) -> None:
    problems = problems_of(f"""
pipelines:
  - {{name: gone, python: "nowhere.at.all:thing"}}
  - {{name: other, python: "{user_module}:READY"}}
  - {{name: extra, python: "{user_module}:Reverse", steps: []}}
  - {{name: keyword, python: "{user_module}:Reverse", options: {{size: 3}}}}
""")
    assert any("pipeline 'gone': nowhere.at.all:thing cannot be imported" in p for p in problems)
    assert any("pipeline 'other'" in p and "calls its pipeline 'ready'" in p for p in problems)
    assert any("pipeline 'extra': a python: pipeline takes name and options" in p for p in problems)
    assert any("pipeline 'keyword': cannot be built" in p for p in problems)


def test_a_user_step_runs_with_its_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_image, run_steps, open_artifact
) -> None:
    (tmp_path / "inverting.py").write_text(
        "from PIL import Image, ImageOps\n"
        "def invert(image, *, strength=1.0):\n"
        "    return Image.blend(image, ImageOps.invert(image), strength)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = save_image(Image.new("RGB", (8, 8), "white"), "PNG")
    step = {"python": "inverting:invert", "strength": 1.0}
    image = open_artifact(run_steps(data, ["orient", step], key="a/p.png"))
    assert image.getpixel((0, 0)) == (0, 0, 0)


def test_a_user_step_is_checked_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "untouched.py").write_text(
        "raise SystemExit('imported')\ndef tint(image, *, strength):\n    return image\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    good = 'pipelines: [{name: t, steps: [{python: "untouched:tint", strength: 1}]}]'
    assert "t" in load_catalog(good, entry_points=())
    (problem,) = problems_of(good.replace("strength", "amount"))
    assert "passes 'amount', which untouched:tint does not take" in problem
    (problem,) = problems_of(good.replace(":tint", ":shade"))
    assert "names 'shade', which untouched does not define" in problem
    (problem,) = problems_of(good.replace("untouched:", "absent:"))
    assert "'absent', which is not installed" in problem
    (problem,) = problems_of(good.replace("untouched:tint", "no reference"))
    assert "must be 'package.module:function'" in problem


def test_edited_code_of_a_user_step_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "edited.py"
    monkeypatch.syspath_prepend(tmp_path)
    text = 'pipelines: [{name: t, steps: [{python: "edited:tint"}]}]'
    module.write_text("def tint(image):\n    return image\n")
    first = load_catalog(text, entry_points=())["t"].digest
    module.write_text("def tint(image):\n    return image.copy()\n")
    assert load_catalog(text, entry_points=())["t"].digest != first
