"""The output of `tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from reflow.report.layout import columns, count, paragraph

if TYPE_CHECKING:
    from reflow.model.json import Json
    from reflow.runs.tuning.savings import Savings, Use
    from reflow.runs.tuning.tune import Tuning


def tuning_lines(tuning: Tuning, *, width: int) -> list[Text]:
    """Show what each task asks for now and should ask for, why, and what that would save."""
    if not tuning.runs:
        return [Text(f"{tuning.workflow} has no runs yet: nothing is known of what it uses")]
    newest = f"{count(len(tuning.runs), 'run')}, the newest {tuning.runs[0]}"
    lines = [Text.assemble((tuning.workflow, "bold"), f"  by {newest}"), Text("")]
    lines += _table(tuning, width)
    for note in tuning.notes:
        lines += [Text(""), *paragraph(note, width=width)]
    if tuning.tables:
        lines.append(Text(""))
        for sentence in _told(tuning.savings):
            lines += paragraph(sentence, width=width)
    return lines


def _table(tuning: Tuning, width: int) -> list[Text]:
    rows = [[Text(word, "dim") for word in ("task", "option", "now", "proposed", "why")]]
    for proposal in tuning.proposals:
        for change in proposal.changes:
            now = "" if change.now is None else str(change.now)
            proposed = Text(str(change.proposed), "bold")
            rows.append(
                [Text(proposal.task), Text(change.option), Text(now), proposed, Text(change.why)]
            )
        if not proposal.changes:
            rows.append([Text(proposal.task), *[Text("")] * 3, Text(proposal.reason, "dim")])
    return columns(rows, width=width, flexible=4)


def _told(saved: Savings) -> list[str]:
    """Say what the proposals would have saved, and what would have failed."""
    held = (
        ("core-hours", saved.now.core_hours, saved.proposed.core_hours),
        ("GB-hours of memory", saved.now.memory_hours, saved.proposed.memory_hours),
    )
    hours = [
        f"{_hours(proposed)} in place of {_hours(now)} {what}"
        for what, now, proposed in held
        if now != proposed
    ]
    told = [f"What succeeded would have held {', and '.join(hours)}."] if hours else []
    failing = f"{saved.would_fail:,}" if saved.would_fail else "none"
    told.append(f"Of {count(saved.tries, 'attempt')}, {failing} would have failed for it.")
    if saved.had_less:
        told.append(f"{saved.had_less:,} failed with less memory or time than is proposed.")
    return told


def _hours(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def tuning_json(tuning: Tuning) -> dict[str, Any]:
    """Return the proposals as documented JSON."""
    saved = tuning.savings
    return {
        "version": 1,
        "workflow": tuning.workflow,
        "runs": list(tuning.runs),
        "tasks": [
            {
                "task": proposal.task,
                "elements": proposal.elements,
                "reason": proposal.reason,
                "changes": [
                    {
                        "option": change.option,
                        "now": change.now,
                        "proposed": change.proposed,
                        "why": change.why,
                    }
                    for change in proposal.changes
                ],
            }
            for proposal in tuning.proposals
        ],
        "attempts": saved.tries,
        "would_fail": saved.would_fail,
        "had_less": saved.had_less,
        "now": _use(saved.now),
        "proposed": _use(saved.proposed),
        "used": _use(saved.used),
        "notes": list(tuning.notes),
    }


def _use(use: Use) -> dict[str, Json]:
    return {"core_hours": use.core_hours, "memory_gb_hours": use.memory_hours}
