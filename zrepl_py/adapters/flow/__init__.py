"""Moving bytes: pipes, tasks that end at a pipe, and compression on the wire."""
