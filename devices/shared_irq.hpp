// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/irq.hpp"
#include "io/mutex.hpp"

namespace cxlvm {

/// A level-triggered wire that several devices hold: high while one of them does, as INTx pins
/// share a wire to the interrupt controller (PCI Express 6.0, 6.1.2). Any thread.
class SharedIrq {
  public:
    /// `wire` outlives this, and nobody else drives it.
    explicit SharedIrq(IrqLine& wire) noexcept : wire_(wire) {}
    SharedIrq(const SharedIrq&) = delete;
    SharedIrq& operator=(const SharedIrq&) = delete;
    ~SharedIrq() = default;

    /// One device's hold on the wire.
    class Holder final : public IrqLine {
      public:
        /// `shared` outlives this.
        explicit Holder(SharedIrq& shared) noexcept : shared_(shared) {}

        /// Without effect while another device holds the wire: that is no edge to anybody.
        void pulse() noexcept override {
            set(true);
            set(false);
        }
        void set(bool level) noexcept override {
            // Held until the wire is driven, so that it is driven in the order of the changes.
            const io::MutexLock lock(shared_.mutex_);
            if (level == level_) {
                return;
            }
            level_ = level;
            const unsigned before = shared_.holders_;
            shared_.holders_ = level ? before + 1 : before - 1;
            if (before == 0 || shared_.holders_ == 0) {
                shared_.wire_.set(level);
            }
        }

      private:
        SharedIrq& shared_;
        bool level_ = false;  ///< guarded by the shared mutex
    };

  private:
    IrqLine& wire_;
    io::Mutex mutex_;
    unsigned holders_ CXLVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace cxlvm
