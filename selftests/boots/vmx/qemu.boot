# Debian 12's own QEMU runs SeaBIOS and Debian's kernel.
carry_modules=kvm_intel
carry_kernel=yes
carry_qemu=yes
memory=1024
script=qemu.sh kvm_intel
