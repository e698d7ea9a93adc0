"""What is found in a model alone."""

import random
import time
from datetime import UTC, datetime

from monitors.mesh.times import now_nanos


def decide():
    # found: clock-in-a-model
    now = time.time()
    # found: clock-in-a-model
    then = datetime.now(UTC)
    # found: clock-in-a-model
    nanos = now_nanos()
    # found: clock-in-a-model
    return now, then, nanos, random.random()
