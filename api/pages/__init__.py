"""The pages for people: files, templates, languages of a reader."""
