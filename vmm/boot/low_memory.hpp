// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/error.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::boot {

/// Writes a structure of the boot protocol into memory below 1 MiB. Throws Error (Input) when the
/// guest has too little memory to hold it.
inline void put(GuestMemory& memory, Gpa address, std::span<const std::byte> bytes) {
    if (!memory.write(address, bytes)) {
        io::throw_input("--memory: too small for the boot parameters; a guest needs 2 MiB or more");
    }
}

template <typename T>
void put(GuestMemory& memory, Gpa address, const T& value) {
    put(memory, address, std::as_bytes(std::span(&value, 1)));
}

}  // namespace cxlvm::boot
