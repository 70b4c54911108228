// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The instructions that C++ has no words for.
namespace guest {

inline std::uint8_t in8(std::uint16_t port) {
    std::uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline void out8(std::uint16_t port, std::uint8_t value) {
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline std::uint32_t in32(std::uint16_t port) {
    std::uint32_t value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline void out32(std::uint16_t port, std::uint32_t value) {
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

struct Cpuid {
    std::uint32_t eax = 0;
    std::uint32_t ebx = 0;
    std::uint32_t ecx = 0;
    std::uint32_t edx = 0;
};
inline Cpuid cpuid(std::uint32_t leaf, std::uint32_t index = 0) {
    Cpuid result;
    asm volatile("cpuid"
                 : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                 : "a"(leaf), "c"(index));
    return result;
}

inline std::uint64_t read_msr(std::uint32_t index) {
    std::uint32_t low;
    std::uint32_t high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return std::uint64_t{high} << 32 | low;
}
inline std::uint64_t time_stamp() {
    std::uint32_t low;
    std::uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return std::uint64_t{high} << 32 | low;
}
inline std::uint64_t read_cr0() {
    std::uint64_t value;
    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}
inline std::uint64_t read_cr4() {
    std::uint64_t value;
    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

/// Nothing is to run any more; interrupts are off, so only the VMM can end it.
[[noreturn]] inline void halt_forever() {
    for (;;) {
        asm volatile("cli; hlt");
    }
}

/// The T at a physical address, which is mapped onto itself and need not be aligned. The caller has
/// checked the address against the memory map.
template <typename T>
T peek(std::uint64_t address) {
    T value;
    // Address 0 is memory like any other here: the compiler must not know it for a null pointer.
    asm("" : "+r"(address));
    // NOLINTNEXTLINE(performance-no-int-to-ptr): this is how memory is reached here
    __builtin_memcpy(&value, reinterpret_cast<const void*>(address), sizeof(T));
    return value;
}

/// A device register at a physical address: exactly one access.
template <typename T>
volatile T& device_register(std::uint64_t address) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): see peek()
    return *reinterpret_cast<volatile T*>(address);
}

}  // namespace guest
