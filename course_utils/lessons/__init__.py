"""Running the lessons and building the book: catalogue, notebook form, execution, report, book.

Lessons themselves import nothing from here.
"""
