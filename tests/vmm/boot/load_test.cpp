// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/load.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/vmm/boot/image_builder.hpp"
#include "vmm/boot/elf.hpp"
#include "vmm/boot/image.hpp"
#include "vmm/builtin_guest/builtin_guest.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using test::Bytes;
using test::default_header;
using test::ElfSpec;
using test::input_error;
using test::linux_like;
using test::make_bzimage;
using test::make_elf64;
using test::make_pvh_note;
using test::pack;
using test::pattern;
using testing::HasSubstr;
using Mode = EntryState::Mode;

constexpr std::uint64_t kText = 0x20'0000;
constexpr Gpa kRsdp{0xe0000};

class Load : public testing::Test {
  protected:
    void SetUp() override { ::setenv("XDG_CACHE_HOME", (folder_.path() + "/cache").c_str(), 1); }
    void TearDown() override { ::unsetenv("XDG_CACHE_HOME"); }

    /// Loads into fresh memory.
    LoadedGuest boot(const std::string& kernel, BootProtocol protocol = BootProtocol::Auto) {
        config_.kernel = kernel;
        config_.protocol = protocol;
        memory_.emplace(memory_of(memory_size_));
        return load(config_, *memory_, kRsdp, log_);
    }
    std::string failure(const std::string& kernel, BootProtocol protocol = BootProtocol::Auto) {
        return input_error([&] { (void)boot(kernel, protocol); });
    }
    std::string bzimage(PayloadFormat format = PayloadFormat::Lz4,
                        SetupHeader header = default_header(), const ElfSpec& spec = linux_like()) {
        return folder_.write("bzImage", make_bzimage(pack(format, make_elf64(spec)), header));
    }
    /// Time stamps come in ticks, and the cache waits until one has passed.
    static void let_time_stamps_settle() {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
    }
    void expect_segments(const ElfSpec& spec) const {
        for (const auto& segment : spec.segments) {
            Bytes loaded(segment.content.size());
            ASSERT_TRUE(memory_->read(Gpa(segment.physical_address), loaded));
            EXPECT_TRUE(loaded == segment.content);
        }
    }
    BootParams params() const { return memory_->load<BootParams>(layout::kBootParams).value(); }

    test::TemporaryFolder folder_;
    BootConfig config_;
    io::Log log_{-1, io::LogLevel::Off};
    std::uint64_t memory_size_ = 8U << 20;
    std::optional<GuestMemory> memory_;
};

class LoadFormat : public Load, public testing::WithParamInterface<PayloadFormat> {};

INSTANTIATE_TEST_SUITE_P(All, LoadFormat,
                         testing::Values(PayloadFormat::Gzip, PayloadFormat::Xz,
                                         PayloadFormat::Lzma, PayloadFormat::Lz4,
                                         PayloadFormat::Zstd),
                         [](const auto& format) { return std::string(to_string(format.param)); });

TEST_P(LoadFormat, UnpacksABzImageAndEntersTheKernelDirectly) {
    const LoadedGuest guest = boot(bzimage(GetParam()));
    EXPECT_EQ(guest.format, "bzImage (" + std::string(to_string(GetParam())) + "), unpacked");
    EXPECT_FALSE(guest.from_cache);
    EXPECT_EQ(guest.entry.mode, Mode::Long);
    EXPECT_EQ(guest.entry.entry, Gpa(kText));
    EXPECT_EQ(guest.entry.rsi, layout::kBootParams.value());
    expect_segments(linux_like());
    EXPECT_EQ(params().header.header + 0, SetupHeader::kMagic);
}

TEST_F(Load, TakesTheSecondBootFromTheCache) {
    const std::string path = bzimage();
    let_time_stamps_settle();
    EXPECT_FALSE(boot(path).from_cache);
    const LoadedGuest guest = boot(path);
    EXPECT_TRUE(guest.from_cache);
    EXPECT_EQ(guest.entry.entry, Gpa(kText));
    expect_segments(linux_like());
}

TEST_F(Load, SharesTheCacheBetweenCopiesOfAKernel) {
    const std::string path = bzimage();
    EXPECT_FALSE(boot(path).from_cache);
    std::filesystem::copy_file(path, folder_.path() + "/copy");
    EXPECT_TRUE(boot(folder_.path() + "/copy").from_cache);
}

