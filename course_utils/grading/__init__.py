"""Grading of assignments that whole classes hand in, with nbgrader's gradebook.

A submission goes through six steps, each in a module of its own: what was handed in is accepted or refused
(`intake`), the student's solutions are put into the assignment as it was released (`assignment`), they run in a
sandbox (`sandbox`, `student`), tests run in another one without any code of the student's (`judge`), what is shown
afterwards is made inert (`clean`), and marks are written once and whole (`record`). `run` takes one submission
through the middle of this, `batch` takes a class.
"""
