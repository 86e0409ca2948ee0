"""All workloads, by name, in the order of the table."""

from measure import Failure
from .base import Setting
from .commands import COMMANDS
from .phases import PHASES
from .servers import SERVERS

ALL = {workload.name: workload for workload in (*PHASES, *SERVERS, *COMMANDS)}
