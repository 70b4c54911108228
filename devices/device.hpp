// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "memory/io_handler.hpp"

namespace cxlvm {

/// A device model: serves accesses and can be reset.
///
/// Fields stand in four groups, in this order: configuration (const after construction), wiring
/// (references to interfaces), accounting (counters, rate limits; survive reset), and `State
/// state_`, which a reset replaces as a whole. Each device takes its own Mutex inside read and
/// write; effects on other objects (an interrupt, a mapping) are carried out after it is released.
class Device : public IoHandler {
  public:
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    virtual ~Device() = default;

    /// For messages; a literal.
    [[nodiscard]] virtual const char* name() const noexcept = 0;
    /// Back to the power-on state. Called with all vCPUs paused.
    virtual void reset() noexcept = 0;

  protected:
    Device() = default;
};

}  // namespace cxlvm
