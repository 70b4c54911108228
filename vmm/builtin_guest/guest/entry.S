/* SPDX-License-Identifier: Apache-2.0 */
/* Entered in long mode with the boot parameters' address in RSI (Linux 64-bit boot protocol). */

    .set STACK_SIZE, 32768

    .section .text.entry, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    cli
    cld
    lea stack_top(%rip), %rsp
    xor %ebp, %ebp
    mov %rsi, %rdi
    call guest_main
1:  hlt
    jmp 1b
    .size _start, . - _start

    .section .bss.stack, "aw", @nobits
    .balign 16
    .skip STACK_SIZE
stack_top:

    .section .note.GNU-stack, "", @progbits
