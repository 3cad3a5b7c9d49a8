# SPDX-License-Identifier: GPL-2.0-only
"""Parts of testvm: emulated test machines that boot stock Debian kernels."""
