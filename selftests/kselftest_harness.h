/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's test harness, with more time for each test than its 30 seconds: on a kernel with
 * its checkers on everything takes several times as long. What ends a program that hangs is the
 * limit of the program (TIMEOUT_* in the Makefile).
 */
#include_next <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120
