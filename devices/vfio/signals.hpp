// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cxlvm::vfio {

/// A level-triggered wire of the guest's that the host's kernel drives: a signal of `trigger`
/// raises it until the guest has served the interrupt, which lowers it and signals `resample`.
/// Eventfds.
struct SignalledPin {
    int trigger = -1;
    int resample = -1;
};

}  // namespace cxlvm::vfio
