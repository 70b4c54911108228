// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace cxlvm::test {

/// A temporary folder that stands for "/"; gone with the object.
class FakeTree {
  public:
    FakeTree() {
        std::string name = (std::filesystem::temp_directory_path() / "cxlvm-test-").string() +
                           std::string(6, 'X');  // for mkdtemp to fill
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("mkdtemp " + name);
        }
        root_ = name;
    }
    FakeTree(const FakeTree&) = delete;
    FakeTree& operator=(const FakeTree&) = delete;
    ~FakeTree() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }

    [[nodiscard]] std::string root() const { return root_.string(); }
    /// Makes the file, with the folders above it. `path` begins with a slash.
    void add_file(const std::string& path, const std::string& text = {}) const {
        const std::filesystem::path file = root_ / path.substr(1);
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
    }
    void add_folder(const std::string& path) const {
        std::filesystem::create_directories(root_ / path.substr(1));
    }

  private:
    std::filesystem::path root_;
};

}  // namespace cxlvm::test
