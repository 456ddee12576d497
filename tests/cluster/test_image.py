"""The image by itself: what is in it, how large it is, and how it behaves where nothing is
allowed. The chart comes in other files."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from cluster_lab import Lab
from image_archive import ImageArchive, read_image
from image_pods import IMAGE, Pods
from waiting import wait_until

import marea

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BASE, SLIM = "lab/python:3.13", "marea/marea:slim"
MB = 1_000_000
MIB = 2**20
KEY, SECRET = "administrator", "of-the-tests"
IDLE_LIMIT_BYTES = 300 * MIB
"""What an idle platform may take: gateway, reconciler and Valkey, no worker."""

ORPHAN = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.2)  # until its parent is gone, and process 1 has got it
    os._exit(0)
os.wait()
time.sleep(0.5)
"""
STATES = """
import pathlib
for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
    process, _, rest = stat.read_text().partition(' (')
    name, _, rest = rest.rpartition(') ')
    print(process, name, rest[0])
"""


@pytest.fixture(scope="module")
def base(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> ImageArchive:
    return read_image(BASE, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def image(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> ImageArchive:
    return read_image(IMAGE, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def slim(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> ImageArchive:
    lab.build(SLIM, EXTRAS="")
    lab.load(SLIM)
    return read_image(SLIM, tmp_path_factory.mktemp("slim"))


@pytest.fixture(scope="module")
def pods(lab: Lab) -> Iterator[Pods]:
    pods = Pods(lab, "image-alone")
    pods.open()
    yield pods
    pods.close()


@pytest.fixture(scope="module")
def settings(pods: Pods) -> Mapping[str, str]:
    """MAREA variables of servers of this module's own: a Valkey, and a MinIO with two buckets."""
    # Without a password it would answer its own host only.
    valkey_arguments = ("valkey-server", "--dir", "/data", "--protected-mode", "no")
    pods.start("valkey", *valkey_arguments, image="lab/valkey:8")
    pods.start(
        *("minio", "server", "--quiet", "/data"),
        image="lab/minio:1",
        variables={"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET},
    )
    valkey, store = pods.address("valkey"), f"http://{pods.address('minio')}:9000"
    client = boto3.client(
        *("s3", "us-east-1"),
        endpoint_url=store,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    for bucket in ("uploads", "results"):
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return {
        "MAREA_BROKER__URL": f"redis://{valkey}:6379/0",
        "MAREA_LEDGER__URL": f"redis://{valkey}:6379/1",
        "MAREA_STORE__ENDPOINT_URL": store,
        "MAREA_STORE__ACCESS_KEY": KEY,
        "MAREA_STORE__SECRET_KEY": SECRET,
        "MAREA_STORE__SOURCE_BUCKETS": '["uploads"]',
        "MAREA_STORE__RESULTS_BUCKET": "results",
        "MAREA_GATEWAY__HOST": "0.0.0.0",
    }


@pytest.fixture(scope="module")
def gateway(pods: Pods, settings: Mapping[str, str]) -> str:
    pods.start("gateway", "gateway", variables=settings)
    pods.wait_for_log("gateway", "Application startup complete")
    return "gateway"


@pytest.fixture(scope="module")
def reconciler(pods: Pods, settings: Mapping[str, str]) -> str:
    pods.start("reconciler", "reconciler", variables=settings)
    pods.wait_for_log("reconciler", '"epoch"')
    return "reconciler"


# What is in it


def test_runs_as_an_ordinary_user_with_tini_first_and_no_shell(image: ImageArchive) -> None:
    config = image.config["config"]
    user, group = config["User"].split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert config["Entrypoint"] == ["tini", "--", "marea"]


def test_says_what_it_is_and_of_which_commit(image: ImageArchive) -> None:
    labels = image.config["config"]["Labels"]
    told = {key.removeprefix("org.opencontainers.image."): text for key, text in labels.items()}
    assert told["title"] == "Marea"
    assert told["version"] == marea.__version__
    assert told["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}", told["revision"])
    assert "source" in told


def test_holds_nothing_that_installs_compiles_or_raises_rights(image: ImageArchive) -> None:
    programs = {Path(path).name for path in image.files if "/bin/" in path or "/sbin/" in path}
    assert "marea" in programs
    tools = re.compile(r"(pip|uv|gcc|g\+\+|cc|c\+\+|clang|ld|make)[\d.]*$")
    assert [name for name in programs if tools.match(name)] == []
    packages = re.compile(r"/(pip|setuptools|wheel|moto|locust|pytest|ensurepip)(-[\d.]+\S*)?$")
    assert [path for path in image.files if packages.search(path)] == []
    raised = [path for path, file in image.files.items() if file.isfile() and file.mode & 0o6000]
    assert raised == []


def test_nothing_of_it_belongs_to_its_user(image: ImageArchive) -> None:
    user = int(image.config["config"]["User"].split(":")[0])
    own = [path for path, file in image.files.items() if file.uid == user]
    open_to_all = [
        path
        for path, file in image.files.items()
        if path.startswith("/opt/marea/") and file.mode & 0o022 and not file.issym()
    ]
    assert (own, open_to_all) == ([], [])


def test_every_module_is_compiled(image: ImageArchive) -> None:
    """Where nothing can be written, one that is not would be compiled at each start."""
    files = image.files
    sources = [path for path in files if path.startswith("/opt/marea/") and path.endswith(".py")]
    assert len(sources) > 1000
    missing = [
        path
        for path in sources
        if "{}/__pycache__/{}.cpython-313.pyc".format(*path[:-3].rsplit("/", 1)) not in files
    ]
    assert missing == []


def test_is_small(image: ImageArchive, slim: ImageArchive, base: ImageArchive) -> None:
    with_tables, without = image.bytes_beyond(base) / MB, slim.bytes_beyond(base) / MB
    print(f"    beyond the base: {with_tables:.0f} MB, without tables {without:.0f} MB")
    assert with_tables <= 450
    assert without <= 220


def test_the_list_of_components_is_what_the_lock_says(lab: Lab, tmp_path: Path) -> None:
    options = ("--target", "sbom", "--output", f"type=local,dest={tmp_path}")
    lab.build("marea/marea:sbom", *options)
    listing = json.loads((tmp_path / "marea.cdx.json").read_text())
    assert listing["bomFormat"] == "CycloneDX"
    assert listing["metadata"]["component"]["version"] == marea.__version__
    listed = {
        (re.sub(r"[-_.]+", "-", part["name"].lower()), part["version"])
        for part in listing["components"]
    }
    assert {"celery", "redis", "pillow", "boto3", "pandas"} <= {name for name, _ in listed}
    lock = (ROOT / "requirements.lock").read_text()
    assert listed <= set(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))


def test_the_dockerfile_has_no_findings(lab: Lab) -> None:
    done = subprocess.run(
        [lab.tool("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


# What it does


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("version", ("--version",), marea.__version__),
        ("settings", ("settings",), "MAREA_BROKER__URL"),
        ("pipelines", ("pipelines", "list"), "photo_processed.jpg"),
        ("help", (), "Usage: marea"),
    ],
)
def test_answers_without_settings_servers_or_a_writable_root(
    pods: Pods, name: str, arguments: tuple[str, ...], answer: str
) -> None:
    pods.start(name, *arguments)
    status, log = pods.finish(name)
    assert status == 0, log
    assert answer in log


def test_the_trimmed_libraries_do_all_that_marea_asks_of_them(
    pods: Pods, settings: Mapping[str, str]
) -> None:
    script = (HERE / "inside_image.py").read_text()
    pods.start(
        "libraries",
        command=("python", "/files/inside.py"),
        files={"inside.py": script},
        variables=settings,
    )
    status, log = pods.finish("libraries", timeout_s=120)
    assert status == 0, log
    done = json.loads(log)
    assert done["codecs"] == ["avif", "webp", "jpg", "zlib"]
    assert {run.split()[0] for run in done["pipelines"]} >= {"grayscale", "avif", "web", "summary"}
    assert {"parquet zstd", "csv", "json lines"} <= set(done["tables"])
    assert {"conditional put", "parts", "versions"} <= set(done["s3"])
    assert "https://sts.eu-central-1.amazonaws.com" in done["aws"]


def test_a_worker_starts_and_orphans_are_reaped(pods: Pods, settings: Mapping[str, str]) -> None:
    pods.start("worker", "worker", "--pool", "images", variables=settings)
    pods.wait_for_log("worker", " ready.")
    pods.python("worker", ORPHAN)
    states = pods.python("worker", STATES)
    assert "\n1 tini S\n" in f"\n{states}"
    assert " Z" not in states
    pods.python("worker", "import os, signal; os.kill(1, signal.SIGTERM)")
    status, log = pods.finish("worker")
    assert status == 0, log
    assert "worker stopped" in log


def test_a_worker_says_which_library_its_image_was_built_without(
    pods: Pods, slim: ImageArchive, settings: Mapping[str, str]
) -> None:
    pods.start("no-tables", "worker", "--pool", "tables", image=SLIM, variables=settings)
    status, log = pods.finish("no-tables")
    assert status == 2, log
    assert "cannot run summary without pandas" in log


def test_an_idle_platform_takes_little_memory(pods: Pods, gateway: str, reconciler: str) -> None:
    names = (gateway, reconciler, "valkey")

    def weigh() -> dict[str, int]:
        # Readiness is what a cluster asks of an idle gateway, and it reaches every server.
        pods.python(
            gateway, "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz')"
        )
        return {name: pods.working_set_bytes(name) for name in names}

    # The kubelet measures every ten seconds or so.
    wait_until(lambda: all(weigh().values()), "the kubelet has measured", timeout_s=60, poll_s=2)
    weighed = weigh()
    print(
        "    idle: " + ", ".join(f"{name} {size / MIB:.0f} MiB" for name, size in weighed.items())
    )
    assert sum(weighed.values()) < IDLE_LIMIT_BYTES


def test_the_gateway_ends_in_order_when_it_is_told_to(pods: Pods, gateway: str) -> None:
    began = time.monotonic()
    pods.python(gateway, "import os, signal; os.kill(1, signal.SIGTERM)")
    status, log = pods.finish(gateway)
    assert status == 0, log
    assert "Application shutdown complete" in log
    assert time.monotonic() - began < 10
