"""What goes wrong in grading, each with a sentence that says what to do."""

from __future__ import annotations

from course_utils.lessons.catalogue import CourseError


class GradingError(CourseError):
    """Something the teacher has to settle; the message says what and how."""


class Refused(GradingError):
    """A submission that is not graded as it is.

    Parameters
    ----------
    teacher, student : str
        One sentence for each: what was found, and what to do about it.
    """

    def __init__(self, teacher: str, student: str) -> None:
        super().__init__(teacher)
        self.teacher = teacher
        self.student = student


class NotPlain(ValueError):
    """A value that does not cross between the student's process and the judge."""
