"""Extensions: what serves the whole process and is no part of a pipeline, one file for each type."""
