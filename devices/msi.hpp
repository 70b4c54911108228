// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace cxlvm {

/// A message-signalled interrupt as the guest programs it: a dword written to an address
/// (PCI Express 6.0, 6.1.4).
struct MsiMessage {
    std::uint64_t address = 0;
    std::uint32_t data = 0;

    friend constexpr bool operator==(const MsiMessage&, const MsiMessage&) noexcept = default;
};

/// One interrupt vector of a function, on its way to the guest's interrupt controllers.
///
/// What masks a vector is the function's business: it takes the route away while the vector is
/// masked or disabled, and remembers what became pending. Never blocks for long, throws or
/// allocates.
class MsiVector {
  public:
    /// From now on firing sends `message`; with nothing it is without effect. What was fired before
    /// may still arrive. Any thread; calls for one vector are serialised by its function.
    virtual void route(const std::optional<MsiMessage>& message) noexcept = 0;
    /// Sends the message. Any thread.
    virtual void fire() noexcept = 0;
    /// An eventfd for somebody else to signal (vhost, VFIO): that sends the message, too. A signal
    /// that comes while there is no message to send is made up for when there is one again: by that
    /// message, or by each new one, for what may have come. -1 when there is no such eventfd. It
    /// lives as long as the vector. Any thread.
    [[nodiscard]] virtual int share() noexcept { return -1; }
    /// The function has been reset: signals of share()'s eventfd that wait in it for a message are
    /// taken out, where the vector leaves them there. Any thread.
    virtual void forget_signals() noexcept {}

  protected:
    MsiVector() = default;
    MsiVector(const MsiVector&) = default;
    MsiVector& operator=(const MsiVector&) = default;
    ~MsiVector() = default;
};

}  // namespace cxlvm