TEST_F(Load, NoticesThatAKernelFileWasReplaced) {
    const std::string path = bzimage();
    let_time_stamps_settle();
    (void)boot(path);
    const ElfSpec other = linux_like("another text");
    (void)bzimage(PayloadFormat::Lz4, default_header(), other);
    EXPECT_FALSE(boot(path).from_cache);
    expect_segments(other);
}

TEST_F(Load, RebuildsADamagedCacheEntry) {
    const std::string path = bzimage();
    let_time_stamps_settle();
    (void)boot(path);
    for (const auto& item :
         std::filesystem::directory_iterator(folder_.path() + "/cache/cxlvm/kernels")) {
        ASSERT_EQ(::chmod(item.path().c_str(), 0600), 0);
        std::ofstream(item.path(), std::ios::binary) << "damaged";
    }
    EXPECT_FALSE(boot(path).from_cache);
    expect_segments(linux_like());
    EXPECT_TRUE(boot(path).from_cache);
    expect_segments(linux_like());
}

TEST_F(Load, DoesWithoutACacheThatCannotBeMade) {
    (void)folder_.write("cache", pattern(1));  // a file where the folder should be
    EXPECT_FALSE(boot(bzimage()).from_cache);
    EXPECT_FALSE(boot(bzimage()).from_cache);
    expect_segments(linux_like());
}

TEST_F(Load, LeavesTheCacheAloneWhenToldSo) {
    config_.cache = false;
    EXPECT_FALSE(boot(bzimage()).from_cache);
    EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/cache"));
    expect_segments(linux_like());
}

TEST_F(Load, BootsFromADescriptor) {
    const io::Fd file = io::open_file(bzimage(), 0);
    EXPECT_EQ(boot("fd=" + std::to_string(file.get())).entry.entry, Gpa(kText));
}

TEST_F(Load, CanUseTheImagesOwnDecompressor) {
    const LoadedGuest guest = boot(bzimage(), BootProtocol::BzImage);
    EXPECT_EQ(guest.format, "bzImage (lz4)");
    EXPECT_EQ(guest.entry.mode, Mode::Long);
    EXPECT_EQ(guest.entry.entry, Gpa(kText + 0x200));
    EXPECT_EQ(params().header.code32_start + 0, kText);
    Bytes code(0x400);
    ASSERT_TRUE(memory_->read(Gpa(kText), code));
    EXPECT_TRUE(code == pattern(0x400, 99));
}

TEST_F(Load, UsesTheImagesDecompressorForFormatsItDoesNotKnow) {
    for (const PayloadFormat format : {PayloadFormat::Bzip2, PayloadFormat::Lzo}) {
        const std::string path = bzimage(format);
        const LoadedGuest guest = boot(path);
        EXPECT_EQ(guest.format, "bzImage (" + std::string(to_string(format)) + ")");
        EXPECT_EQ(guest.entry.entry, Gpa(kText + 0x200));
        EXPECT_THAT(failure(path, BootProtocol::Linux),
                    testing::AllOf(HasSubstr("does not unpack"), HasSubstr("--boot bzimage")));
    }
}

TEST_F(Load, RefusesAMovableKernelThatDoesNotFitWhereItWouldMoveItself) {
    SetupHeader header = default_header();
    header.pref_address = 0x100'0000;
    memory_size_ = 0x100'0000;  // it ends where the kernel would begin
    const std::string path = bzimage(PayloadFormat::Lz4, header);
    for (const auto protocol : {BootProtocol::Auto, BootProtocol::BzImage}) {
        EXPECT_THAT(failure(path, protocol),
                    testing::AllOf(HasSubstr("at 0x1000000"), HasSubstr("--memory")));
    }
}

TEST_F(Load, EntersAKernelWithout64BitEntryIn32BitMode) {
    SetupHeader header = default_header();
    header.xloadflags = 0;
    const LoadedGuest guest = boot(bzimage(PayloadFormat::Lz4, header));
    EXPECT_EQ(guest.entry.mode, Mode::Protected);
    EXPECT_EQ(guest.entry.entry, Gpa(kText));
    EXPECT_EQ(guest.entry.rsi, layout::kBootParams.value());
}

