# SPDX-License-Identifier: GPL-2.0-only
"""Tests of vmlib: ../../testvm_test runs them."""
