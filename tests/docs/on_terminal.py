"""Runs the command in its words on a terminal, where a person starts a server, and passes on what it prints."""

import ctypes
import os
import pty
import signal
import sys
import tty

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

outer, inner = pty.openpty()
tty.setraw(inner)
child = os.fork()
if child == 0:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    # Both streams in the order in which they are written, if both go to one place.
    if os.path.sameopenfile(1, 2):
        os.dup2(inner, 2)
    os.dup2(inner, 1)
    os.close(outer)
    os.close(inner)
    os.environ["NO_COLOR"] = "1"
    os.execv(sys.argv[1], sys.argv[1:])
os.close(inner)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(child, number))
while True:
    try:
        printed = os.read(outer, 65536)
    except OSError:  # Nobody has the terminal open any more.
        break
    os.write(1, printed)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(128 - code if code < 0 else code)
