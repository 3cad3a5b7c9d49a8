# Another emulator's SVM. Bochs checks more at VMRUN than QEMU does, and its CPU saves the
# address of the next instruction, which QEMU's does not. Left out are tests in which Bochs
# gives up (a triple fault of the guest), and those of CR2, which it neither loads nor saves.
machine=vmx
cpu=zambezi
tests=cpuid_test fpu_test hello_test hypercall_test mem_test mmio_test smp_test
cpus=2
memory=1024
check=grep -qw nrip_save /proc/cpuinfo
