"""Images a second of two pipelines, of contenders with two worker slots each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO

from PIL import Image

from loadtest.bench import draining
from loadtest.bench.corpus import Picture, build_corpus
from loadtest.bench.draining import Contender, Turn
from loadtest.bench.figures import Figure
from loadtest.bench.plan import Plan
from loadtest.bench.world import BenchError, World
from loadtest.image_header import shape_of

PIPELINES = {"grayscale": "grayscale", "web": "two-sizes"}
PIPELINES_FILE = """\
pipelines:
  - name: two-sizes
    steps: [orient, {sizes: [640, 1280]}, {convert: jpeg}]
"""
MEASURES = {"grayscale": "grayscale", "web": "web sizes"}
WIDTHS = (640, 1280)
HEADER_BYTES = 16_384
"""Of a result: where its size and mode stand."""
WARM_UP_IMAGES = 6


def run(world: World, plan: Plan, say: Callable[[str], None]) -> Iterable[Figure]:
    pictures = {picture.name: picture for picture in build_corpus(plan.images)}
    uploads = {name: picture.body for name, picture in pictures.items()}
    megapixels = sum(each.size[0] * each.size[1] for each in pictures.values()) / 1e6
    say(f"    {len(uploads)} images, {megapixels:.0f} megapixels")
    sources = {f"{task}/{name}": body for task in PIPELINES for name, body in uploads.items()}
    results = ("bare", "plain", "ours", "results")
    draining.prepare_buckets(world, sources, results)
    file = world.folder / "pipelines.yaml"
    file.write_text(PIPELINES_FILE, encoding="utf-8")
    seen: dict[str, dict[str, list[Turn]]] = {task: defaultdict(list) for task in PIPELINES}
    with ExitStack() as stack:
        contenders: list[Contender] = [
            stack.enter_context(draining.bare_loop(world, "bare")),
            stack.enter_context(draining.plain_celery(world, "plain", 2)),
            stack.enter_context(
                draining.plain_celery(world, "ours", 3, pipelines=PIPELINES, pipelines_file=file)
            ),
            stack.enter_context(draining.marea(world, "results", PIPELINES, pipelines_file=file)),
        ]
        stack.enter_context(draining.turns(contenders))
        few = dict(list(uploads.items())[:WARM_UP_IMAGES])
        # A quick run is none to take figures from.
        for contender in contenders if plan.repeats > 1 else ():
            for task in PIPELINES:
                check = _check(world, contender, task, pictures, whole=True)
                draining.take_turn(world, contender, task, few, check)
        for repeat in range(plan.repeats):
            for task, measure in MEASURES.items():
                told = []
                for contender in contenders:
                    check = _check(world, contender, task, pictures, whole=repeat == 0)
                    turn = draining.take_turn(world, contender, task, uploads, check)
                    seen[task][contender.name].append(turn)
                    told.append(f"{contender.name} {turn.per_s:.1f}")
                say(f"    {repeat + 1}/{plan.repeats} {measure}, images/s: {', '.join(told)}")
    return _figures(seen)


def _figures(seen: Mapping[str, Mapping[str, Sequence[Turn]]]) -> Iterable[Figure]:
    for task, measure in MEASURES.items():
        yield from draining.figures("images", measure, "images", seen[task])


def _check(
    world: World,
    contender: Contender,
    task: str,
    pictures: Mapping[str, Picture],
    *,
    whole: bool,
) -> draining.Check:
    """Mode and size of each result; with `whole`, that all of it can be decoded too."""
    keeps_alpha = contender.name in ("marea", "plain Celery, our body")

    def check(name: str, keys: Sequence[str], bucket: str) -> None:
        expected = _shapes(task, pictures[name], keeps_alpha=keeps_alpha)
        for key, shape in zip(keys, expected, strict=True):
            some = {} if whole else {"Range": f"bytes=0-{HEADER_BYTES - 1}"}
            body = world.s3.get_object(Bucket=bucket, Key=key, **some)["Body"].read()
            if shape_of(body) != shape:
                found = shape_of(body) or "no image"
                raise BenchError(f"{contender.name} made {found} of {name}, not {shape}: {key}")
            if whole:
                try:
                    Image.open(BytesIO(body)).load()
                except (OSError, SyntaxError) as exc:
                    raise BenchError(f"{contender.name}'s {key} cannot be decoded: {exc}") from exc

    return check


def _shapes(task: str, picture: Picture, *, keeps_alpha: bool) -> list[str]:
    """In the order of the result keys: for `web` narrow before wide."""
    width, height = picture.size
    if task == "grayscale":
        mode = "LA" if picture.has_alpha and keeps_alpha else "L"
        return [f"image:{width}x{height}:{mode}"]
    return [f"image:{wide}x{round(height * wide / width)}:RGB" for wide in WIDTHS]
