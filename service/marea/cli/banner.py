"""What `marea up` says when it is ready: addresses, and lines to paste."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from marea.cli.render import plain


def banner(report: dict[str, Any]) -> str:
    """Markup for a console that does not wrap. `report` is what `marea up --json` prints."""
    head = (
        f"[bold green]Marea is up.[/] Drop a file into s3://{report['s3']['source_bucket']};"
        f" its results appear in s3://{report['s3']['results_bucket']}.\n"
        "\n"
        f"[bold]S3[/]    {report['s3']['endpoint_url']}  ({report['store']})\n"
        f"[bold]API[/]   {report['api']['url']}/docs\n"
        f"[bold]Data[/]  {plain(report['data'])}  (broker: {report['broker']})\n"
    )
    if "volatile" in report["store"]:
        head += "[yellow]Demo store: it keeps everything in memory; Ctrl-C empties it.[/]\n"
    lines = "\n".join(plain(line) for line in lines_to_paste(report).splitlines())
    return f"{head}\n{lines}\n\n[dim]Ctrl-C stops it.[/]"


def lines_to_paste(report: dict[str, Any]) -> str:
    """Shell lines that upload a photo with four clients, and a Python one for boto3."""
    s3 = report["s3"]
    endpoint, source, results = s3["endpoint_url"], s3["source_bucket"], s3["results_bucket"]
    return (
        "# in another terminal, once; the lines below need it\n"
        f"set -a; . {shlex.quote(report['environment_file'])}; set +a\n"
        f"export AWS_ACCESS_KEY_ID={s3['access_key']}\n"
        f"export AWS_SECRET_ACCESS_KEY={s3['secret_key']}\n"
        "\n"
        "# marea\n"
        f"{_command()} submit photo.jpg --wait\n"
        "\n"
        "# aws\n"
        f"aws --endpoint-url {endpoint} s3 cp photo.jpg s3://{source}/\n"
        f"aws --endpoint-url {endpoint} s3 ls s3://{results}/\n"
        "\n"
        "# mc\n"
        f"mc alias set marea {endpoint} {s3['access_key']} {s3['secret_key']}\n"
        f"mc cp photo.jpg marea/{source}/\n"
        "\n"
        "# boto3, in Python\n"
        "import boto3\n"
        f"s3 = boto3.client('s3', endpoint_url='{endpoint}')\n"
        f"s3.upload_file('photo.jpg', '{source}', 'photo.jpg')\n"
    )


def _command() -> str:
    """What to type for `marea`: an environment that is not activated is not on PATH."""
    return "marea" if shutil.which("marea") else shlex.quote(str(Path(sys.argv[0]).absolute()))
