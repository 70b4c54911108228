// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/kernel_config.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <charconv>
#include <memory>

#include "memory/host_memory.hpp"

namespace cxlvm::host_check {

namespace {

constexpr std::size_t kMaxText = std::size_t{4} << 20;

// zlib reads files that are not compressed as they are.
std::string read_compressed(const std::string& path) {
    struct Close {
        void operator()(gzFile file) const noexcept { ::gzclose(file); }
    };
    const std::unique_ptr<gzFile_s, Close> file(::gzopen(path.c_str(), "rbe"));
    std::string text;
    if (!file) {
        return text;
    }
    std::array<char, 16384> buffer;
    while (text.size() < kMaxText) {
        const int got = ::gzread(file.get(), buffer.data(), buffer.size());
        if (got <= 0) {
            break;
        }
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return text;
}

}  // namespace

KernelConfig::KernelConfig(const std::string& root)
    : release_(host::read_text(root + "/proc/sys/kernel/osrelease").value_or("")) {
    while (!release_.empty() && (release_.back() == '\n' || release_.back() == ' ')) {
        release_.pop_back();
    }
    const char* const end = release_.data() + release_.size();
    const auto result = std::from_chars(release_.data(), end, major_);
    if (result.ec == std::errc{} && result.ptr != end && *result.ptr == '.') {
        std::from_chars(result.ptr + 1, end, minor_);
    }
    for (const std::string& path :
         {std::string("/proc/config.gz"), fmt::format("/boot/config-{}", release_),
          fmt::format("/lib/modules/{}/config", release_)}) {
        if (const std::string text = read_compressed(root + path); !text.empty()) {
            text_ = "\n" + text;
            return;
        }
    }
}

bool KernelConfig::at_least(unsigned major, unsigned minor) const noexcept {
    return major_ > major || (major_ == major && minor_ >= minor);
}

KernelConfig::Option KernelConfig::option(std::string_view name) const {
    if (!known()) {
        return Option::Unknown;
    }
    const std::string line = fmt::format("\nCONFIG_{}=", name);
    const std::size_t found = text_.find(line);
    if (found == std::string::npos || found + line.size() >= text_.size()) {
        return Option::Off;
    }
    switch (text_[found + line.size()]) {
        case 'y':
            return Option::BuiltIn;
        case 'm':
            return Option::Module;
        default:
            return Option::Off;
    }
}

}  // namespace cxlvm::host_check
