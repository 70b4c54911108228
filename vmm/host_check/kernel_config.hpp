// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cxlvm::host_check {

/// Release and build configuration of the running kernel, as far as the host shows them.
class KernelConfig {
  public:
    /// Reads /proc/config.gz, else the file that distributions install, below `root`.
    explicit KernelConfig(const std::string& root);

    /// "6.1.0-49-cloud-amd64"; empty when unknown.
    [[nodiscard]] const std::string& release() const noexcept { return release_; }
    /// Whether the release is `major`.`minor` or newer; false when unknown.
    [[nodiscard]] bool at_least(unsigned major, unsigned minor) const noexcept;
    /// Whether the configuration could be read.
    [[nodiscard]] bool known() const noexcept { return !text_.empty(); }

    enum class Option { Unknown, Off, Module, BuiltIn };
    /// `name` without "CONFIG_".
    [[nodiscard]] Option option(std::string_view name) const;

  private:
    std::string release_;
    unsigned major_ = 0;
    unsigned minor_ = 0;
    std::string text_;  // begins with a newline when known
};

}  // namespace cxlvm::host_check