TEST_F(Load, LoadsAnElfKernel) {
    const LoadedGuest guest = boot(folder_.write("vmlinux", make_elf64(linux_like())));
    EXPECT_EQ(guest.format, "vmlinux");
    EXPECT_EQ(guest.entry.mode, Mode::Long);
    EXPECT_EQ(guest.entry.entry, Gpa(kText));
    expect_segments(linux_like());
    EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/cache"));
}

TEST_F(Load, PrefersThe64BitEntryOfALinuxKernelToItsPvhEntry) {
    ElfSpec spec = linux_like();
    spec.notes = make_pvh_note(kText + 0x80);
    const std::string path = folder_.write("vmlinux", make_elf64(spec));
    EXPECT_EQ(boot(path).entry.entry, Gpa(kText));
    const LoadedGuest guest = boot(path, BootProtocol::Pvh);
    EXPECT_EQ(guest.format, "PVH");
    EXPECT_EQ(guest.entry.mode, Mode::Protected);
    EXPECT_EQ(guest.entry.entry, Gpa(kText + 0x80));
    EXPECT_EQ(guest.entry.rbx, layout::kBootParams.value());
    EXPECT_EQ(memory_->load<std::uint32_t>(layout::kBootParams), StartInfo::kMagic);
}

TEST_F(Load, EntersOtherSystemsByPvh) {
    ElfSpec spec = linux_like();
    spec.notes = test::make_note("Xen", kXenNoteGuestOs, test::bytes_of("FreeBSD"));
    const Bytes pvh = make_pvh_note(kText + 0x80);
    spec.notes.insert(spec.notes.end(), pvh.begin(), pvh.end());
    EXPECT_EQ(boot(folder_.write("kernel", make_elf64(spec))).format, "PVH");
}

TEST_F(Load, EntersAnUnpackedBzImageByPvhWhenTold) {
    ElfSpec spec = linux_like();
    spec.notes = make_pvh_note(kText + 0x80);
    const std::string path = bzimage(PayloadFormat::Zstd, default_header(), spec);
    EXPECT_EQ(boot(path).format, "bzImage (zstd), unpacked");
    const LoadedGuest guest = boot(path, BootProtocol::Pvh);
    EXPECT_EQ(guest.format, "bzImage (zstd), unpacked, PVH");
    EXPECT_TRUE(guest.from_cache) << "the entry must keep the PVH entry";
    EXPECT_EQ(guest.entry.entry, Gpa(kText + 0x80));
}

