// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "devices/msi.hpp"
#include "io/eventfd.hpp"
#include "io/log.hpp"
#include "vmm/kvm/irq_chip.hpp"

namespace cxlvm {

/// A vector that KVM delivers whenever its eventfd is written: by us, or by whoever was given the
/// descriptor (vhost, VFIO). KVM sends the message in the context of the write, so that no thread
/// of ours is woken.
class MsiIrqfd final : public MsiVector {
  public:
    /// `name` is a literal, for messages. Throws io::Error.
    MsiIrqfd(const char* name, IrqChip& chip, io::Log& log);
    MsiIrqfd(const MsiIrqfd&) = delete;
    MsiIrqfd& operator=(const MsiIrqfd&) = delete;
    ~MsiIrqfd();

    /// A message that is none (see GsiRoutes::set) leaves the vector without a route, and a line in
    /// the log.
    void route(const std::optional<MsiMessage>& message) noexcept override;
    void fire() noexcept override { event_.signal(); }
    [[nodiscard]] int share() noexcept override;

  private:
    /// An acquired GSI.
    class Gsi {
      public:
        explicit Gsi(GsiRoutes& routes) : routes_(routes), number_(routes.acquire()) {}
        Gsi(const Gsi&) = delete;
        Gsi& operator=(const Gsi&) = delete;
        ~Gsi() { routes_.release(number_); }

        [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

      private:
        GsiRoutes& routes_;
        const std::uint32_t number_;
    };

    const char* const name_;
    IrqChip& chip_;
    io::Log& log_;
    io::RateLimit refused_limit_;
    std::atomic<bool> shared_{false};
    io::EventFd event_;
    Gsi gsi_;
};

}  // namespace cxlvm
