"""The verbs that show what was declared: settings, rules, pipelines."""

from __future__ import annotations

import typer

from marea.cli.render import columns, heading, plain, prose
from marea.cli.session import JsonFlag, print_json, session_of


def settings(context: typer.Context, as_json: bool = JsonFlag) -> None:
    """Show every setting: variable, value in force, meaning."""
    from marea.cli.settings_table import effective_values, settings_table

    session = session_of(context)
    if as_json:
        print_json({"settings": session.settings.model_dump(mode="json")})
        return
    values = effective_values(session.settings)
    for row in settings_table():
        session.console.print(f"[bold]{row.variable}[/]={plain(values[row.variable])}")
        session.console.print(prose(session.console, row.description, 4), style="dim")


def route_test(
    context: typer.Context,
    keys: list[str] = typer.Argument(help="Keys to try."),
    bucket: str | None = typer.Option(
        None, help="One of the source buckets; without it, the first."
    ),
    size: int = typer.Option(1, min=0, help="Bytes."),
    content_type: str | None = typer.Option(None, help="E.g. image/png."),
    metadata: list[str] = typer.Option([], help="User metadata NAME=VALUE; may be repeated."),
    tag: list[str] = typer.Option([], help="Object tag NAME=VALUE; may be repeated."),
    as_json: bool = JsonFlag,
) -> None:
    """Show which rule an upload of each key would match, and why."""
    from marea.messages.objects import ObjectRef
    from marea.routing.route import UploadFacts

    session = session_of(context)
    target = bucket or session.settings.store.source_buckets[0]
    shown = []
    for key in keys:
        explanation = session.declarations.rules.explain(
            UploadFacts(
                ObjectRef(target, key, "version", "etag", size),
                uploaded_at=0.0,
                content_type=content_type or "",
                user_metadata={name.lower(): text for name, text in _pairs(metadata).items()},
                tags=_pairs(tag),
            )
        )
        plan = explanation.plan
        pipelines = session.declarations.pipelines
        shown.append(
            {
                "key": key,
                "outcome": plan.outcome,
                "reason": plan.reason,
                "jobs": [
                    {
                        "pipeline": job.pipeline,
                        "pool": job.pool,
                        "priority": job.priority,
                        "tenant": job.tenant,
                        "rule": job.route,
                        "results": list(pipelines[job.pipeline].result_keys(key)),
                    }
                    for job in plan.jobs
                ],
                "rules": [str(verdict) for verdict in explanation.rules],
            }
        )
    if as_json:
        print_json({"keys": shown})
        return
    for each in shown:
        session.console.print(
            f"[bold]{plain(each['key'])}[/]  {each['outcome']}: {plain(each['reason'])}"
        )
        for line in each["rules"]:
            session.console.print(prose(session.console, str(line)), style="dim")
        for job in each["jobs"]:
            assert isinstance(job, dict)
            session.console.print(
                f"  → {job['pipeline']} in pool {job['pool']} ({job['priority']}):"
                f" {plain(', '.join(job['results']))}"
            )


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def pipelines_list(context: typer.Context, as_json: bool = JsonFlag) -> None:
    """List pipelines, and what each makes of photo.jpg."""
    catalog = session_of(context).declarations.pipelines
    rows = [
        {
            "name": name,
            "pool": pipeline.pool,
            "digest": pipeline.digest,
            "example": list(pipeline.result_keys("photo.jpg")),
        }
        for name, pipeline in sorted(catalog.items())
    ]
    if as_json:
        print_json({"pipelines": rows})
        return
    table = [heading("pipeline", "pool", "photo.jpg →")]
    table += [
        (plain(row["name"]), plain(row["pool"]), plain(", ".join(row["example"]))) for row in rows
    ]
    session_of(context).console.print(columns(table))


def pipelines_show(
    context: typer.Context,
    name: str = typer.Argument(help="As `marea pipelines list` shows it."),
    as_json: bool = JsonFlag,
) -> None:
    """Show one pipeline: its steps, limits and result names."""
    from marea.pipelines.catalog import Catalog

    catalog = session_of(context).declarations.pipelines
    assert isinstance(catalog, Catalog)
    description = catalog.describe(name)
    if as_json:
        print_json(description)
        return
    import yaml
    from rich.markup import escape

    session_of(context).console.print(
        escape(yaml.safe_dump(description, sort_keys=False, allow_unicode=True).rstrip())
    )
