"""What each step does to real pictures."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageFilter, ImageStat

from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source

CATALOG = load_catalog(entry_points=())


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({"width": 48}, (48, 32)),
        ({"height": 16}, (24, 16)),
        ({"width": 48, "height": 48}, (48, 32)),
        ({"width": 48, "height": 48, "mode": "limit"}, (48, 32)),
        ({"width": 48, "height": 48, "mode": "fill"}, (48, 48)),
        ({"width": 48, "height": 48, "mode": "pad"}, (48, 48)),
        ({"width": 960, "height": 960}, (96, 64)),
        ({"width": 960, "height": 960, "upscale": True}, (960, 640)),
        ({"width": 960, "height": 960, "mode": "fill"}, (64, 64)),
        ({"width": 960, "height": 960, "mode": "fill", "upscale": True}, (960, 960)),
        ({"width": 960, "height": 960, "mode": "pad"}, (960, 960)),
        ({"width": 1, "height": 1}, (1, 1)),
    ],
)
def test_resize_gives_the_size_its_mode_promises(
    make_photo, save_image, run_steps, open_artifact, parameters, size: tuple[int, int]
) -> None:
    data = save_image(make_photo(96, 64), "PNG")
    produced = run_steps(data, [{"resize": parameters}], key="a.png")
    made = produced.artifacts[0]
    assert (made.width_px, made.height_px) == size
    assert open_artifact(produced).size == size


def test_fill_keeps_the_side_that_gravity_names(
    make_photo, save_image, run_steps, open_artifact
) -> None:
    data = save_image(make_photo(96, 64), "PNG")
    for gravity, corner in (("west", (200, 40, 40)), ("east", (40, 180, 60))):
        step = {"resize": {"width": 32, "height": 64, "mode": "fill", "gravity": gravity}}
        image = open_artifact(run_steps(data, [step], key="a.png"))
        assert image.getpixel((4, 4)) == corner


def test_pad_puts_the_picture_on_its_background(
    make_photo, save_image, run_steps, open_artifact
) -> None:
    step = {"resize": {"width": 96, "height": 96, "mode": "pad", "background": "#102030"}}
    for mode in ("RGB", "L", "RGBA"):
        data = save_image(make_photo(96, 64, mode), "PNG")
        image = open_artifact(run_steps(data, [step], key="a.png")).convert("RGB")
        assert image.getpixel((0, 0)) == (16, 32, 48)
        assert image.getpixel((95, 95)) == (16, 32, 48)


def test_colours_under_transparent_pixels_do_not_bleed(
    run_steps, save_image, open_artifact
) -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 30, 64))
    data = save_image(image, "PNG")
    out = open_artifact(run_steps(data, [{"resize": {"width": 10}}], key="a.png"))
    visible = [pixel for pixel in out.get_flattened_data() if pixel[3] > 16]
    assert visible
    assert all(red < 10 for red, _, _, _ in visible)


def test_crop_cuts_at_the_box_or_by_gravity(
    make_photo, save_image, run_steps, open_artifact
) -> None:
    data = save_image(make_photo(96, 64), "PNG")

    def cropped(**box: object) -> Image.Image:
        return open_artifact(run_steps(data, [{"crop": box}], key="a.png"))

    assert cropped(width=10, height=8, x=60, y=40).getpixel((0, 0)) == (230, 220, 90)
    assert cropped(width=10, height=8, gravity="northeast").getpixel((9, 0)) == (40, 180, 60)
    assert cropped(width=50, height=50, x=80, y=60).size == (16, 4)
    assert cropped(width=500, height=500).size == (96, 64)
    with pytest.raises(PermanentError) as caught:
        cropped(width=10, height=8, x=96, y=0)
    assert caught.value.code == "crop-outside"


def test_sizes_are_all_made_and_none_is_enlarged(make_photo, save_image) -> None:
    produced = CATALOG["web"].run(
        Source(save_image(make_photo(960, 640), "JPEG"), "a/my photo.jpg")
    )
    assert [(made.role, made.width_px, made.height_px) for made in produced.artifacts] == [
        ("320", 320, 213),
        ("640", 640, 427),
        ("1280", 960, 640),
    ]
    assert {made.content_type for made in produced.artifacts} == {"image/webp"}
    assert produced.details["srcset"] == (
        "my%20photo_web_320.webp 320w, my%20photo_web_640.webp 640w, my%20photo_web_1280.webp 960w"
    )
    assert len(produced.details["blurhash"]) == 28


def test_a_srcset_names_a_width_once(make_photo, save_image) -> None:
    produced = CATALOG["web"].run(Source(save_image(make_photo(300, 200), "JPEG"), "a/p.jpg"))
    assert len(produced.artifacts) == 3
    assert produced.details["srcset"] == "p_web_320.webp 300w"


def test_a_watermark_marks_its_corner_only(
    make_photo, save_image, run_steps, open_artifact
) -> None:
    photo = make_photo(400, 300)
    step = {"watermark": {"text": "© Ana", "size": 0.1, "opacity": 1, "position": "northwest"}}
    image = open_artifact(run_steps(save_image(photo, "PNG"), [step], key="a.png"))
    left, top, right, bottom = ImageChops.difference(image, photo).getbbox()
    assert left >= 5
    assert top >= 5
    assert right < 300
    assert bottom < 100


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (300, 9), (60, 40)])
def test_a_watermark_on_a_tiny_picture_keeps_its_size(
    save_image, run_steps, open_artifact, size: tuple[int, int]
) -> None:
    data = save_image(Image.new("RGB", size, "navy"), "PNG")
    step = {"watermark": {"text": "A long line of text for such a small picture"}}
    assert open_artifact(run_steps(data, [step], key="a.png")).size == size


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_width_made_from_a_wider_one_looks_like_one_from_the_whole_picture(
    make_photo, save_image, run_steps, open_artifact, monkeypatch, form: str
) -> None:
    scaled: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def noted_resize(image: Image.Image, size: tuple[int, int], *args: Any, **more: Any) -> Any:
        scaled.append((image.width, size[0]))
        return resize(image, size, *args, **more)

    photo = make_photo(1500, 1000)
    grain = Image.effect_noise(photo.size, 60).filter(ImageFilter.GaussianBlur(1))
    photo = Image.blend(photo, grain.convert("RGB"), 0.3)
    data = save_image(photo, form, quality=95)
    monkeypatch.setattr(Image.Image, "resize", noted_resize)
    widths = [300, 75, 1200, 640, 2000]
    keys = {"result": "{dir}{stem}_{width}{ext}"}
    produced = run_steps(data, [{"sizes": widths}], key="a.png", **keys)
    monkeypatch.undo()
    assert scaled == [(1500, 1200), (1500, 640), (640, 300), (300, 75)]
    assert [made.role for made in produced.artifacts] == [str(width) for width in widths]
    with Image.open(io.BytesIO(data)) as whole:
        whole.load()
    for number, width in enumerate(widths):
        made = open_artifact(produced, number)
        direct = whole.resize(made.size, Image.Resampling.LANCZOS)
        assert made.width == min(width, 1500)
        difference = ImageStat.Stat(ImageChops.difference(made, direct))
        assert max(difference.rms) < 1.5  # A PSNR of 44.6 dB.
