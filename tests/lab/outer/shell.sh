# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# Greeting of the interactive outer machine.
PS1='outer# '
export PS1
stty rows "${lab_rows:-24}" cols "${lab_cols:-80}" 2>/dev/null
unset ENV
cat <<'TEXT'

This is the outer machine: a stock Debian kernel with /dev/kvm, emulated by QEMU.
  cxlvm run --kernel kernels/6.1/bzImage --initrd kernels/6.1/initrd --cmdline 'console=ttyS0 job=shell'
  cxlvm check
  kernels/*/            bzImage, vmlinux and a busybox initrd; job= says what its init does:
                        poweroff (default), shell, reset, panic, smp, memory, console, button
  scenarios/*.sh        what the scenarios do
  poweroff -f           ends the outer machine
TEXT
