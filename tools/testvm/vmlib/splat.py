# SPDX-License-Identifier: GPL-2.0-only
"""Finding complaints of the kernel about itself in its log."""

import re

# The lines that start a complaint. Anything here fails a run.
STARTS = re.compile(
    r"BUG:|WARNING: |Oops[: ]|kernel BUG at|general protection fault|divide error:|"
    r"invalid opcode:|stack segment:|double fault|Unable to handle|unable to handle|"
    r"rcu: INFO: |detected stalls? on CPU|self-detected stall|soft lockup|hard LOCKUP|"
    r"possible circular locking|possible recursive locking|inconsistent lock state|suspicious RCU usage|"
    r"INFO: task .* blocked for more than|scheduling while atomic|sleeping function called|"
    r"unchecked MSR access|Kernel panic|KASAN:|UBSAN:|KCSAN:|ODEBUG:|"
    r"kmemleak: (?:Memory pool empty|Kernel memory leak detector disabled|Found object)|"
    r"BUG [\w-]+ \(|pagealloc: |Poison overwritten|Redzone overwritten|"
    r"DEBUG_LOCKS_WARN_ON|trying to register non-static key|turning off the locking correctness validator|"
    r"workqueue lockup|stack-protector: |detected buffer overflow|"
    r"Bad page state|Bad rss-counter|refcount_t:|list_(?:add|del) corruption|"
    r"do_IRQ: .* No irq handler|traps: PANIC|unexpected trap|Voluntary context switch within RCU|"
    r"no VMCS|Undefined behaviour|minikvm: audit: ")

PREFIX = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
LONGEST = 80


def find_splats(log: str, allowed: list[re.Pattern]) -> list[str]:
    """Return each complaint in a kernel log as a block of lines.

    A complaint whose first line matches one of the allowed patterns is left out.
    """
    splats: list[str] = []
    lines = log.splitlines()
    index = 0
    while index < len(lines):
        text = PREFIX.sub("", lines[index])
        index += 1
        if not STARTS.search(text) or any(pattern.search(text) for pattern in allowed):
            continue
        block = [lines[index - 1]]
        # A trace belongs to its first line; it ends at an "end trace" mark or where another log entry starts.
        while index < len(lines) and len(block) < LONGEST and _continues(PREFIX.sub("", lines[index])):
            block.append(lines[index])
            index += 1
            if "end trace" in block[-1]:
                break
        splats.append("\n".join(block))
    return splats


def _continues(text: str) -> bool:
    return bool(re.match(r"[ \t?]|Modules linked in|CPU:|Hardware name|RIP:|Code:|RSP|R[A-Z0-9]{2}:|CR2:|FS:|CS:|"
                         r"Call Trace|</?\w+>|---\[|PGD|#PF|Oops|Workqueue:|RBP|DR\d|PKRU|note:|caller|"
                         r"\w[\w.]*\+0x", text))
