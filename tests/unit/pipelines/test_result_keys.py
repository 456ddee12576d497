from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.errors import PermanentError
from marea.pipelines.catalog import load_catalog
from marea.pipelines.result_keys import KEY_LIMIT_BYTES, split_key, template_problems

CATALOG = load_catalog(entry_points=())


@pytest.mark.parametrize(
    ("key", "result"),
    [
        ("photo.jpg", "photo_processed.jpg"),
        ("a/b/photo.JPG", "a/b/photo_processed.JPG"),
        ("a.b/photo", "a.b/photo_processed"),
        ("a/photo.tar.gz", "a/photo.tar_processed.gz"),
        ("a/.hidden", "a/.hidden_processed"),
        ("a/photo.", "a/photo._processed"),
        ("a/", "a/_processed"),
        ("münchen/straße 1.jpg", "münchen/straße 1_processed.jpg"),
        ("写真/猫.png", "写真/猫_processed.png"),
        ("minutes v1.2 final", "minutes v1.2 final_processed"),
        ("{stem}/{0}.jpg", "{stem}/{0}_processed.jpg"),
    ],
)
def test_grayscale_puts_its_result_beside_the_name(key: str, result: str) -> None:
    assert CATALOG["grayscale"].result_keys(key) == (result,)


def test_a_converting_pipeline_takes_the_target_formats_extension() -> None:
    assert CATALOG["avif"].result_keys("a/photo.jpg") == ("a/photo_avif.avif",)


def test_every_size_has_its_key_before_the_content_is_known() -> None:
    assert CATALOG["web"].result_keys("a/photo.png") == (
        "a/photo_web_320.webp",
        "a/photo_web_640.webp",
        "a/photo_web_1280.webp",
    )


def test_a_manifest_has_its_key_too() -> None:
    text = "pipelines: [{name: card, steps: [grayscale], manifest: true}]"
    catalog = load_catalog(text, entry_points=())
    assert catalog["card"].result_keys("a/p.jpg") == ("a/p_card.jpg", "a/p_card.manifest.json")


def test_a_result_key_above_the_limit_is_refused_in_bytes_not_characters() -> None:
    fits = "ü" * ((KEY_LIMIT_BYTES - len("_processed.jpg")) // 2) + ".jpg"
    (key,) = CATALOG["grayscale"].result_keys(fits)
    assert len(key.encode()) == KEY_LIMIT_BYTES
    with pytest.raises(PermanentError, match="1,024") as caught:
        CATALOG["grayscale"].result_keys("ü" + fits)
    assert caught.value.code == "key-too-long"


@given(st.text(max_size=80))
def test_the_parts_of_any_key_join_to_the_key(key: str) -> None:
    parts = split_key(key)
    assert parts.dir + parts.stem + parts.ext == key
    assert parts.dir == "" or parts.dir.endswith("/")
    assert "/" not in parts.stem + parts.ext


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_different_uploads_have_different_grayscale_results(first: str, second: str) -> None:
    pipeline = CATALOG["grayscale"]
    is_same_result = pipeline.result_keys(first) == pipeline.result_keys(second)
    assert is_same_result == (first == second)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{dir}{stem}_{size}{ext}", "unknown placeholder {size}"),
        ("{dir}{stem.__class__}", "unknown placeholder {stem.__class__}"),
        ("{dir}{stem!r}", "':' or '!'"),
        ("{dir}{stem:>20}", "':' or '!'"),
        ("{dir}{stem", "is not a template"),
        ("{dir}result{ext}", "no {stem}"),
        ("{stem}{ext}", "no {dir}"),
        ("/{dir}{stem}", "starts with '/'"),
        ("{dir}{stem}_{width}{ext}", "no `sizes` step"),
        ("{dir}{stem}\n", "control character"),
    ],
)
def test_a_bad_template_is_told_what_is_wrong(template: str, problem: str) -> None:
    assert any(problem in told for told in template_problems(template, has_roles=False))


def test_a_template_for_sizes_must_tell_them_apart() -> None:
    assert template_problems("{dir}{stem}{ext}", has_roles=True) == [
        "has no {width} or {role}: the sizes would share one result"
    ]
