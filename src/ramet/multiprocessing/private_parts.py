"""The modules of multiprocessing that a start method is built on; untyped, as what it needs is private."""

import multiprocessing.context
import multiprocessing.process
import multiprocessing.reduction
import multiprocessing.resource_tracker
import multiprocessing.spawn
import multiprocessing.util
from typing import Any

contexts: Any = multiprocessing.context
processes: Any = multiprocessing.process
reduction: Any = multiprocessing.reduction
resource_tracker: Any = multiprocessing.resource_tracker
spawn: Any = multiprocessing.spawn
util: Any = multiprocessing.util
