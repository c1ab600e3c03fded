"""The course directory for nbgrader. The teacher's guide in the book says how to work with it."""

from course_utils.grading import nbgrader_settings

c = get_config()  # noqa: F821
nbgrader_settings.apply(c, __file__)

# What a course of your own will want to set:
# c.CourseDirectory.course_id = "deep-learning"          # the same on students' machines
# c.CourseDirectory.db_url = "postgresql://..."          # instead of gradebook.db in this folder
# c.Exchange.root = "/srv/nbgrader/exchange"             # a folder that teachers and students share
