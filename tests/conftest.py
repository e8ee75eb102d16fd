"""What all tests stand on: signals as a terminal's foreground has them.

A shell's background job, and some CI runners, start with SIGINT and SIGHUP ignored, and children inherit that.
"""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
