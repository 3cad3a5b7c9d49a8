# SPDX-License-Identifier: GPL-2.0-only
"""splat.py: complaints in a kernel log."""

import re
import unittest

from ..splat import find_splats

WARNING = """\
<4>[    3.100000] ------------[ cut here ]------------
<4>[    3.100001] WARNING: CPU: 1 PID: 77 at virt/vm.c:12 mkvm_vm_free+0x12/0x40 [minikvm]
<4>[    3.100002] Modules linked in: minikvm(O)
<4>[    3.100003] CPU: 1 PID: 77 Comm: smp_test Tainted: G           O
<4>[    3.100004] RIP: 0010:mkvm_vm_free+0x12/0x40 [minikvm]
<4>[    3.100005] Call Trace:
<4>[    3.100006]  <TASK>
<4>[    3.100007]  mkvm_vm_release+0x1/0x2 [minikvm]
<4>[    3.100008] ---[ end trace 0000000000000000 ]---
<6>[    3.200000] minikvm: unloaded
"""


class Splats(unittest.TestCase):
    """Finding them."""

    def test_clean(self) -> None:
        for line in ("minikvm: loaded", "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
                     "kmemleak: Kernel memory leak detector initialized (mem pool available: 14000)",
                     "kasan: KernelAddressSanitizer initialized", "Spectre V2 : WARNING ignored", "debugfs: no bugs here",
                     "x86/fpu: x87 FPU will use FXSAVE", ""):
            self.assertEqual([], find_splats(f"<6>[    1.000000] {line}\n", []), line)

    def test_block(self) -> None:
        splats = find_splats(WARNING, [])
        self.assertEqual(1, len(splats))
        lines = splats[0].splitlines()
        self.assertIn("virt/vm.c:12", lines[0])
        self.assertIn("end trace", lines[-1])

    def test_two(self) -> None:
        self.assertEqual(2, len(find_splats(WARNING + WARNING, [])))

    def test_allowed(self) -> None:
        self.assertEqual([], find_splats(WARNING, [re.compile(r"at virt/vm\.c:\d+ mkvm_vm_free")]))
        self.assertEqual(1, len(find_splats(WARNING, [re.compile(r"at virt/vcpu\.c")])))

    def test_kinds(self) -> None:
        for line in ("BUG: kernel NULL pointer dereference, address: 0000000000000000",
                     "general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
                     "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                     "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [smp_test:123]",
                     "WARNING: possible circular locking dependency detected",
                     "unchecked MSR access error: WRMSR to 0x123 (tried to write 0x0) at rIP: 0xffff",
                     "INFO: task smp_test:99 blocked for more than 120 seconds.",
                     "BUG: sleeping function called from invalid context at mm/slab.c:1",
                     "UBSAN: shift-out-of-bounds in virt/vm.c:1:2",
                     "BUG: Bad page state in process smp_test  pfn:12345",
                     "BUG: KASAN: slab-out-of-bounds in mkvm_vm_ioctl+0x1/0x2 [minikvm]",
                     "ODEBUG: free active (active state 0) object type: timer_list hint: f+0x0/0x10",
                     "BUG kmalloc-64 (Tainted: G           O     ): Redzone overwritten",
                     "pagealloc: memory corruption",
                     "INFO: trying to register non-static key.",
                     "turning off the locking correctness validator.",
                     "DEBUG_LOCKS_WARN_ON(1)",
                     "kmemleak: Kernel memory leak detector disabled",
                     "BUG: using smp_processor_id() in preemptible [00000000] code: smp_test/123",
                     "Kernel panic - not syncing: Fatal exception"):
            self.assertEqual(1, len(find_splats(f"[    1.000000] {line}\n", [])), line)

    def test_prefixes(self) -> None:
        for prefix in ("", "<4>", "<4>[    1.000000] ", "[    1.000000][    T1] ", "[    1.000000][   C1] "):
            self.assertEqual(1, len(find_splats(f"{prefix}kernel BUG at virt/vm.c:1!\n", [])), prefix)