TEST_F(Load, PutsInitrdsBesideTheKernelAndItsWorkingMemory) {
    const Bytes content = pattern(100'000);
    config_.initrds = {folder_.write("initrd", content)};
    memory_size_ = kText + 0x10'0000;  // up to the end of init_size
    (void)boot(bzimage());
    const std::uint64_t base = params().header.ramdisk_image;
    EXPECT_EQ(params().header.ramdisk_size + 0, content.size());
    EXPECT_LE(base + content.size(), kText);
    Bytes loaded(content.size());
    ASSERT_TRUE(memory_->read(Gpa(base), loaded));
    EXPECT_TRUE(loaded == content);
    // One page more than there is below the kernel.
    config_.initrds = {folder_.write("initrd", pattern(0x10'0001))};
    EXPECT_THAT(failure(bzimage()), testing::AllOf(HasSubstr("initrd"), HasSubstr("--memory")));
}

TEST_F(Load, PassesTheCommandLine) {
    config_.cmdline = "console=hvc0";
    (void)boot(bzimage());
    Bytes text(config_.cmdline->size() + 1);
    ASSERT_TRUE(memory_->read(layout::kCommandLine, text));
    EXPECT_STREQ(reinterpret_cast<const char*>(text.data()), "console=hvc0");
    config_.cmdline = std::string(2048, 'x');
    const std::string path = bzimage();
    EXPECT_THAT(failure(path), testing::AllOf(HasSubstr("at most 2047"), HasSubstr(path)));
    config_.cache = true;
    EXPECT_THAT(failure(path), HasSubstr(path)) << "the user's file, not the cache's";
}

TEST_F(Load, LoadsAnImageFromMemory) {
    const Bytes file = make_elf64(linux_like());
    memory_.emplace(memory_of(memory_size_));
    const LoadedGuest guest = load_elf_image(file, "guest", config_, *memory_, kRsdp);
    EXPECT_EQ(guest.entry.entry, Gpa(kText));
    EXPECT_EQ(guest.entry.mode, Mode::Long);
    expect_segments(linux_like());
}

TEST_F(Load, LoadsTheBuiltInGuestWhenNoKernelIsNamed) {
    memory_size_ = 32U << 20;
    const LoadedGuest guest = boot("");
    EXPECT_EQ(guest.format, "built-in guest");
    EXPECT_EQ(guest.entry.mode, Mode::Long);
    EXPECT_EQ(guest.entry.rsi, layout::kBootParams.value());

    const std::span<const std::byte> elf = builtin_guest();
    const KernelImage image = parse_elf(Image(elf, "the built-in guest"));
    ASSERT_FALSE(image.segments.empty());
    for (const Segment& segment : image.segments) {
        Bytes expected(segment.memory_size);  // zero behind what the file has
        std::ranges::copy(elf.subspan(segment.offset, segment.file_size), expected.begin());
        Bytes loaded(segment.memory_size);
        ASSERT_TRUE(memory_->read(segment.address, loaded));
        EXPECT_TRUE(loaded == expected);
    }
    ASSERT_TRUE(image.entry64);
    EXPECT_EQ(guest.entry.entry, *image.entry64);
}

TEST_F(Load, RefusesBadKernelsInOneLineThatNamesThem) {
    Bytes damaged = make_bzimage(pack(PayloadFormat::Gzip, make_elf64(linux_like())));
    std::fill(damaged.end() - 3000, damaged.end() - 100, std::byte{0xff});
    Bytes bomb_payload = pack(PayloadFormat::Zstd, Bytes(64U << 20));
    const std::uint32_t small = 4096;
    std::copy_n(std::as_bytes(std::span(&small, 1)).begin(), 4, bomb_payload.end() - 4);
    ElfSpec high = linux_like();
    high.segments[1].physical_address = 1ULL << 40;
    std::string arm64(4096, '\0');
    arm64.replace(0x38, 4, "ARM\x64");
    struct Case {
        const char* name;
        Bytes file;
        const char* message;
    };
    const std::vector<Case> cases{
        {"script", test::bytes_of("#!/bin/sh\nexec true\n"), "is a script"},
        {"byte", test::bytes_of("x"), "neither a bzImage nor an ELF file"},
        {"arm64", test::bytes_of(arm64), "is a kernel for arm64"},
        {"damaged", damaged, "payload is damaged"},
        {"bomb", make_bzimage(bomb_payload), "payload is damaged"},
        {"payload", make_bzimage(pack(PayloadFormat::Lz4, pattern(5000))), "not an ELF file"},
        {"high", make_elf64(high), "above 4 GiB"},
    };
    for (const Case& bad : cases) {
        SCOPED_TRACE(bad.name);
        const std::string path = folder_.write(bad.name, bad.file);
        EXPECT_THAT(failure(path),
                    testing::AllOf(testing::StartsWith(path), HasSubstr(bad.message)));
    }
}

TEST_F(Load, RefusesAProtocolThatTheFileDoesNotHave) {
    const std::string elf = folder_.write("vmlinux", make_elf64(linux_like()));
    EXPECT_THAT(failure(elf, BootProtocol::Pvh),
                testing::AllOf(HasSubstr("has no PVH entry"), HasSubstr("--boot linux")));
    EXPECT_THAT(failure(elf, BootProtocol::BzImage),
                testing::AllOf(HasSubstr("is an ELF file"), HasSubstr("--boot auto")));
    EXPECT_THAT(failure(bzimage(), BootProtocol::Pvh), HasSubstr("has no PVH entry"));
    ElfSpec spec = linux_like();
    spec.machine = EM_386;
    spec.notes = make_pvh_note(kText);
    EXPECT_THAT(failure(folder_.write("elf32", test::make_elf32(spec)), BootProtocol::Linux),
                testing::AllOf(HasSubstr("no 64-bit entry"), HasSubstr("--boot pvh")));
}

TEST_F(Load, RefusesAGuestThatIsTooSmall) {
    memory_size_ = 64 * 1024;
    EXPECT_THAT(failure(bzimage()), HasSubstr("--memory"));
    EXPECT_THAT(failure(bzimage(), BootProtocol::BzImage), HasSubstr("needs 1 MiB of memory"));
    EXPECT_THAT(failure(folder_.write("vmlinux", make_elf64(linux_like()))), HasSubstr("--memory"));
}

}  // namespace
}  // namespace cxlvm::boot
