"""One function a use case: gather, judge, report. No printing, no command line."""
