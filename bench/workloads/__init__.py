"""All workloads, by name, in the order of the table."""

from .commands import COMMANDS
from .phases import PHASES
from .servers import SERVERS

ALL = {workload.name: workload for workload in (*PHASES, *SERVERS, *COMMANDS)}
