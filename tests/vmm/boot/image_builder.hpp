// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/boot/payload.hpp"
#include "vmm/boot/spec.hpp"

/// Makes kernels that are small and exactly as right or wrong as a test wants them.
namespace cxlvm::boot::test {

using Bytes = std::vector<std::byte>;

[[nodiscard]] Bytes bytes_of(std::string_view text);
/// `size` bytes that neither repeat soon nor are zero.
[[nodiscard]] Bytes pattern(std::size_t size, std::uint32_t seed = 1);

struct ElfSegment {
    std::uint64_t virtual_address = 0;
    std::uint64_t physical_address = 0;
    Bytes content;
    std::uint64_t memory_size = 0;  ///< 0: as long as the content
    std::uint32_t access = PF_R | PF_W | PF_X;
};

struct ElfSpec {
    std::vector<ElfSegment> segments;
    std::uint64_t entry = 0;
    Bytes notes{};
    std::uint16_t machine = EM_X86_64;
    std::uint16_t type = ET_EXEC;
};

[[nodiscard]] Bytes make_note(std::string_view owner, std::uint32_t type,
                              std::span<const std::byte> data);
[[nodiscard]] Bytes make_pvh_note(std::uint64_t entry);
[[nodiscard]] Bytes make_elf64(const ElfSpec& spec);
[[nodiscard]] Bytes make_elf32(const ElfSpec& spec);
/// A kernel of two segments that is linked like Linux, at 2 MiB; its text begins with `text`.
[[nodiscard]] ElfSpec linux_like(std::string_view text = "kernel text");

/// The payload as Linux appends it: packed, then the unpacked size unless the format has it.
[[nodiscard]] Bytes pack(PayloadFormat format, std::span<const std::byte> bytes);

/// A bzImage around `payload`; `change` may spoil its header.
[[nodiscard]] SetupHeader default_header();
[[nodiscard]] Bytes make_bzimage(std::span<const std::byte> payload,
                                 SetupHeader header = default_header());

/// A folder that goes away with everything in it.
class TemporaryFolder {
  public:
    TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Writes a file; its path.
    [[nodiscard]] std::string write(const std::string& name,
                                    std::span<const std::byte> bytes) const;

  private:
    std::string path_;
};

[[nodiscard]] inline GuestMemoryConfig memory_of(std::uint64_t size) {
    GuestMemoryConfig config;
    config.size = size;
    return config;
}

/// Calls `call` and returns the message of the io::Error (Input) that it must throw.
template <typename Call>
std::string input_error(Call&& call) {
    try {
        call();
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input) << error.what();
        EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

}  // namespace cxlvm::boot::test
