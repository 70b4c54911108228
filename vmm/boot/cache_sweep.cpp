// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/cache_sweep.hpp"

#include <algorithm>
#include <map>

namespace cxlvm::boot {

namespace {

/// The files of one kernel: itself, its seal and the records that lead to it.
struct CachedFiles {
    std::vector<std::string> names;
    std::uint64_t size = 0;
    std::int64_t stored = 0;
    std::optional<std::int64_t> used;  ///< by its newest record
};

bool is_digest(std::string_view text) noexcept {
    return text.size() == 2 * sizeof(Digest) &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The digest in the name of a kernel or its seal; empty for another name.
std::string_view kernel_of(std::string_view name) noexcept {
    if (name.ends_with(kSealSuffix)) {
        name.remove_suffix(kSealSuffix.size());
    }
    return is_digest(name) ? name : std::string_view();
}

bool is_record(std::string_view name) noexcept {
    return name.starts_with(kRecordPrefix) && is_digest(name.substr(kRecordPrefix.size()));
}

}  // namespace

std::vector<std::string> files_to_remove(std::span<const CacheFile> files,
                                         const SweepConfig& config) {
    std::vector<std::string> removed;
    std::map<std::string, CachedFiles, std::less<>> kernels;
    for (const CacheFile& file : files) {
        if (is_record(file.name)) {
            if (config.now - file.modified > kUnusedLimit) {
                removed.push_back(file.name);
            } else if (file.payload) {
                CachedFiles& kernel = kernels[to_hex(*file.payload)];
                kernel.used = std::max(kernel.used.value_or(file.modified), file.modified);
                kernel.names.push_back(file.name);
                kernel.size += file.size;
            }
        } else if (const std::string_view digest = kernel_of(file.name); !digest.empty()) {
            CachedFiles& kernel = kernels[std::string(digest)];
            kernel.stored = std::max(kernel.stored, file.modified);
            kernel.names.push_back(file.name);
            kernel.size += file.size;
        }
    }

    std::uint64_t total = 0;
    std::vector<const CachedFiles*> in_use;
    const std::string keep = to_hex(config.keep);
    for (const auto& [digest, kernel] : kernels) {
        if (digest == keep) {
            total += kernel.size;
        } else if (kernel.used || config.now - kernel.stored <= kDay) {
            total += kernel.size;
            in_use.push_back(&kernel);
        } else {
            removed.insert(removed.end(), kernel.names.begin(), kernel.names.end());
        }
    }
    std::ranges::sort(in_use, {}, [](const CachedFiles* kernel) {
        return kernel->used.value_or(kernel->stored);
    });
    for (const CachedFiles* const kernel : in_use) {
        if (total <= config.size_limit) {
            break;
        }
        removed.insert(removed.end(), kernel->names.begin(), kernel->names.end());
        total -= kernel->size;
    }
    return removed;
}

}  // namespace cxlvm::boot
