# SPDX-License-Identifier: GPL-2.0-only
"""What the instructions of an operation are, and which functions they belong to.

Reads what testvm-trace has written. minikvm-bench marks two batches of each row:
the operations, and the loop without them (see measure.c). The first minus the
second, by the number of operations, is an operation.
"""

import bisect
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable, Iterator

GUEST_END = 0x400000            # guest.S is loaded below, minikvm-bench is linked at it
KERNEL_START = 1 << 63

# An interrupt of the host is not part of the operation it falls into.
INTERRUPT = re.compile(r"asm_(?:sysvec_|common_interrupt|spurious_interrupt)")
IRETQ = "48cf"

PREFIXES = frozenset((0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3))
LOCK = 0xf0

# Opcodes after 0F.
TWO_BYTES = {0x78: "VMREAD", 0x79: "VMWRITE", 0x30: "WRMSR", 0x32: "RDMSR", 0x31: "RDTSC", 0xa2: "CPUID",
             0x20: "CR/DR", 0x21: "CR/DR", 0x22: "CR/DR", 0x23: "CR/DR"}
# After 0F 01.
SYSTEM = {0xc2: "VM entry", 0xc3: "VM entry", 0xd8: "VM entry", 0xd1: "XSETBV", 0xda: "VMLOAD", 0xdb: "VMSAVE",
          0xdc: "STGI", 0xdd: "CLGI", 0xdf: "INVLPGA", 0xd0: "XGETBV"}
# 0F AE and 0F C7 by the middle three bits of the byte that follows, for registers and for memory.
AE_REGISTER = {5: "fence", 6: "fence", 7: "fence"}
AE_MEMORY = {0: "FPU", 1: "FPU", 4: "FPU", 5: "FPU", 6: "FPU"}
C7_MEMORY = {3: "FPU", 4: "FPU", 5: "FPU", 6: "VMPTRLD"}

# Those that the tables show, in this order.
KINDS = ("VM entry", "VMREAD", "VMWRITE", "VMLOAD", "VMSAVE", "RDMSR", "WRMSR", "XSETBV", "locked", "fence",
         "FPU", "CR/DR", "STGI", "CLGI")


def kind(code: bytes) -> str:
    """Name an instruction that costs a CPU more than others; empty for all others."""
    index, locked, repeat = 0, False, False
    while index < len(code) - 1 and (code[index] in PREFIXES or code[index] == LOCK):
        locked |= code[index] == LOCK
        repeat |= code[index] == 0xf3
        index += 1
    if locked:
        return "locked"
    if index < len(code) - 1 and code[index] & 0xf0 == 0x40:
        index += 1
    opcode, rest = code[index], code[index + 1:]
    if opcode in (0x86, 0x87) and rest and rest[0] < 0xc0:
        return "locked"     # XCHG with memory
    if opcode != 0x0f or not rest:
        return ""
    if rest[0] == 0x01 and len(rest) > 1:
        return SYSTEM.get(rest[1], "")
    if rest[0] in (0xae, 0xc7) and len(rest) > 1:
        register, middle = rest[1] >= 0xc0, rest[1] >> 3 & 7
        if rest[0] == 0xae:
            return "" if repeat else (AE_REGISTER if register else AE_MEMORY).get(middle, "")
        return "" if register else C7_MEMORY.get(middle, "")
    return TWO_BYTES.get(rest[0], "")


class Symbols:
    """Functions by address, from lines of /proc/kallsyms."""

    def __init__(self, lines: Iterable[str]):
        found: dict[int, str] = {}
        for line in lines:
            words = line.split()
            # Constants and the per-CPU area are no functions.
            if len(words) >= 3 and words[1] in "tTwW" and int(words[0], 16) >= KERNEL_START:
                found.setdefault(int(words[0], 16), words[2])
        self.starts = sorted(found)
        self.names = [found[start] for start in self.starts]

    def find(self, address: int) -> tuple[str, int]:
        """Return the function that holds an address, and where it begins."""
        if address < GUEST_END:
            return "(guest)", -1
        if address < KERNEL_START:
            return "(VMM)", -1
        index = bisect.bisect(self.starts, address) - 1
        return (self.names[index], self.starts[index]) if index >= 0 else ("(unknown)", -1)


@dataclass
class Profile:
    """Instructions of a row, each number by operation."""

    total: float = 0
    functions: dict[str, float] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    kinds: dict[str, float] = field(default_factory=dict)


def read_batches(trace: Path) -> Iterator[list[tuple[int, str]]]:
    """Yield what was executed in each marked batch: (address, bytes) of each instruction."""
    batch: list[tuple[int, str]] | None = None
    with open(trace, encoding="ascii") as stream:
        for line in stream:
            if line == "mark\n":
                if batch is None:
                    batch = []
                else:
                    yield batch
                    batch = None
            elif batch is not None:
                address, code = line.split()
                batch.append((int(address, 16), code))


class Counted:
    """One batch, counted by function and by kind."""

    def __init__(self, batch: list[tuple[int, str]], symbols: Symbols, cache: dict):
        self.functions: Counter = Counter()
        self.calls: Counter = Counter()
        self.kinds: Counter = Counter()
        interrupt = False
        for address, code in batch:
            key = (address, code)
            if key not in cache:
                name, start = symbols.find(address)
                cache[key] = (name, address == start, kind(bytes.fromhex(code)) if address >= KERNEL_START else "",
                              address == start and bool(INTERRUPT.match(name)))
            name, entry, what, enters = cache[key]
            interrupt |= enters
            if not interrupt:
                self.functions[name] += 1
                self.calls[name] += entry
                if what:
                    self.kinds[what] += 1
            elif code == IRETQ:
                interrupt = False


def difference(batch: Counter, loop: Counter, ops: int) -> dict[str, float]:
    """Return what an operation adds, without what it does not."""
    result = {name: (batch[name] - loop[name]) / ops for name in batch.keys() | loop.keys()}
    return {name: value for name, value in sorted(result.items(), key=lambda item: -item[1]) if value}


def profile(trace: Path, symbols: list[Symbols], rows: list[list[dict]]) -> list[dict[str, Profile]]:
    """Return the profiles by row of each run of minikvm-bench in a trace, in the order in which they ran."""
    batches = read_batches(trace)
    result = []
    for table, run in zip(symbols, rows):
        cache: dict = {}
        profiles = {}
        for row in run:
            work = Counted(next(batches), table, cache)
            loop = Counted(next(batches), table, cache)
            functions = difference(work.functions, loop.functions, row["ops"])
            profiles[row["name"]] = Profile(sum(functions.values()), functions,
                                            difference(work.calls, loop.calls, row["ops"]),
                                            difference(work.kinds, loop.kinds, row["ops"]))
        result.append(profiles)
    return result
