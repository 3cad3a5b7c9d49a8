/* SPDX-License-Identifier: GPL-2.0 */
/* samples/hello.bin as a part of the program: the guest of `minikvm hello`. */
	.section .rodata
	.globl	hello_guest, hello_guest_end
hello_guest:
	.incbin	"samples/hello.bin"
hello_guest_end:
