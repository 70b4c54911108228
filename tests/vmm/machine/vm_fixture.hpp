// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "io/log.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"
#include "vmm/vm.hpp"

namespace cxlvm {

/// Boots the built-in guest, whose command line says what it does.
class VmTest : public test::KvmTest {
  protected:
    VmTest() : serial_file_(testing::TempDir() + "cxlvm_vm_test." + std::to_string(::getpid())) {}
    ~VmTest() override { std::filesystem::remove(serial_file_); }

    VmConfig config(const std::string& words) const {
        VmConfig config;
        config.memory.size = 32ULL << 20;
        config.boot.cmdline = "exits=0 quiet " + words;
        config.serial.kind = SerialConfig::Kind::Null;
        return config;
    }
    VmConfig config_with_output(const std::string& words) const {
        VmConfig config = this->config(words);
        config.serial = {SerialConfig::Kind::File, serial_file_};
        return config;
    }
    std::string output() const {
        std::ifstream file(serial_file_);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }
    ExitReason run(const std::string& words) {
        Vm vm(config(words), log_);
        return vm.run();
    }

    io::Log log_{2, io::LogLevel::Off};
    std::string serial_file_;
};

}  // namespace cxlvm
