import sys

from fastnn._bench.report import report

try:
    sys.exit(report())
except KeyboardInterrupt:
    sys.exit(130)
