"""Answer checks, one module a lesson: ``from course_utils.checks import perceptron as check``.

``check.NAME(answer)`` judges an answer, ``check.NAME.hint()`` gives one more hint at each call and
``check.NAME.solution()`` shows the reference solution. The quiz of a lesson stands beside its module
as YAML; the mechanism is in ``_engine``.
"""
