"""The course as nbgrader sees it: run nbgrader in this folder, notebooks/.

solutions/ is nbgrader's source, exercises/ what it releases to students. What a class hands in and
what grading makes of it (submitted/, autograded/, feedback/, gradebook.db) stays out of git.
"""

from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    IncludeHeaderFooter,
    LockCells,
    NbGraderPreprocessor,
    SaveCells,
)
from nbgrader.utils import is_grade, is_solution


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

# Seconds that one cell of a submission may take: an endless loop costs its own points only.
c.Execute.timeout = 30
c.Execute.interrupt_on_timeout = True
# What TensorFlow's C++ writes to the terminal is no error of the student's.
c.Execute.extra_arguments = [
    "--IPKernelApp.capture_fd_output=False",
    # Before any cell: the checks put NumPy and SciPy back as they are now.
    "--IPKernelApp.exec_lines=import cvae_tf.exercises",
]
