"""What is written: format, quality, metadata, colours, frames, manifest."""

from __future__ import annotations

import itertools
import json

import pytest
from PIL import Image, ImageOps

from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source

CATALOG = load_catalog(entry_points=())
FORMATS = {"gif": "GIF", "webp": "WEBP", "png": "PNG"}


def test_convert_chooses_format_and_quality(make_photo, save_image, run_steps) -> None:
    data = save_image(make_photo(400, 300), "PNG")
    for form in ("jpeg", "webp", "avif"):
        low, high = (
            run_steps(data, [{"convert": {"format": form, "quality": quality}}]).artifacts[0]
            for quality in (10, 95)
        )
        assert len(low.data) < len(high.data)
        assert low.content_type == f"image/{form}"


def test_lossless_webp_loses_nothing(
    make_photo, save_image, run_steps, open_artifact, distance
) -> None:
    photo = make_photo(64, 48)
    step = {"convert": {"format": "webp", "lossless": True}}
    assert distance(open_artifact(run_steps(save_image(photo, "PNG"), [step])), photo) == 0


def test_progressive_is_for_who_asks(make_photo, save_image, run_steps) -> None:
    data = save_image(make_photo(), "PNG")
    (plain,) = run_steps(data, [{"convert": "jpeg"}]).artifacts
    progressive_step = {"convert": {"format": "jpeg", "progressive": True}}
    (progressive,) = run_steps(data, [progressive_step]).artifacts
    assert b"\xff\xc2" in progressive.data
    assert b"\xff\xc2" not in plain.data


def test_a_result_too_wide_for_its_format_is_rejected(save_image, run_steps) -> None:
    data = save_image(Image.new("L", (16_384, 2)), "PNG")
    with pytest.raises(PermanentError, match="16,383 a side") as caught:
        run_steps(data, [{"convert": "webp"}])
    assert caught.value.code == "output-too-large"


def tagged_photo(photo: Image.Image, save_image) -> bytes:
    exif = Image.Exif()
    exif[0x8298] = "(c) 2026 Ana"
    exif[0x013B] = "Ana\x01"
    exif[0x010F] = "CameraMaker"
    exif.get_ifd(0x8825)[1] = "N"
    return save_image(photo, "JPEG", exif=exif.tobytes(), comment=b"secret comment", dpi=(300, 300))


@pytest.mark.parametrize("key", ["a.jpg", "a.png", "a.webp", "a.avif", "a.tif"])
def test_only_the_copyright_survives_by_default(
    make_photo, save_image, run_steps, open_artifact, key: str
) -> None:
    produced = run_steps(tagged_photo(make_photo(), save_image), [], key=key)
    exif = open_artifact(produced).getexif()
    assert exif.get(0x8298) == "(c) 2026 Ana"
    assert exif.get(0x013B) == "Ana"
    assert 0x010F not in exif
    assert not exif.get_ifd(0x8825)
    for secret in (b"secret", b"CameraMaker"):
        assert secret not in produced.artifacts[0].data


