/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in guest's ELF file, as read-only data. */

    .section .rodata.cxlvm_builtin_guest, "a", @progbits
    .balign 64
    .globl cxlvm_builtin_guest_start
    .hidden cxlvm_builtin_guest_start
    .type cxlvm_builtin_guest_start, @object
cxlvm_builtin_guest_start:
    .incbin CXLVM_BUILTIN_GUEST_IMAGE
    .size cxlvm_builtin_guest_start, . - cxlvm_builtin_guest_start
    .globl cxlvm_builtin_guest_end
    .hidden cxlvm_builtin_guest_end
cxlvm_builtin_guest_end:
    .byte 0

    .section .note.GNU-stack, "", @progbits
