"""Whether everything that a project reaches can be reached: names, ports, credentials, rights, clocks, versions."""

from tidegate.doctor.diagnosis import Diagnosis, Status
from tidegate.doctor.examination import Examined, examine
from tidegate.doctor.probe import BaseProbe, ConnectionUse, probe_registry

__all__ = ["BaseProbe", "ConnectionUse", "Diagnosis", "Examined", "Status", "examine", "probe_registry"]
