"""What is read from image files: turned, brought to 8-bit sRGB, at a fraction where enough."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source

CATALOG = load_catalog(entry_points=())
EXTENSIONS = ["jpg", "png", "webp", "gif", "avif", "tif", "bmp"]
FORMATS = dict(zip(EXTENSIONS, ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP"], strict=True))
INPUT_MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"]
ORIENTATION = 0x0112


def with_orientation(image: Image.Image, number: int) -> tuple[Image.Image, Image.Exif]:
    """The picture stored so that `number` turns it back to `image`."""
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return (image.transpose(stored[number]) if number in stored else image), exif


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize(("form", "key"), [("JPEG", "a.jpg"), ("PNG", "a.png"), ("WEBP", "a.webp")])
def test_every_orientation_comes_out_upright_and_untagged(
    make_photo, save_image, run_steps, open_artifact, form: str, key: str, number: int, distance
) -> None:
    photo = make_photo(640, 320)
    stored, exif = with_orientation(photo, number)
    data = save_image(stored, form, exif=exif.tobytes(), quality=95)
    for steps in ([], [{"resize": {"width": 160}}], [{"sizes": [160]}]):
        keys = {"result": "{dir}{stem}_{width}{ext}"} if "sizes" in str(steps) else {}
        produced = run_steps(data, steps, key=key, **keys)
        image = open_artifact(produced)
        assert distance(image, photo.resize(image.size)) < 8
        assert image.size == ((160, 80) if steps else (640, 320))
        assert ORIENTATION not in image.getexif()
        assert produced.details["source_width_px"] == 640


@pytest.mark.parametrize("name", [name for name in CATALOG if name not in ("summary", "copy")])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_the_same_bytes_twice_give_the_same_bytes(
    make_photo, save_image, name: str, form: str
) -> None:
    source = Source(save_image(make_photo(700, 500), form), "a/photo.jpg")
    again = load_catalog(entry_points=())[name].run(source)
    produced = CATALOG[name].run(source)
    assert produced.artifacts == again.artifacts
    assert produced.details == again.details
    assert tuple(made.key for made in produced.artifacts) == CATALOG[name].result_keys(source.key)
    json.dumps(produced.details)
    assert all(seconds >= 0 for seconds in produced.timings_s.values())


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("mode", INPUT_MODES)
def test_every_mode_can_become_every_format(
    make_photo, save_image, run_steps, open_artifact, mode: str, extension: str, distance
) -> None:
    carrier = {"CMYK": "TIFF", "YCbCr": "JPEG", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    data = save_image(make_photo(mode=mode), carrier)
    for steps in (["grayscale"], [{"resize": {"width": 48}}, {"watermark": "Marea"}]):
        image = open_artifact(run_steps(data, steps, key=f"a/photo.{extension}"))
        assert image.format == FORMATS[extension]
        if "grayscale" in steps:
            red, green, blue = image.convert("RGBA").split()[:3]
            assert distance(red, green) < 3
            assert distance(red, blue) < 3


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_pictures_are_scaled_to_8_bits_not_clipped(
    make_photo, save_image, run_steps, open_artifact, mode: str, distance
) -> None:
    deep = make_photo(mode="I;16")
    if mode != "I;16":
        deep = deep.convert("I").convert(mode)
    image = open_artifact(run_steps(save_image(deep, "TIFF"), [], key="a/photo.png"))
    assert distance(image, make_photo(mode="L")) <= 1


def test_transparency_is_laid_on_white_for_jpeg(run_steps, save_image, open_artifact) -> None:
    data = save_image(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")
    image = open_artifact(run_steps(data, [{"convert": "jpeg"}]))
    assert image.mode == "RGB"
    assert image.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(
    "steps",
    [
        [{"sizes": [400, 200]}],
        ["grayscale", {"resize": {"width": 90, "height": 90, "mode": "fill"}}],
        [{"resize": {"width": 90}}, {"watermark": "Marea"}],
        [{"resize": {"width": 90, "height": 90, "mode": "pad", "background": "#102030"}}],
        [{"crop": {"width": 90, "height": 90}}],
    ],
    ids=["sizes", "fill", "watermark", "pad", "crop"],
)
def test_a_jpeg_of_a_picture_with_alpha_looks_like_the_png_on_white(
    make_photo, save_image, run_steps, open_artifact, steps: list[object], mode: str, distance
) -> None:
    data = save_image(make_photo(500, 400, mode), "PNG")
    keys = {"result": "{dir}{stem}_{width}{ext}"} if "sizes" in str(steps) else {}
    jpeg = {"convert": {"format": "jpeg", "quality": 100}}
    flat, kept = (run_steps(data, [*steps, *end], key="a.png", **keys) for end in ([jpeg], []))
    for number in range(len(flat.artifacts)):
        found = open_artifact(flat, number)
        layers = open_artifact(kept, number).convert("RGBA")
        ground = Image.new("RGBA", layers.size, "white")
        ground.alpha_composite(layers)
        wanted = io.BytesIO(save_image(ground.convert(found.mode), "JPEG", quality=100))
        assert distance(found, Image.open(wanted)) < 1


def test_a_palette_with_a_transparent_entry_keeps_it(run_steps, save_image, open_artifact) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    data = save_image(image, "PNG", transparency=1)
    out = open_artifact(run_steps(data, [], key="a.png"))
    assert out.convert("RGBA").getpixel((0, 0))[3] == 0


@pytest.mark.parametrize(
    ("key", "written"), [("a.jpg", "JPEG"), ("a.PNG", "PNG"), ("a", "PNG"), ("a.xyz", "PNG")]
)
def test_the_format_is_what_the_key_says_else_what_the_file_is(
    make_photo, save_image, open_artifact, key: str, written: str
) -> None:
    produced = CATALOG["grayscale"].run(Source(save_image(make_photo(), "PNG"), key))
    assert open_artifact(produced).format == written
    assert produced.details["source_format"] == "PNG"
    assert produced.artifacts[0].content_type == f"image/{written.lower()}"


def test_grayscale_is_the_luma_of_the_photo(
    make_photo, save_image, open_artifact, distance
) -> None:
    photo = make_photo(800, 600)
    produced = CATALOG["grayscale"].run(Source(save_image(photo, "JPEG", quality=95), "p.jpg"))
    assert produced.artifacts[0].key == "p_processed.jpg"
    image = open_artifact(produced)
    assert image.mode == "L"
    assert distance(image, photo.convert("L")) < 2


@pytest.mark.parametrize("number", [1, 6])
@pytest.mark.parametrize(
    "steps",
    [
        [{"resize": {"width": 100}}],
        ["grayscale", {"resize": {"width": 100, "height": 90, "mode": "fill"}}],
        [{"resize": {"width": 100, "height": 100, "mode": "pad"}}],
        ["blurhash", {"sizes": [40, 100]}],
    ],
    ids=["fit", "fill", "pad", "sizes"],
)
def test_a_jpeg_decoded_at_a_fraction_gives_the_same_as_whole(
    make_photo, save_image, run_steps, open_artifact, steps: list[object], number: int, distance
) -> None:
    stored, exif = with_orientation(make_photo(1203, 805), number)
    jpeg = save_image(stored, "JPEG", quality=95, exif=exif.tobytes())
    # The same pixels as PNG have no decoding at a fraction.
    with Image.open(io.BytesIO(jpeg)) as whole:
        png = save_image(whole, "PNG", exif=exif.tobytes())
    keys = {"result": "{dir}{stem}_{width}{ext}"} if "sizes" in str(steps) else {}
    drafted, full = (run_steps(data, steps, key="a.png", **keys) for data in (jpeg, png))
    for position, made in enumerate(drafted.artifacts):
        assert made.width_px == full.artifacts[position].width_px
        assert distance(open_artifact(drafted, position), open_artifact(full, position)) < 3


def test_a_thumbnail_of_a_jpeg_does_not_decode_all_of_it(
    make_photo, save_image, run_steps, monkeypatch
) -> None:
    decoded: list[tuple[int, int]] = []
    load = JpegImageFile.load

    def noted_load(image: JpegImageFile) -> object:
        decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImageFile, "load", noted_load)
    shrink = {"resize": {"width": 100}}
    data = save_image(make_photo(1600, 1200), "JPEG")
    run_steps(data, [shrink])
    assert decoded[0] == (200, 150)
    # A crop needs the whole picture.
    decoded.clear()
    run_steps(data, [{"crop": {"width": 400, "height": 400}}, shrink])
    assert decoded[0] == (1600, 1200)
    # Lying on its side, the box is turned with it.
    decoded.clear()
    stored, exif = with_orientation(make_photo(1600, 200), 6)
    run_steps(save_image(stored, "JPEG", exif=exif.tobytes()), [shrink])
    assert decoded[0] == (25, 200)


def test_a_second_resize_starts_from_what_the_first_one_left(
    make_photo, save_image, run_steps, open_artifact
) -> None:
    data = save_image(make_photo(1600, 1200), "JPEG")
    steps = [{"resize": {"width": 100}}, {"resize": {"width": 300}}]
    assert open_artifact(run_steps(data, steps)).size == (100, 75)
    keys = {"result": "{dir}{stem}_{width}{ext}"}
    twice = run_steps(data, [{"resize": {"width": 100}}, {"sizes": [300]}], **keys)
    assert open_artifact(twice).size == (100, 75)


@pytest.mark.parametrize(("mode", "opaque_mode"), [("RGBA", "RGB"), ("LA", "L")])
def test_an_alpha_channel_is_kept_unless_all_of_it_is_opaque(
    make_photo, save_image, run_steps, open_artifact, mode: str, opaque_mode: str, distance
) -> None:
    photo = make_photo(mode=mode)
    kept = open_artifact(run_steps(save_image(photo, "PNG"), [], key="a.png"))
    assert kept.tobytes() == photo.tobytes()
    photo.putalpha(255)
    opaque = open_artifact(run_steps(save_image(photo, "PNG"), [], key="a.png"))
    assert opaque.mode == opaque_mode
    assert distance(opaque, photo.convert(opaque_mode)) == 0
    # One pixel that is not is enough.
    photo.putpixel((0, 0), (0,) * len(mode))
    assert open_artifact(run_steps(save_image(photo, "PNG"), [], key="a.png")).mode == mode


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_each_frame_of_an_animation_keeps_its_own_pixels(
    save_image, run_steps, open_artifact, form: str, mode: str
) -> None:
    shades = [40, 120, 200, 80]
    frames = [Image.new(mode, (24, 16), (0, 0, 90) + (255,) * (len(mode) - 3)) for _ in shades]
    for number, (frame, shade) in enumerate(zip(frames, shades, strict=True)):
        colour = (shade, 10, 10, 128)[: len(mode)] if form != "GIF" else (shade, 10, 10)
        frame.paste(colour, (6 * number, 0, 6 * number + 6, 16))
    options = {"lossless": True} if form == "WEBP" else {}
    data = save_image(
        frames[0], form, save_all=True, append_images=frames[1:], duration=50, **options
    )
    moving = open_artifact(run_steps(data, [], key="a.png", animation="all"))
    assert moving.n_frames == len(shades)
    for number, frame in enumerate(frames):
        moving.seek(number)
        found = moving.convert("RGBA").getpixel((6 * number + 3, 8))
        wanted = frame.convert("RGBA").getpixel((6 * number + 3, 8))
        assert all(abs(one - other) < 12 for one, other in zip(found, wanted, strict=True))
