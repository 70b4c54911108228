// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "devices/virtio/net/backend.hpp"
#include "io/fd.hpp"

namespace cxlvm::virtio::net {

/// passt(1): a network without privileges, by way of the host's sockets.
class Passt final : public Backend {
  public:
    /// Connects to the socket of a passt that runs; with an empty path starts one, which ends with
    /// this object, or when this process does, however that ends, and tells the guest of `mtu`
    /// unless that is 0. Throws Error naming --net.
    Passt(const std::string& socket, std::uint16_t mtu);
    Passt(const Passt&) = delete;
    Passt& operator=(const Passt&) = delete;
    ~Passt() override;

    [[nodiscard]] const char* name() const noexcept override { return "passt"; }
    [[nodiscard]] std::span<const std::unique_ptr<Port>> ports() const noexcept override {
        return port_;
    }

  private:
    io::Fd child_;  ///< pidfd of the passt that was started here
    std::array<std::unique_ptr<Port>, 1> port_;
};

}  // namespace cxlvm::virtio::net
