"""The devices that a fit can run on."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Args:
        name: what --device takes.
        model: what it is called, "" where it has no name.
        memory: bytes of its own, None where it shares those of the machine.
    """

    name: str
    model: str = ""
    memory: int | None = None


def devices() -> list[Device]:
    """All of them, the CPU first."""
    found = [Device(name="cpu")]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        found.append(Device(name=f"cuda:{number}", model=properties.name, memory=properties.total_memory))
    return [*found, Device(name="mps")] if torch.backends.mps.is_available() else found
