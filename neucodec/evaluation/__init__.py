"""Find out how good a codec sounds: measurements of many files, tables of them, and a page to
listen to.
"""
