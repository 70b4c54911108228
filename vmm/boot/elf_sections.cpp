// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/elf_sections.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "io/bits.hpp"

namespace cxlvm::boot {

namespace {

/// Linux has about forty.
constexpr std::size_t kMaxSections = 1024;
constexpr std::uint64_t kPageSize = 4096;
constexpr std::uint64_t kWorthMapping = 1U << 20;

/// Of a segment, relative to its start.
struct Run {
    std::uint64_t begin;
    std::uint64_t end;
};

/// The constant sections, joined where nothing that is not constant lies between them.
std::vector<Run> constant_runs(const Segment& segment, bool is_writable,
                               const std::vector<Section>& sections) {
    std::vector<Run> runs;
    std::uint64_t end = 0;  // of what has been looked at
    bool joins = false;
    for (const Section& section : sections) {
        if (section.offset < segment.offset ||
            section.size >
                segment.file_size - std::min(segment.file_size, section.offset - segment.offset)) {
            continue;
        }
        const std::uint64_t begin = section.offset - segment.offset;
        const bool constant =
            !section.is_code && !section.is_read_at_start && !(is_writable && section.is_writable);
        if (constant && begin >= end) {
            if (joins) {
                runs.back().end = begin + section.size;
            } else {
                runs.push_back({.begin = begin, .end = begin + section.size});
            }
        } else if (!constant && joins && begin < runs.back().end) {
            runs.back().end = begin;  // sections that overlap: whoever made them meant no Linux
        }
        joins = constant && begin >= end;
        end = std::max(end, begin + section.size);
    }
    return runs;
}

/// The whole pages of a run; nothing when that is not worth it.
Run whole_pages(const Run& run, std::uint64_t skew) {
    const std::uint64_t begin = io::align_up(run.begin + skew, kPageSize);
    const std::uint64_t end = io::align_down(run.end + skew, kPageSize);
    return end < begin + kWorthMapping ? Run{.begin = 0, .end = 0}
                                       : Run{.begin = begin - skew, .end = end - skew};
}

/// The section header string table; empty where it cannot be believed.
class SectionNames {
  public:
    SectionNames(const Image& file, const std::vector<Elf64_Shdr>& headers, std::size_t index)
        : file_(file) {
        if (index < headers.size() && headers[index].sh_offset <= file.size() &&
            headers[index].sh_size <= file.size() - headers[index].sh_offset) {
            offset_ = headers[index].sh_offset;
            size_ = headers[index].sh_size;
        }
    }

    [[nodiscard]] bool is(const Elf64_Shdr& section, std::string_view name) const {
        std::string found(name.size() + 1, ' ');
        if (section.sh_name > size_ || found.size() > size_ - section.sh_name) {
            return false;
        }
        file_.read(offset_ + section.sh_name, std::as_writable_bytes(std::span(found)));
        return found.starts_with(name) && found.back() == '\0';
    }

  private:
    const Image& file_;
    std::uint64_t offset_ = 0;
    std::uint64_t size_ = 0;
};

}  // namespace

std::vector<Section> loaded_sections(const Image& file, const Elf64_Ehdr& header) {
    const std::uint64_t size = std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
    if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum > kMaxSections ||
        header.e_shoff > file.size() || size > file.size() - header.e_shoff) {
        return {};
    }
    std::vector<Elf64_Shdr> headers(header.e_shnum);
    file.read(header.e_shoff, std::as_writable_bytes(std::span(headers)));
    const SectionNames names(file, headers, header.e_shstrndx);
    std::vector<Section> sections;
    for (const Elf64_Shdr& section : headers) {
        if (section.sh_type != SHT_NULL && section.sh_type != SHT_NOBITS &&
            (section.sh_flags & SHF_ALLOC) != 0 && section.sh_size != 0 &&
            io::checked_add<std::uint64_t>(section.sh_offset, section.sh_size)) {
            sections.push_back({.offset = section.sh_offset,
                                .size = section.sh_size,
                                .is_code = (section.sh_flags & SHF_EXECINSTR) != 0,
                                .is_writable = (section.sh_flags & SHF_WRITE) != 0,
                                .is_read_at_start = names.is(section, ".BTF")});
        }
    }
    std::ranges::sort(sections, {}, &Section::offset);
    return sections;
}

std::vector<Segment> split_by_sections(const Segment& segment, bool is_writable,
                                       const std::vector<Section>& sections) {
    std::vector<Segment> parts;
    std::uint64_t at = 0;
    const auto add = [&](std::uint64_t end, bool constant) {
        if (at != end) {
            parts.push_back({.address = Gpa(segment.address.value() + at),
                             .offset = segment.offset + std::min(at, segment.file_size),
                             .file_size = std::clamp(segment.file_size, at, end) - at,
                             .memory_size = end - at,
                             .constant = constant});
        }
        at = end;
    };
    const std::uint64_t skew = segment.address.value() % kPageSize;
    for (const Run& run : constant_runs(segment, is_writable, sections)) {
        const Run pages = whole_pages(run, skew);
        if (pages.end != 0) {
            add(pages.begin, segment.constant);
            add(pages.end, true);
        }
    }
    add(segment.memory_size, segment.constant);
    return parts;
}

}  // namespace cxlvm::boot
