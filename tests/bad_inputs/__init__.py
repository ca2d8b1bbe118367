"""What users bring that is wrong: one test a number of the list, with its words in tests/golden."""
