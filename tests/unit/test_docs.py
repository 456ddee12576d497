"""The docs say what the code does: commands exist, codes are listed, examples load."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typer.main import get_command

from marea.cli.main import app
from marea.cli.settings_table import settings_table, to_markdown
from marea.pipelines.builtin import BUILTIN_PIPELINES
from marea.pipelines.catalog import load_catalog
from marea.pipelines.images.steps import IMAGE_STEPS
from marea.pipelines.pipeline import Source
from marea.pipelines.tables.steps import TABLE_STEPS
from marea.routing.table import load_rules

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "service" / "marea"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

LOAD_VERBS = {"run", "scenarios", "shapes"}

BASES = {"marea-error", "transient", "rejected"}
"""Codes of base classes, which are never raised as they are."""

SECOND_ARGUMENT_IS_A_CODE = {"Ending", "Outcome", "error_response"}


class Codes(ast.NodeVisitor):
    """Collects what stands where a code does: `code=…`, `code = …`, an ending's second word,
    and the first of the pairs (code, sentence) that say what became of a lost child."""

    def __init__(self, constants: dict[str, str]) -> None:
        self.found: set[str] = set()
        self._constants = constants

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg == "code":
                self._add(keyword.value)
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in SECOND_ARGUMENT_IS_A_CODE and len(node.args) > 1:
            self._add(node.args[1])
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "code" for target in node.targets):
            self._add(node.value)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        is_pair = node.returns is not None and ast.unparse(node.returns) == "tuple[str, str]"
        for inner in ast.walk(node):
            if is_pair and isinstance(inner, ast.Return) and isinstance(inner.value, ast.Tuple):
                self._add(inner.value.elts[0])
        self.generic_visit(node)

    def _add(self, value: ast.expr) -> None:
        match value:
            case ast.Constant(value=str(code)) if code:
                self.found.add(code)
            case ast.Name(id=name) if name in self._constants:
                self.found.add(self._constants[name])
            case ast.BoolOp(values=values):
                for each in values:
                    self._add(each)
            case _:
                pass


def codes_in_source() -> set[str]:
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in SERVICE.rglob("*.py")]
    constants = {
        target.id: statement.value.value
        for tree in trees
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    codes = Codes(constants)
    for tree in trees:
        codes.visit(tree)
    return codes.found - BASES


def codes_on_the_page() -> set[str]:
    lines = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    return {code for cell in cells for code in re.findall(r"`([a-z0-9-]+)`", cell)}


def test_every_code_is_explained_and_none_that_is_gone() -> None:
    assert len(codes_in_source()) > 50
    assert codes_in_source() == codes_on_the_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    root = get_command(app)
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"`marea ([a-z][^`]*)`|^(?:\.venv/bin/)?marea ([a-z].*)$", text, re.M):
        words = (line[0] or line[1]).replace(",", " ").split()
        command = root.commands.get(words[0])  # type: ignore[attr-defined]
        assert command is not None, f"{page.name}: marea {' '.join(words)}"
        subcommands = getattr(command, "commands", None)
        if subcommands and len(words) > 1:
            assert words[1] in subcommands, f"{page.name}: marea {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_program_of_the_load_kit_in_the_docs_exists(page: Path) -> None:
    named = re.findall(r"python -m (loadtest[.\w]*)(?: (\w+))?", page.read_text(encoding="utf-8"))
    missing = [module for module, _ in named if find_spec(module.rstrip(".")) is None]
    verbs = {verb for module, verb in named if module == "loadtest" and verb}
    unknown = sorted(verbs - LOAD_VERBS)
    assert (missing, unknown) == ([], [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_in_the_docs_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.M):
        assert (target[0] or target[1]) in targets, f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_in_the_docs_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_builtin_pipeline_is_described() -> None:
    page = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    for pipeline in BUILTIN_PIPELINES:
        assert f"| `{pipeline['name']}` |" in page


def examples(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_pipelines_of_the_docs_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mysteps.py").write_text(examples("pipelines.md", "python")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogs = [load_catalog(text, entry_points=()) for text in examples("pipelines.md", "yaml")]
    known = {name: catalog[name] for catalog in catalogs for name in catalog}
    assert known["card"].result_keys("a/photo.jpg")[0] == "a/photo_card.webp"
    assert known["orders"].result_keys("a/data.csv") == ("a/data_orders.json",)
    png = BytesIO()
    Image.new("RGB", (4, 4), "white").save(png, "PNG")
    (made,) = known["negative"].run(Source(png.getvalue(), "white.png")).artifacts
    assert Image.open(BytesIO(made.data)).getpixel((0, 0)) == (51, 51, 51)


def test_every_step_and_parameter_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", page, re.M))
    for spec in (*IMAGE_STEPS.values(), *TABLE_STEPS.values()):
        told = set(re.findall(r"`([a-z_]+)`", rows[spec.name]))
        assert told == set(spec.parameters), spec.name


def test_the_rules_of_the_docs_load() -> None:
    shown, *_ = examples("rules.md", "yaml")
    names = sorted(set(re.findall(r"pipelines: \[(.*)\]", shown)))
    catalog = load_catalog(entry_points=())
    wanted = {name.strip() for listed in names for name in listed.split(",")}
    assert wanted <= set(catalog)
    table = load_rules(
        shown,
        catalog,
        source_buckets=("uploads",),
        results_bucket="results",
        reserved_prefix=".marea/",
    )
    assert set(table.pools) >= {"scans"}


def test_the_settings_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == to_markdown(settings_table()), "run `make docs`"


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for verb in getattr(command, "commands", None) or [""]:
            assert f"`marea {name} {verb}".rstrip() in readme


def test_every_module_that_the_architecture_names_exists() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    code_map = page.split("## Entry points")[1].split("## Invariants")[0]
    for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", code_map):
        found = [*ROOT.glob(name), *SERVICE.glob(name), *SERVICE.glob(f"*/{name}")]
        assert found, name
    for package in (path for path in SERVICE.iterdir() if (path / "__init__.py").exists()):
        assert f"`{package.name}/`" in code_map, package.name


def test_the_picture_of_the_readme_is_small() -> None:
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert (ROOT / picture).stat().st_size <= 150 * 1024
