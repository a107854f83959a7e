"""Run everything on one machine, in the foreground: what `stanchion up` does."""

from api.supervisor.instance import AlreadyRunningError, prepare_data_folder
from api.supervisor.run import supervise

__all__ = ["AlreadyRunningError", "prepare_data_folder", "supervise"]
