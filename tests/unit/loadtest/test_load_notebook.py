"""What clients did is written down once, here or where somebody has a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest.history import Expected, Operation, load_history
from loadtest.runs.data import Send
from loadtest.runs.folder import load_rows
from loadtest.users.notebook import HISTORY_FILE, SENDS_FILE, Notebook

OPERATION = Operation(
    op="put", bucket="uploads", key="a/ñ.jpg", invoked_at=5.0, outcome="ok", completed_at=6.0,
    etag="abc", oracle="good", pipelines=("grayscale",),
    expected=(Expected("a/ñ_processed.jpg", "grayscale"),),
)  # fmt: skip
SEND = Send(0, 1.0, 1.1, 1.2, "s3", "a/ñ.jpg", "tiny", 10, "ok")


def noted(notebook: Notebook) -> Notebook:
    notebook.record(OPERATION)
    notebook.sent(SEND)
    return notebook


def test_with_a_folder_each_line_is_there_at_once(tmp_path: Path) -> None:
    notebook = noted(Notebook(tmp_path / "made/anew"))
    assert load_history(tmp_path / "made/anew" / HISTORY_FILE) == [OPERATION]
    assert load_rows(tmp_path / "made/anew" / SENDS_FILE, Send) == (SEND,)
    assert notebook.hand_over() == []


@example(key="a\u2028b\x85c")
@given(key=st.text(min_size=1, max_size=20))
def test_whatever_its_key_an_upload_is_one_line(key: str) -> None:
    operation = replace(OPERATION, key=key)
    with TemporaryDirectory() as folder:
        Notebook(Path(folder)).record(operation)
        assert load_history(Path(folder) / HISTORY_FILE) == [operation]


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    noted(noted(Notebook(tmp_path)))
    noted(Notebook(tmp_path))
    assert len(load_rows(tmp_path / SENDS_FILE, Send)) == 3


def test_without_a_folder_lines_are_handed_over_once() -> None:
    notebook = noted(Notebook(None))
    lines = notebook.hand_over()
    assert [name for name, _ in lines] == [HISTORY_FILE, SENDS_FILE]
    assert json.loads(lines[1][1])["key"] == "a/ñ.jpg"
    assert notebook.hand_over() == []
    notebook.sent(SEND)
    assert len(notebook.hand_over()) == 1


def test_lines_of_another_process_become_those_of_the_folder(tmp_path: Path) -> None:
    Notebook(tmp_path).write(noted(Notebook(None)).hand_over())
    assert load_history(tmp_path / HISTORY_FILE) == [OPERATION]
    assert load_rows(tmp_path / SENDS_FILE, Send) == (SEND,)


def test_a_file_that_is_none_of_ours_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Notebook(tmp_path).write([("../elsewhere", "{}")])
    assert list(tmp_path.iterdir()) == []
    assert not (tmp_path.parent / "elsewhere").exists()


def test_lines_without_a_folder_cannot_be_written() -> None:
    with pytest.raises(RuntimeError, match="no folder"):
        Notebook(None).write([(SENDS_FILE, "{}")])


def test_a_whole_file_is_put_aside_where_there_is_a_folder(tmp_path: Path) -> None:
    Notebook(tmp_path).put_aside("load.json", "{}")
    Notebook(None).put_aside("load.json", "{}")
    assert (tmp_path / "load.json").read_text() == "{}"
