// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "vmm/cpu/cpuid.hpp"

namespace cxlvm::cpu {

/// Clears every feature whose registers XSAVE cannot save here, and every one that extends such a
/// feature. KVM lists what the host's processor has, bit by bit; a host that hides XSAVE or one of
/// its state components from KVM may leave AVX and what follows it in the list, and a guest that
/// believes them would use instructions that fault.
///
/// Leaves that describe nothing any more are removed.
void drop_without_state(std::vector<CpuidEntry>& entries);

}  // namespace cxlvm::cpu
