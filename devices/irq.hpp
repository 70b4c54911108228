// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cxlvm {

/// One wire to the interrupt controller. Any thread; never blocks for long, throws or allocates.
class IrqLine {
  public:
    /// Edge-triggered: raises the interrupt once.
    virtual void pulse() noexcept = 0;
    /// Level-triggered: holds the wire until set(false).
    virtual void set(bool level) noexcept = 0;

  protected:
    IrqLine() = default;
    IrqLine(const IrqLine&) = default;
    IrqLine& operator=(const IrqLine&) = default;
    ~IrqLine() = default;
};

}  // namespace cxlvm
