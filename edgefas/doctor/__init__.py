"""`edgefas doctor`: what this machine has for running edgefas, what is missing, and the command that mends it."""

from edgefas.doctor.checks import Check, State, check_all, failed_on_board
from edgefas.doctor.system import System, read_system

__all__ = ["Check", "State", "System", "check_all", "failed_on_board", "read_system"]
