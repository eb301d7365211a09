# SPDX-License-Identifier: GPL-2.0-or-later
"""The one error of the machine."""

from __future__ import annotations


class MachineError(Exception):
    """What failed, why, and what to try: one line each."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.why, self.remedy = what, why, remedy

    def __str__(self) -> str:
        return f"{self.what}\n  why: {self.why}\n  try: {self.remedy}"
