// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "devices/msi.hpp"
#include "io/mutex.hpp"

namespace cxlvm::vfio {

/// A vector that MSI and MSI-X of one function both have, each by an end of its own. What is routed
/// at MSI-X's end comes first. A guest that enables both gets what the standard leaves undefined
/// (PCI Express 6.0, 6.1.4), but both at once never reach the vector, and neither loses its message
/// by what becomes of the other.
class SharedVector {
  public:
    /// `vector` outlives this.
    explicit SharedVector(MsiVector& vector) noexcept
        : vector_(vector), msi_(*this), msix_(*this) {}
    SharedVector(const SharedVector&) = delete;
    SharedVector& operator=(const SharedVector&) = delete;
    ~SharedVector() = default;

    [[nodiscard]] MsiVector& vector() noexcept { return vector_; }
    [[nodiscard]] MsiVector& msi() noexcept { return msi_; }
    [[nodiscard]] MsiVector& msix() noexcept { return msix_; }

  private:
    class End final : public MsiVector {
      public:
        explicit End(SharedVector& shared) noexcept : shared_(shared) {}
        void route(const std::optional<MsiMessage>& message) noexcept override {
            shared_.route(*this, message);
        }
        void fire() noexcept override { shared_.vector_.fire(); }
        [[nodiscard]] int share() noexcept override { return shared_.vector_.share(); }

      private:
        friend class SharedVector;
        SharedVector& shared_;
        std::optional<MsiMessage> message_{};  // guarded by the mutex of shared_
    };

    void route(End& end, const std::optional<MsiMessage>& message) noexcept CXLVM_EXCLUDES(mutex_) {
        const io::MutexLock lock(mutex_);
        end.message_ = message;
        const auto& sent = msix_.message_ ? msix_.message_ : msi_.message_;
        if (sent != routed_) {
            vector_.route(sent);
            routed_ = sent;
        }
    }

    // Wiring.
    MsiVector& vector_;
    // Held while the vector is routed; behind all locks of the function.
    io::Mutex mutex_;
    // State: what the ends were told, and the vector.
    End msi_;
    End msix_;
    std::optional<MsiMessage> routed_ CXLVM_GUARDED_BY(mutex_){};
};

}  // namespace cxlvm::vfio
