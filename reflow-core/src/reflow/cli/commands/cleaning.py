"""The commands that say what space runs take, and free it: `usage`, `clean`, `rm`, `invalidate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.program import OK, WRONG_USAGE
from reflow.cli.source import Runs, runs_of
from reflow.cli.words import Json, RunId, StoreOption, option, run_argument, switch
from reflow.errors import NotFoundError, UsageError
from reflow.model.cleaning import Extent
from reflow.report.layout import count, paragraph
from reflow.report.screen import put_json, screen

if TYPE_CHECKING:
    from reflow.model.records import RunRecord
    from reflow.runs.cleaning.choose import Refusal
    from reflow.runs.cleaning.clean import Cleaned
    from reflow.runs.cleaning.usage import RunUsage

SECONDS = 60.0
Yes = Annotated[bool, switch("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, switch("--dry-run", help="Only show what would be removed.")]
WorkflowName = Annotated[
    str | None, option("--workflow", metavar="NAME", help="Runs of this workflow only.")
]


def usage(
    context: typer.Context,
    workflow: WorkflowName = None,
    seconds: Annotated[
        float, option("--seconds", metavar="N", help="Look at files for so long at most.", min=1)
    ] = SECONDS,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Show what space runs take on the disk and in the database.

    Of a run directory, only what reflow wrote is measured: values, logs, and what runs work with.
    """
    from reflow.report.cleaning import usage_as_dict, usage_lines
    from reflow.runs.cleaning.usage import measure

    source, console = runs_of(context), screen()
    records = source.store.list_runs(graph_name=source.workflow_name or workflow)
    with _progress("measuring run") as show:
        found = measure(source.store, records, seconds, lambda done: show(done, len(records)))
    if json:
        put_json(usage_as_dict(found))
    elif not records:
        console.say(f"no runs yet: start one with {source.start}")
    else:
        command = source.command
        console.put(usage_lines(found, width=console.width, command=command, seconds=seconds))


