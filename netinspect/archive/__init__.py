"""Recordings as files: the format is in docs/recording.md."""