def test_a_user_step_neither_sees_nor_adds_metadata(
    make_photo, save_image, run_steps, open_artifact, tmp_path, monkeypatch
) -> None:
    (tmp_path / "adding.py").write_text(
        "def add(image):\n"
        "    assert image.info == {}, image.info\n"
        "    image.info['comment'] = b'secret'\n"
        "    return image\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = tagged_photo(make_photo(), save_image)
    produced = run_steps(data, [{"python": "adding:add"}])
    assert b"secret" not in produced.artifacts[0].data


def test_strip_can_take_the_copyright_too(make_photo, save_image, run_steps, open_artifact) -> None:
    data = tagged_photo(make_photo(), save_image)
    image = open_artifact(run_steps(data, [{"strip": {"keep": []}}]))
    assert not image.getexif()


def test_colours_are_brought_to_srgb_unless_the_profile_is_kept(
    save_image, run_steps, open_artifact, swapped_profile: bytes
) -> None:
    data = save_image(Image.new("RGB", (8, 8), (250, 10, 10)), "PNG", icc_profile=swapped_profile)
    converted = open_artifact(run_steps(data, [], key="a.png"))
    assert "icc_profile" not in converted.info
    red, green, blue = converted.getpixel((0, 0))
    assert blue > 200 > 60 > red
    assert green < 60
    kept = open_artifact(run_steps(data, [{"strip": ["icc"]}], key="a.png"))
    assert kept.info["icc_profile"] == swapped_profile
    assert kept.getpixel((0, 0)) == (250, 10, 10)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_broken_or_foreign_profile_is_left_out(
    make_photo, save_image, run_steps, open_artifact, swapped_profile: bytes, mode: str, distance
) -> None:
    photo = make_photo(mode=mode)
    profiles = [b"no profile", swapped_profile[:200]]
    if mode == "L":
        profiles.append(swapped_profile)
    for profile in profiles:
        data = save_image(photo, "PNG", icc_profile=profile)
        image = open_artifact(run_steps(data, [{"strip": ["icc"]}, "grayscale"], key="a.png"))
        assert "icc_profile" not in image.info
        assert distance(image, photo.convert("L" if mode != "RGBA" else "LA")) < 2


def animation(save_image, form: str) -> bytes:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    return save_image(
        frames[0], form, save_all=True, append_images=frames[1:], duration=[50, 60, 70], loop=0
    )


@pytest.mark.parametrize("extension", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken_unless_all_are_asked_for(
    save_image, run_steps, open_artifact, extension: str, distance
) -> None:
    data = animation(save_image, FORMATS[extension])
    key = f"a/anim.{extension}"
    steps = [{"resize": {"width": 20}}]
    still = open_artifact(run_steps(data, steps, key=key))
    assert getattr(still, "n_frames", 1) == 1
    assert distance(still, Image.new("RGB", (20, 15), "red")) < 8
    produced = run_steps(data, steps, key=key, animation="all")
    moving = open_artifact(produced)
    assert moving.n_frames == 3
    assert produced.details["frames"] == 3
    durations = []
    for number, colour in enumerate(("red", "lime", "blue")):
        moving.seek(number)
        moving.load()
        durations.append(moving.info["duration"])
        assert distance(moving, Image.new("RGB", (20, 15), colour)) < 8
    assert durations == [50, 60, 70]


def test_an_animation_becomes_a_still_where_the_format_has_none(
    save_image, run_steps, open_artifact, distance
) -> None:
    data = animation(save_image, "GIF")
    image = open_artifact(run_steps(data, [{"convert": "jpeg"}], animation="all"))
    assert distance(image, Image.new("RGB", (40, 30), "red")) < 8


def test_a_manifest_lists_the_outputs_and_is_the_same_every_time(
    make_photo, save_image, run_steps
) -> None:
    data = save_image(make_photo(), "PNG")
    first, second = (run_steps(data, ["blurhash"], manifest=True) for _ in range(2))
    assert first.artifacts == second.artifacts
    result, manifest = first.artifacts
    content = json.loads(manifest.data)
    assert content["outputs"][0]["key"] == result.key
    assert content["outputs"][0]["size_bytes"] == len(result.data)
    assert content["details"]["blurhash"] == first.details["blurhash"]
    assert manifest.key == "a/photo_tried.manifest.json"


def test_grayscale_of_a_mirrored_picture_is_the_mirrored_grayscale(
    make_photo, save_image, open_artifact, distance
) -> None:
    photo = make_photo(97, 65)
    plain, mirrored = (
        open_artifact(CATALOG["grayscale"].run(Source(save_image(image, "PNG"), "a.png")))
        for image in (photo, ImageOps.mirror(photo))
    )
    assert distance(ImageOps.mirror(plain), mirrored) == 0


def test_a_png_takes_few_bytes_where_little_is_drawn_and_where_a_pattern_repeats(
    save_image, run_steps
) -> None:
    tile = Image.effect_noise((48, 48), 60)
    pattern = Image.new("L", (960, 960))
    for x, y in itertools.product(range(0, 960, 48), repeat=2):
        pattern.paste(tile, (x, y))
    for image in (Image.new("RGBA", (960, 960), (10, 200, 30, 90)), pattern):
        (made,) = run_steps(save_image(image, "PNG"), [], key="a.png").artifacts
        assert len(made.data) < image.width * image.height // 10