def clean(
    context: typer.Context,
    older_than: Annotated[
        str | None,
        option(
            "--older-than",
            metavar="AGE",
            help="Runs that ended so long ago (30d, 12h, 2w), or before a date.",
        ),
    ] = None,
    keep_last: Annotated[
        int | None,
        option("--keep-last", metavar="N", help="Keep the newest N of each workflow.", min=0),
    ] = None,
    failed: Annotated[
        bool, switch("--failed", help="Runs that failed or were cancelled only.")
    ] = False,
    workflow: WorkflowName = None,
    results: Annotated[
        bool, switch("--results", help="Also results that later runs could use.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Remove the logs, values and records of ended runs that nothing needs any more.

    Results stay that the cache can use, and the run itself in the list. What tasks wrote by
    themselves is never touched.
    """
    from reflow.runs.cleaning.choose import (
        Criteria,
        choose,
        count_of_others,
        interrupted,
        time_before,
    )

    source = runs_of(context)
    if older_than is None and keep_last is None and not failed:
        raise UsageError(
            f"say which runs: {source.command} clean --older-than 30d, --keep-last 3 or --failed; "
            "--dry-run shows what would go"
        )
    criteria = Criteria(
        ended_before=None if older_than is None else time_before(older_than),
        keep_last=keep_last or 0,
        failed=failed,
        workflow=source.workflow_name or workflow,
    )
    extent = Extent.RESULTS if results else Extent.FILES
    chosen = choose(source.store, criteria, extent)
    there = {record.run_id for record in chosen}
    chosen += [each for each in interrupted(source.store) if each.run_id not in there]
    others = count_of_others(source.store, criteria)
    if others and not json:
        screen().say(f"{count(others, 'run')} of other users: left alone")
    if not chosen and not json:
        screen().say("nothing to clean up: no ended run fits")
        return
    raise typer.Exit(_remove(source, chosen, extent, dry_run=dry_run, yes=yes, json=json))


def rm(
    context: typer.Context,
    run_ids: Annotated[list[str], run_argument("Ids of runs, or 'latest'.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Remove runs with all that they computed, save results that other runs have taken over.

    What tasks wrote by themselves is never touched.
    """
    source = runs_of(context)
    runs = {run.run_id: run for run in map(source.open, run_ids)}
    records = [source.store.run(run.run_id) for run in runs.values() if run.state]
    records.sort(key=lambda record: record.created_at, reverse=True)
    code = _remove(source, records, Extent.RUN, dry_run=dry_run, yes=yes, json=json, named=True)
    raise typer.Exit(code)


def invalidate(
    context: typer.Context,
    run_id: RunId,
    elements: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK\\[INDEX]...",
            help="Tasks, or elements: fit, fit\\[3-7,9], or fit 3-7,9.",
            show_default=False,
        ),
    ],
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Have the cache forget results of a run, so that the next run computes them.

    What comes after them is computed again where it is then given other values.
    """
    from reflow.cli.elements import find_task, parse_elements
    from reflow.runs.cleaning.forget import forget_results

    source, console = runs_of(context), screen()
    run = source.open(run_id)
    wanted = parse_elements(elements)
    for name, indexes in wanted.items():
        task = find_task(run, name)
        if indexes is not None and indexes.largest >= (task.size or 0):
            size = count(task.size or 0, "element")
            raise NotFoundError(f"{name!r} has {size}; there is no {indexes.largest}")
    found = {
        name: forget_results(source.store, run.run_id, name, indexes)
        for name, indexes in wanted.items()
    }
    if json:
        put_json(
            {
                "version": 1,
                "run_id": run.run_id,
                "tasks": {
                    name: {
                        "elements": each.elements,
                        "results": each.results,
                        "of_others": each.of_others,
                    }
                    for name, each in found.items()
                },
            }
        )
        return
    for name, each in found.items():
        shown = f"{name}: {count(each.elements, 'element')} to be computed by the next run"
        forgotten = f"the cache has forgotten {count(each.results, 'result')}"
        said = [f"{shown}; {forgotten}" if each.elements else f"{name}: no result to forget"]
        if each.of_others:
            said.append(
                f"{count(each.of_others, 'result')} of other users may still be used, where "
                f'[store] share = "all" is set; --force-tasks {name} computes all of it'
            )
        for sentence in said:
            console.put(paragraph(sentence, width=console.width))


# -- details ---------------------------------------------------------------------------------
def _remove(
    source: Runs,
    records: Sequence[RunRecord],
    extent: Extent,
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
    named: bool = False,
) -> int:
    """Show what is to be removed, ask, and remove it; return the exit code."""
    from reflow.report.cleaning import (
        cleaned_as_dict,
        done_lines,
        missing_lines,
        plan_lines,
        refusal_lines,
    )
    from reflow.runs.cleaning.choose import refusal
    from reflow.runs.cleaning.clean import cleaning_store, foreign_files
    from reflow.runs.cleaning.usage import measure

    store, console = cleaning_store(source.store), screen()
    refused: list[Refusal] = []
    free: list[RunRecord] = []
    for record in records:
        reason = refusal(source.store, record, named=named) or foreign_files(record)
        if reason is None:
            free.append(record)
        else:
            refused.append(reason)
    with _progress("measuring run") as show:
        found = measure(source.store, free, SECONDS, lambda done: show(done, len(free))).runs
        results = {each.run_id: store.contents(each.run_id).results for each in free}
    removed = "removed" if extent is Extent.RUN else "cleaned up"
    if not json:
        if found:
            console.put(
                plan_lines(
                    found,
                    results,
                    remove=removed,
                    stay=extent is Extent.FILES,
                    width=console.width,
                )
            )
        missing = [record for record in free if not record.run_dir.is_dir()]
        console.put(missing_lines(missing, width=console.width))
        told = refusal_lines(refused, command=source.command, width=console.width)
        console.put(told if found else told[1:])
    bad = WRONG_USAGE if named and refused else OK
    if not found or dry_run:
        if json:
            put_json(cleaned_as_dict(found, results, refused, None if dry_run else ()))
        return bad
    if not yes and not _confirmed(found, removed):
        console.say("nothing was removed")
        return OK
    cleaned, failed = _clean_all(source, free, extent)
    refused += failed
    if json:
        put_json(cleaned_as_dict(found, results, refused, cleaned))
    else:
        shrunk = _shrunk(source)
        console.put(
            done_lines(
                cleaned, removed=removed, shrunk=shrunk, store=store.size(), width=console.width
            )
        )
        console.put(refusal_lines(failed, command=source.command, width=console.width))
    return WRONG_USAGE if named and refused else OK


def _clean_all(
    source: Runs, records: Sequence[RunRecord], extent: Extent
) -> tuple[list[Cleaned], list[Refusal]]:
    """Clean runs up, one after the other; return what was removed, and what could not be."""
    from reflow.errors import DamagedRunError, ForeignRunError, LeaseLostError, NotReadyError
    from reflow.runs.cleaning.choose import Refusal
    from reflow.runs.cleaning.clean import FIRST_PORTION, clean_run, sweep
    from reflow.runs.cleaning.pace import Pace

    cleaned: list[Cleaned] = []
    refused: list[Refusal] = []
    pace = Pace(FIRST_PORTION)
    with _progress("cleaning run") as show:
        for done, record in enumerate(records):

            def on_step(done: int = done) -> None:
                show(done, len(records))

            on_step()
            goal = extent
            if record.cleaning and record.extent is not None:
                goal = max(extent, record.extent, key=list(Extent).index)
            try:
                cleaned.append(clean_run(source.store, record, goal, on_step, pace))
            except NotFoundError:
                continue  # another process has removed it meanwhile
            except (DamagedRunError, ForeignRunError, NotReadyError, LeaseLostError, OSError) as e:
                refused.append(Refusal(record, str(e)))
        sweep(source.store, {record.run_dir for record in records}, lambda: show(0, 0))
    return cleaned, refused


def _shrunk(source: Runs) -> int:
    from reflow.runs.cleaning.clean import shrink

    with _progress("") as show:
        show(0, 0)
        return shrink(source.store)


def _confirmed(runs: Sequence[RunUsage], removed: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{count(len(runs), 'run')} would be {removed}. This must be confirmed, and there is "
            "no terminal to ask on: add --yes, or --dry-run to see only"
        )
    these = "this run" if len(runs) == 1 else f"these {len(runs):,} runs"
    return typer.confirm(f"{'Remove' if removed == 'removed' else 'Clean up'} {these}?")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many runs are done, in a line that is gone afterwards."""
    console = screen(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda done, of: None
        return
    with console.status("") as line:
        yield lambda done, of: line.update(f"{what} {done + 1:,} of {of:,}" if of else "tidying up")
