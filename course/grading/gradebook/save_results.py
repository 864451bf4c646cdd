"""How the result of a grade cell enters the gradebook when nbgrader's own `autograde` runs; see nbgrader_config.py."""

from __future__ import annotations

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import MissingEntry
from nbgrader.preprocessors import SaveAutoGrades

from course.labs.judgement import Judgement, judge
from course.labs.notebooks import grade_id


class SaveResults(SaveAutoGrades):
    """nbgrader's SaveAutoGrades, reading the result that a grade cell emits; doubtful cases go to a person."""

    def preprocess(self, nb: NotebookNode, resources):
        """Save the grades of one notebook; see nbgrader."""
        self.answer: str | None = None
        return super().preprocess(nb, resources)

    def preprocess_cell(self, cell: NotebookNode, resources, cell_index: int):
        """Save the grade of one cell, remembering the answer cell above it for comments."""
        if utils.is_solution(cell):
            self.answer = grade_id(cell)
        return super().preprocess_cell(cell, resources, cell_index)

    def _add_score(self, cell: NotebookNode, resources) -> None:
        grade = self.gradebook.find_grade(
            cell.metadata["nbgrader"]["grade_id"], self.notebook_id, self.assignment_id, self.student_id
        )
        judgement = judge(cell)
        grade.auto_score = judgement.kept if judgement.score is None else judgement.score
        # a person's earlier mark stays, and is looked at again
        grade.needs_manual_grade = grade.manual_score is not None or judgement.score is None
        self.gradebook.db.commit()
        if judgement.score is None and not utils.is_solution(cell):
            self._explain(judgement)

    def _explain(self, judgement: Judgement) -> None:
        """Say in the answer's comment what could be judged, so that the person who looks need not start at nothing."""
        if self.answer is None:
            return
        try:
            comment = self.gradebook.find_comment(self.answer, self.notebook_id, self.assignment_id, self.student_id)
        except MissingEntry:
            return
        comment.auto_comment = f"A person looks at this one.\n\n{judgement.text}"
        self.gradebook.db.commit()
