"""The course as nbgrader sees it: run nbgrader in this folder, notebooks/.

solutions/ is nbgrader's source, exercises/ what it releases to students. What a class hands in and
what grading makes of it (collected/, submitted/, autograded/, feedback/, marks/, gradebook.db)
stays out of git. tools/grading.py grades a class with what is set here.
"""

import re
from importlib.metadata import distribution
from pathlib import Path
from time import monotonic

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    Execute,
    GetGrades,
    IgnorePattern,
    IncludeHeaderFooter,
    LimitOutput,
    LockCells,
    NbGraderPreprocessor,
    SaveAutoGrades,
    SaveCells,
)
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets import Integer


class LetUnfilledCellsRaise(NbGraderPreprocessor):
    """Tags the cells that fail until they are filled in, so that "run all" goes past them."""

    def preprocess_cell(self, cell, resources, cell_index):
        tags = [
            tag for tag in cell.metadata.get("tags", []) if not tag.startswith(("task", "check"))
        ]
        if is_solution(cell) or is_grade(cell):
            tags.append("raises-exception")
        cell.metadata.pop("tags", None)
        if tags:
            cell.metadata["tags"] = tags
        return cell, resources


class ExecutePatiently(Execute):
    """Executes; where the kernel dies or cannot be stopped, once more without the task that did it."""

    seconds = Integer(180, help="for a submission; then each cell has five more").tag(config=True)

    def preprocess(self, nb, resources, km=None):
        self.end = monotonic() + self.seconds
        self.left_out, self.at = {}, 0  # index of a cell: why it is not run; the cell that runs
        while True:
            try:
                return super().preprocess(nb, resources, km)
            except (DeadKernelError, CellTimeoutError) as error:
                found = self.culprit(nb.cells)
                if found is None or monotonic() > self.end:
                    raise
                died = isinstance(error, DeadKernelError)
                what = "ended the kernel" if died else "could not be stopped"
                self.left_out[found] = f"This cell {what} and was left out."

    def culprit(self, cells):
        """The cell to leave out: where a check stopped, first its task's answer, then the check."""
        suspects = [] if is_locked(cells[self.at]) and not is_grade(cells[self.at]) else [self.at]
        if is_grade(cells[self.at]):
            answers = [n for n in range(self.at) if is_solution(cells[n])]
            suspects = answers[-1:] + suspects
        return next((n for n in suspects if n not in self.left_out), None)

    def preprocess_cell(self, cell, resources, index):
        self.at, source = index, cell.source
        if index in self.left_out:
            cell.source = f"raise RuntimeError({self.left_out[index]!r})"
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        finally:
            cell.source = source
        if is_grade(cell):  # a warning is no wrong answer; nbgrader would take it for one
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
        return cell, resources

    def _get_timeout(self, cell=None):
        return max(5, min(self.timeout, int(self.end - monotonic())))


class HideHiddenTests(ClearHiddenTests):
    """Takes the hidden tests out of what students get back, and each line of them out of outputs."""

    REGION = re.compile(r"^.*BEGIN HIDDEN TESTS\n((?s:.*?))^.*END HIDDEN TESTS", re.M)

    def preprocess(self, nb, resources):
        hidden = [line for cell in nb.cells for part in self.REGION.findall(cell.source)
                  for line in map(str.strip, part.splitlines()) if line]  # fmt: skip
        for cell in nb.cells:
            outputs = cell.get("outputs", [])
            for output in outputs:
                if is_grade(cell) and output.output_type == "error":  # its frames show the check
                    output.traceback = [f"{output.ename}: {output.evalue}"]
            if not is_grade(cell) and outputs:
                cell.outputs = [o for o in outputs if not any(line in str(o) for line in hidden)]
        return super().preprocess(nb, resources)


class OfflinePage(HTMLExporter):
    """A page that shows its formulas without the network: MathJax is in it."""

    REMOTE = re.compile(r'<script[^>]*\bsrc="https?:[^>]*>\s*</script>')
    OLD = re.compile(r'<script type="text/x-mathjax-config">.*?</script>', re.S)
    FORMULAS = """<script>
window.MathJax = {tex: {inlineMath: [["$", "$"]], processEscapes: true}, options: {enableMenu: false}};
</script><script>MATHJAX</script>"""
    FILE = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"

    def from_notebook_node(self, nb, resources=None, **kwargs):
        page, resources = super().from_notebook_node(nb, resources, **kwargs)
        mathjax = Path(distribution("sphinx-mathjax-offline").locate_file(self.FILE))
        formulas = self.FORMULAS.replace("MATHJAX", mathjax.read_text(encoding="utf-8"))
        page = self.OLD.sub(lambda match: formulas, self.REMOTE.sub("", page), count=1)
        return page, resources


c = get_config()  # noqa: F821 (nbgrader provides it)

c.CourseDirectory.course_id = "cvae"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".pytest_cache"]

c.ClearSolutions.code_stub = {
    "python": "# Your code here, in place of the next line.\n"
    'raise NotImplementedError("This task is still to be done.")'
}
c.GenerateAssignment.preprocessors = [
    IncludeHeaderFooter,
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    LetUnfilledCellsRaise,
    CheckCellMetadata,
]

# Checks and given cells are put back where they are missing. What else is mended before this, and
# what cannot be graded, is the work of tools/grading.py.
c.OverwriteCells.add_missing_cells = True
c.Autograde.autograde_preprocessors = [
    ExecutePatiently,
    IgnorePattern,
    ClearMetadataPreprocessor,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]

# Seconds that one cell of a submission may take: an endless loop costs its own points only.
c.Execute.timeout = 30
c.Execute.startup_timeout = 180  # TensorFlow is imported meanwhile
c.Execute.shutdown_kernel = "immediate"
c.Execute.interrupt_on_timeout = True
# What TensorFlow's C++ writes to the terminal is no error of the student's.
c.Execute.extra_arguments = [
    "--IPKernelApp.capture_fd_output=False",
    # Before any cell: the checks put NumPy and SciPy back as they are now.
    "--IPKernelApp.exec_lines=import cvae_tf.exercises",
]

c.GenerateFeedback.exporter_class = OfflinePage
c.GenerateFeedback.preprocessors = [HideHiddenTests, GetGrades, CSSHTMLHeaderPreprocessor]

# nbgrader zip_collect: the archives of Moodle and of Canvas, "01_the_bound (1).ipynb" among them.
NAMES = "|".join(sorted(path.name for path in Path(__file__).parent.glob("exercises/*_*")))
c.FileNameCollectorPlugin.named_regexp = (
    r".*/[^/]*?_(?P<student_id>\d+)_(?:assignsubmission_file(?:_?/(?:.*/)?|_)|\d{3,}_)"
    rf"[^/]*?(?P<file_id>{NAMES})[^/]*\.ipynb$"
)
