"""Runs inside the image, by its Python: do the trimmed libraries do what Marea asks of them?

Every built-in pipeline over files of every format that it takes, pandas and pyarrow over CSV,
Parquet and JSON lines, and S3 as Marea's own client and boto3 speak it. Prints one JSON object:
what was done, by name. Whatever a trimmed library lacks raises, and the status is not 0.

The store is where the MAREA_STORE variables say; `--without-tables` for an image without them.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, features

from marea.clock import SystemClock
from marea.pipelines.catalog import load_catalog
from marea.pipelines.pipeline import Source
from marea.settings import load_settings
from marea.storage.object_store import IF_ABSENT
from marea.storage.s3 import S3ObjectStore
from marea.storage.s3_client import new_client

CSV = b"name,size,when\nalpha,1,2026-01-01\nbeta,2,2026-01-02\n\xc3\xa9t\xc3\xa9,3,2026-01-03\n"
FORMATS = ("jpeg", "png", "webp", "avif", "gif", "tiff", "bmp")
BUCKET, RESULTS = "image-check", "image-check-results"


def pictures() -> Iterator[tuple[str, bytes]]:
    """File name and bytes: a gradient, in each format."""
    gradient = Image.linear_gradient("L").resize((640, 480))
    photo = Image.merge("RGB", (gradient, gradient.rotate(180), gradient.rotate(90)))
    for form in FORMATS:
        file = io.BytesIO()
        photo.save(file, form)
        yield f"photo.{form}", file.getvalue()


def run_pipelines(has_tables: bool) -> list[str]:
    """`pipeline photo.jpeg`, for each run of which every artifact was read back."""
    ran = []
    files = dict(pictures())
    for name, pipeline in load_catalog(None).items():
        is_table = name == "summary"
        if is_table and not has_tables:
            continue
        sources = {"data.csv": CSV} if is_table else files
        for key, data in sources.items():
            produced = pipeline.run(Source(data=data, key=f"a/{key}"))
            assert produced.artifacts, (name, key)
            for artifact in produced.artifacts:
                if artifact.content_type.startswith("image/") and name != "copy":
                    with Image.open(io.BytesIO(artifact.data)) as image:
                        image.load()
                        assert image.size == (artifact.width_px, artifact.height_px)
                elif is_table:
                    assert json.loads(artifact.data)["rows"] == 3
                else:
                    assert artifact.data == data
            ran.append(f"{name} {key}")
    return ran


def read_tables() -> list[str]:
    """What pandas and pyarrow do with files, each written and read back."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.dataset
    import pyarrow.fs
    import pyarrow.parquet

    frame = pd.read_csv(io.BytesIO(CSV), engine="pyarrow")
    assert frame["size"].sum() == 6
    table = pa.Table.from_pandas(frame)
    assert table.group_by("name").aggregate([("size", "sum")]).num_rows == 3
    assert pa.compute.mean(table["size"]).as_py() == 2
    round_trips: dict[str, Callable[[io.BytesIO], Any]] = {}

    def trip(name: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
        file = io.BytesIO()
        write(file)
        file.seek(0)
        assert read(file)["name"].tolist() == ["alpha", "beta", "été"], name
        round_trips[name] = read

    for codec in ("snappy", "zstd", "gzip", "brotli", "lz4"):
        trip(
            f"parquet {codec}",
            lambda file, codec=codec: frame.to_parquet(file, compression=codec),
            pd.read_parquet,
        )
    trip("csv", lambda file: frame.to_csv(file, index=False), pd.read_csv)
    trip(
        "json lines",
        lambda file: frame.to_json(file, orient="records", lines=True),
        lambda file: pd.read_json(file, lines=True),
    )
    trip("feather", frame.to_feather, pd.read_feather)
    disk, path = pyarrow.fs.LocalFileSystem(), f"{tempfile.mkdtemp()}/table.parquet"
    pyarrow.parquet.write_table(table, path, filesystem=disk)
    dataset = pyarrow.dataset.dataset(path, filesystem=disk)
    assert dataset.count_rows(filter=pyarrow.dataset.field("size") > 1) == 2
    described = frame.describe(include="all")
    assert described.loc["mean", "size"] == 2
    frame["size"].astype("float64").rolling(2).mean().corr(frame["size"])  # numpy's linear algebra
    return [*round_trips, "parquet dataset", "describe"]


def speak_s3() -> list[str]:
    """Each kind of request of Marea's store and of boto3's transfers, to a real server."""
    settings = load_settings().store
    client: Any = new_client(settings, settings.endpoint_url)
    for bucket in (BUCKET, RESULTS):
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = S3ObjectStore(settings, SystemClock())
    assert store.probe((BUCKET,), RESULTS).conditional_put
    store.put(RESULTS, "once", b"1", content_type="text/plain", condition=IF_ABSENT)
    large = bytes(12 * 2**20)
    client.upload_fileobj(io.BytesIO(large), BUCKET, "large")  # in parts, from threads
    got = io.BytesIO()
    client.download_fileobj(BUCKET, "large", got)
    assert got.getvalue() == large
    rows = [row for page in _pages(client) for row in page.get("Versions", ())]
    assert [row["Key"] for row in rows] == ["large"]
    assert store.presigned_post(BUCKET, "new", expires_s=60, min_bytes=1, max_bytes=10).url
    client.get_bucket_notification_configuration(Bucket=BUCKET)
    for bucket in (BUCKET, RESULTS):
        for page in _pages(client, bucket):
            for row in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                client.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
        client.delete_bucket(Bucket=bucket)
    return ["probe", "conditional put", "parts", "versions", "presigned post", "notifications"]


def _pages(client: Any, bucket: str = BUCKET) -> Any:
    return client.get_paginator("list_object_versions").paginate(Bucket=bucket)


def know_aws() -> list[str]:
    """What a role's key needs without any server: STS, and the regions' addresses."""
    import boto3
    from botocore.exceptions import UnknownServiceError

    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b")
    addresses = [
        session.client(service, region_name=region).meta.endpoint_url
        for service in ("s3", "sts")
        for region in ("eu-central-1", "cn-north-1", "us-gov-west-1")
    ]
    sts = session.client("sts", region_name="eu-central-1")
    assert sts.meta.service_model.operation_model("AssumeRoleWithWebIdentity").name
    try:
        session.client("ec2", region_name="eu-central-1")
    except UnknownServiceError:
        return addresses
    raise AssertionError("botocore describes EC2: the image is not trimmed")


if __name__ == "__main__":
    has_tables = "--without-tables" not in sys.argv
    print(
        json.dumps(
            {
                "codecs": [
                    name for name in ("avif", "webp", "jpg", "zlib") if features.check(name)
                ],
                "pipelines": run_pipelines(has_tables),
                "tables": read_tables() if has_tables else [],
                "s3": speak_s3(),
                "aws": know_aws(),
            }
        )
    )
