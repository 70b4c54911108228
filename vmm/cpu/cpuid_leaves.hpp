// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace cxlvm::cpu {

/// Numbers of CPUID leaves (EAX of the instruction), by number.
///
/// Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E; for 0x4000'00xx the kernel's
/// Documentation/virt/kvm/x86/cpuid.rst, and for 0x4000'0010 the timing leaf that several
/// hypervisors share.
enum Leaf : std::uint32_t {
    kVendor = 0x0,
    kFeatures = 0x1,
    kCache = 0x4,
    kStructured = 0x7,  ///< structured extended feature flags
    kTopology = 0xb,
    kExtendedState = 0xd,  ///< components that XSAVE saves
    kTscCrystal = 0x15,
    kTileInformation = 0x1d,
    kTileMultiply = 0x1e,
    kTopologyV2 = 0x1f,
    kAvx10 = 0x24,
    kHypervisor = 0x4000'0000,
    kKvmFeatures = 0x4000'0001,
    kTiming = 0x4000'0010,
    kHypervisorLast = 0x4000'ffff,
    kExtendedFeatures = 0x8000'0001,
    kAddressSize = 0x8000'0008,
    kAmdCache = 0x8000'001d,
    kAmdTopology = 0x8000'001e,
    kAmdTopologyV2 = 0x8000'0026,
};

}  // namespace cxlvm::cpu
