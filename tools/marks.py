"""What grading a class gives: a report to read, and the marks as Moodle and Canvas import them."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from handins import as_id, decoded


@dataclass
class Result:
    """What became of a student's hand-in."""

    student: str
    name: str = ""
    platform: str = ""
    prefix: str = ""
    late: bool = False
    state: str = "nothing handed in"  # or "graded", "failed to grade"
    reason: str = ""
    mended: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)  # a lecturer's own, from the formgrader
    digest: str = ""

    @property
    def total(self) -> float | None:
        """The sum of the marks; no number where nothing was graded."""
        return sum(self.marks.values()) if self.state == "graded" else None

    @property
    def who(self) -> str:
        """The student by name and number."""
        return self.student if self.name in ("", self.student) else f"{self.name} ({self.student})"


def report(results: list[Result], worth: dict[str, float]) -> str:
    """Marks per task, what failed and why, what was mended, who is missing."""
    graded = [r for r in results if r.state == "graded"]
    failed = [r for r in results if r.state == "failed to grade"]
    missing = [r for r in results if r.state == "nothing handed in"]
    width = max([7, *(len(r.who) for r in graded)])
    columns = [max(len(task), 4) for task in worth]
    tasks = [task.rjust(n) for task, n in zip(worth, columns, strict=True)]
    lines = [f"Graded: {len(graded)}", "", "  ".join(["student".ljust(width), "total", *tasks])]
    for r in graded:
        marks = [f"{r.marks[task]:g}".rjust(n) for task, n in zip(worth, columns, strict=True)]
        lines.append("  ".join([r.who.ljust(width), f"{r.total:g}".rjust(5), *marks]))
    lines.append("  ".join(
        ["of".ljust(width), f"{sum(worth.values()):g}".rjust(5),
         *(f"{worth[task]:g}".rjust(n) for task, n in zip(worth, columns, strict=True))]
    ))  # fmt: skip
    for title, chosen, what in (
        ("Failed to grade (no mark; look at what was handed in)", failed, lambda r: [r.reason]),
        ("Mended before grading", graded, lambda r: r.mended),
        ("Stopped while grading (0 for the task)", graded, lambda r: r.stopped),
        ("Late", [r for r in results if r.late], lambda r: ["as the platform says"]),
        ("Nothing handed in", missing, lambda r: ["-"]),
    ):
        told = [f"  {r.who}: {'; '.join(what(r))}" for r in chosen if what(r)]
        if told:
            lines += ["", f"{title}: {len(told)}", *told]
    return "\n".join(lines) + "\n"


@dataclass
class ClassList:
    """Who is in the class: Moodle's grading worksheet, Canvas's gradebook, or a list of names."""

    kind: str  # "Moodle", "Canvas" or ""
    names: dict[str, str]  # by student
    header: list[str] = field(default_factory=list)
    rows: dict[str, dict] = field(default_factory=dict)


def read_class(path: Path) -> ClassList:
    """A class list; what the platforms write is known by its header."""
    text = decoded(path.read_bytes(), [])
    mark = max(",;\t", key=text.partition("\n")[0].count)
    header, *lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark)) or [[]]
    rows = [dict(zip(header, line, strict=False)) for line in lines]
    if "Identifier" in header:
        by = {re.sub(r"\D", "", row["Identifier"]): row for row in rows if row.get("Identifier")}
        return ClassList("Moodle", {k: r.get("Full name", "") for k, r in by.items()}, header, by)
    if header[:2] == ["Student", "ID"]:
        by = {row["ID"]: row for row in rows if row.get("ID", "").strip().isdigit()}
        return ClassList("Canvas", {k: row["Student"] for k, row in by.items()}, header, by)
    if len(header) > 2:
        raise SystemExit(
            f"{path.name}: neither a grading worksheet of Moodle (with Identifier: switch Moodle "
            "to English to download it), nor a gradebook of Canvas, nor a list: student[,name]."
        )
    pairs = [(line[0].strip(), line[-1].strip()) for line in [header, *lines] if line and line[0]]
    named = {as_id(student): name for student, name in pairs if student.lower() != "student"}
    return ClassList("", named)


def write_csv(path: Path, header: list[str], rows: list[dict]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def number(total: float | None) -> str:
    return "" if total is None else f"{total:g}"


def comment(result: Result, worth: dict[str, float]) -> str:
    """Marks per task in a line, or why there are none, for the student."""
    if result.state != "graded":
        return f"Not graded: {result.reason}" if result.reason else ""
    return ", ".join(f"{task} {number(result.marks[task])}/{number(worth[task])}" for task in worth)


def export(
    marks: Path, lesson: str, results: list[Result], worth: dict[str, float],
    listed: ClassList | None = None, column: str = "",
) -> list[Path]:  # fmt: skip
    """The marks for all, and what Moodle and Canvas import, as files in a folder."""
    own = ["student", "name", "state", "total", *worth, "late", "mended", "stopped", "reason"]
    made = [write_csv(marks / f"{lesson}.csv", own, [
        {"student": r.student, "name": r.name, "state": r.state, "total": number(r.total),
         **r.marks, "late": "late" if r.late else "", "mended": "; ".join(r.mended),
         "stopped": "; ".join(r.stopped), "reason": r.reason}
        for r in results
    ])]  # fmt: skip
    for platform, table in (("Moodle", for_moodle), ("Canvas", for_canvas)):
        own_list = listed if listed and listed.kind == platform else None
        on_list = own_list.rows if own_list else {}
        chosen = [r for r in results if r.platform == platform or r.student in on_list]
        if chosen:
            header, rows = table(chosen, worth, own_list, column or lesson)
            made.append(write_csv(marks / f"{lesson}_{platform.lower()}.csv", header, rows))
    return made


def for_moodle(chosen, worth, listed, column):
    """A grading worksheet: Moodle reads Identifier, Grade and the time of the last change."""
    header = listed.header if listed else [
        "Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)",
        "Feedback comments",
    ]  # fmt: skip
    rows = []
    for r in chosen:
        row = {"Identifier": f"Participant {r.student}", "Full name": r.name,
               "Maximum Grade": number(sum(worth.values()))}  # fmt: skip
        row |= listed.rows.get(r.student, {}) if listed else {}
        if r.state != "nothing handed in":
            row |= {"Grade": number(r.total), "Feedback comments": comment(r, worth)}
        rows.append(row)
    return header, rows


def for_canvas(chosen, worth, listed, column):
    """A gradebook of one column: Canvas finds students by ID, the assignment by its header."""
    known = [] if listed is None else [h for h in listed.header if h.startswith(("SIS", "Section"))]
    header = ["Student", "ID", *(known or ["Section"]), column]
    rows = []
    for r in chosen:
        row = {"Student": r.name, "ID": r.student}
        row |= listed.rows.get(r.student, {}) if listed else {}
        rows.append(row | {column: number(r.total)})
    return header, rows


def feedback_archives(marks: Path, lesson: str, results: list[Result], pages: Path) -> list[Path]:
    """The feedback under the names that a platform gave out, for its upload of many at once."""
    made = []
    for platform in ("Moodle", "Canvas"):
        chosen = [r for r in results if r.platform == platform and r.state == "graded"]
        if not chosen:
            continue
        made.append(marks / f"{lesson}_{platform.lower()}_feedback.zip")
        with zipfile.ZipFile(made[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            for r in chosen:
                page = pages / r.student / lesson / f"{lesson}.html"
                if page.exists():
                    archive.write(page, f"{r.prefix}_{page.name}")
    return made
