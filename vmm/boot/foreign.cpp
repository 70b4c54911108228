// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/foreign.hpp"

#include <array>

namespace cxlvm::boot {

namespace {

struct Signature {
    std::size_t offset;
    std::string_view bytes;
    std::string_view description;
};

// The first that fits counts: arm64 and RISC-V images may also be PE files.
constexpr std::array<Signature, 17> kSignatures{{
    {0x38, "ARM\x64", "is a kernel for arm64; give one for x86-64"},
    {0x38, "RSC\x05", "is a kernel for RISC-V; give one for x86-64"},
    {0x24, "\x18\x28\x6f\x01", "is a kernel for 32-bit Arm; give one for x86-64"},
    {0, "MZ", "is a PE (EFI) program, not a bzImage; give the kernel itself"},
    {0, "#!", "is a script; give a bzImage or a vmlinux"},
    {0, "070701", "is an initramfs; give it with --initrd"},
    {0, "070702", "is an initramfs; give it with --initrd"},
    {0, "\x27\x05\x19\x56", "is a U-Boot image; give a bzImage or a vmlinux"},
    {0, "\xd0\x0d\xfe\xed", "is a device tree or FIT image; give a bzImage or a vmlinux"},
    {0, "\x1f\x8b", "is compressed (gzip); unpack it first"},
    {0,
     "\xfd"
     "7zXZ",
     "is compressed (xz); unpack it first"},
    {0, "\x28\xb5\x2f\xfd", "is compressed (zstd); unpack it first"},
    {0, "BZh", "is compressed (bzip2); unpack it first"},
    {0, "\x02\x21\x4c\x18", "is compressed (lz4); unpack it first"},
    {0, "\x04\x22\x4d\x18", "is compressed (lz4); unpack it first"},
    {0, "!<arch>", "is an archive or a Debian package; give the kernel from inside it"},
    {0, "PK\x03\x04", "is a zip archive; give the kernel from inside it"},
}};

}  // namespace

std::string_view describe_foreign(std::span<const std::byte> start) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
    for (const Signature& signature : kSignatures) {
        if (text.size() >= signature.offset &&
            text.substr(signature.offset, signature.bytes.size()) == signature.bytes) {
            return signature.description;
        }
    }
    return "is neither a bzImage nor an ELF file; give a Linux kernel for x86-64";
}

}  // namespace cxlvm::boot
