// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/unpacked_kernel.hpp"

#include <utility>

#include "io/error.hpp"
#include "vmm/boot/filler.hpp"
#include "vmm/boot/kernel_cache.hpp"

namespace cxlvm::boot {

namespace {

std::optional<KernelCache> open_cache(io::Log& log) {
    try {
        return KernelCache(KernelCache::default_folder());
    } catch (const io::Error& error) {
        log.info("unpacked kernels are not kept: {}", error.what());
        return std::nullopt;
    }
}

UnpackedKernel from_cache(CachedKernel&& found, bool was_there) {
    return {
        .file = std::move(found.file), .kernel = std::move(found.kernel), .from_cache = was_there};
}

std::optional<CachedKernel> store(KernelCache& cache, const Digest& digest,
                                  const KernelImage& kernel, std::span<const std::byte> bytes,
                                  io::Log& log) {
    try {
        return cache.store(digest, kernel, bytes);
    } catch (const io::Error& error) {
        log.info("this unpacked kernel is not kept: {}", error.what());
        return std::nullopt;
    }
}

}  // namespace

UnpackedKernel unpack_kernel(const Image& file, const BzImage& image, bool use_cache,
                             io::Log& log) {
    std::optional<KernelCache> cache = use_cache ? open_cache(log) : std::nullopt;
    const std::optional<FileIdentity> identity = cache ? file.identity() : std::nullopt;
    if (identity) {
        if (auto found = cache->find(*identity)) {
            return from_cache(std::move(*found), true);
        }
    }

    const io::Mapping payload = make_buffer(image.payload.size, file.name());
    file.read(image.payload.offset, payload.bytes());
    Digest digest{};
    if (cache) {
        digest = Blake2b::of(payload.bytes());
        // Not when the file was changed while it was read.
        if (identity && identity == file.identity()) {
            cache->remember(*identity, digest);
        }
        if (auto found = cache->find(digest)) {
            return from_cache(std::move(*found), true);
        }
    }

    io::Mapping unpacked = make_buffer(image.unpacked_size, file.name());
    unpack(*image.format, payload.bytes(), unpacked.bytes(), file.name());
    Image elf(std::move(unpacked), file.name());
    KernelImage kernel = parse_elf(elf);
    split_off_filler(kernel, elf.bytes());
    if (cache) {
        if (auto stored = store(*cache, digest, kernel, elf.bytes(), log)) {
            return from_cache(std::move(*stored), false);
        }
    }
    return {.file = std::move(elf), .kernel = std::move(kernel), .from_cache = false};
}

}  // namespace cxlvm::boot
