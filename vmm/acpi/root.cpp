// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/root.hpp"

#include <utility>

namespace cxlvm::acpi {
namespace {

constexpr std::uint8_t kRsdpRevision = 2;
constexpr std::size_t kRsdpChecksum = 8;  // over the first 20 bytes, as in ACPI 1.0
constexpr std::size_t kRsdpChecksumCovers = 20;
constexpr std::size_t kRsdpSize = 36;
constexpr std::size_t kRsdpExtendedChecksum = 32;  // over all
constexpr std::uint8_t kXsdtRevision = 1;

/// The RSDP has a header of its own.
class Rsdp : public Writer {
  public:
    explicit Rsdp(Gpa xsdt) {
        text("RSD PTR ").put(std::uint8_t{0}).text(kOemId).put(kRsdpRevision);
        put(std::uint32_t{0});  // no RSDT: the XSDT is enough for revision 2
        put(std::uint32_t{kRsdpSize}).put(xsdt.value()).zeros(4);
        bytes_[kRsdpChecksum] =
            static_cast<std::byte>(-byte_sum(std::span(bytes_).first(kRsdpChecksumCovers)));
        bytes_[kRsdpExtendedChecksum] = static_cast<std::byte>(-byte_sum(bytes_));
    }
    [[nodiscard]] TableBytes finish() && { return std::move(bytes_); }
};

}  // namespace

TableBytes rsdp(Gpa xsdt) {
    return Rsdp(xsdt).finish();
}

TableBytes xsdt(std::span<const Gpa> tables) {
    Table table("XSDT", kXsdtRevision);
    for (const Gpa address : tables) {
        table.put(address.value());
    }
    return std::move(table).finish();
}

}  // namespace cxlvm::acpi
