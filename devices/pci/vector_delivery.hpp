// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "devices/msi.hpp"
#include "io/mutex.hpp"

namespace cxlvm::pci {

/// The registers that say what becomes of an interrupt. Each call locks for itself; any thread.
class VectorRegisters {
  public:
    /// What `vector` sends, or nothing while it is masked or may not send.
    [[nodiscard]] virtual std::optional<MsiMessage> message(unsigned vector) noexcept = 0;
    /// Sets the pending bit.
    virtual void set_pending(unsigned vector) noexcept = 0;
    /// Clears the pending bit and returns what it was.
    virtual bool take_pending(unsigned vector) noexcept = 0;

  protected:
    VectorRegisters() = default;
    VectorRegisters(const VectorRegisters&) = default;
    VectorRegisters& operator=(const VectorRegisters&) = default;
    ~VectorRegisters() = default;
};

/// Keeps the routes of a function's vectors in line with its registers, and sends interrupts. No
/// interrupt is lost when a guest masks or unmasks its vector at the same time: it is sent or
/// becomes pending.
///
/// Each vector has a lock of its own, held from the reading of the registers until the route is
/// given or the message sent. So of two threads the later one has seen both changes, a message
/// never meets a route that was taken away in between, and vectors do not wait for one another. It
/// comes before the locks of the registers.
class VectorDelivery {
  public:
    /// `registers` and the vectors outlive this.
    VectorDelivery(VectorRegisters& registers, std::span<MsiVector* const> vectors);

    [[nodiscard]] std::size_t count() const noexcept { return slots_.size(); }

    /// The registers of `vector`, which is below count(), have changed: routes it anew if need be,
    /// and sends what was pending. Any thread.
    void settle(unsigned vector) noexcept;
    void settle_all() noexcept;
    /// An interrupt of `vector`, which is below count(): sends it, or makes it pending. Any thread.
    void raise(unsigned vector) noexcept;

  private:
    struct Slot {
        MsiVector* vector = nullptr;
        io::Mutex mutex;
        std::optional<MsiMessage> routed CXLVM_GUARDED_BY(mutex){};
    };

    /// Returns whether the vector can send.
    bool route(Slot& slot, unsigned vector) noexcept CXLVM_REQUIRES(slot.mutex);

    // Wiring.
    VectorRegisters& registers_;
    // State: `routed` mirrors what the vector was told; registers decide it, also on reset.
    std::vector<Slot> slots_;
};

}  // namespace cxlvm::pci
