"""All workloads, by name, in the order of the table."""

from .base import Failure, Setting
from .commands import COMMANDS
from .phases import PHASES

ALL = {workload.name: workload for workload in (*PHASES, *COMMANDS)}
