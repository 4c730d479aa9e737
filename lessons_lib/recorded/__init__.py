"""Every recorded run of the course: the files, and the one store that knows where they lie."""
