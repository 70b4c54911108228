// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/line.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "io/open_error.hpp"

namespace cxlvm {

namespace {

/// Leads nowhere: no peer ever comes.
class NullLine final : public Line {
  public:
    void open() noexcept override {}
};

/// Descriptors that are there from the start and never come back once they have gone.
class FixedLine final : public Line {
  public:
    FixedLine(Owner& owner, int input, int output)
        : owner_(owner), input_(input), output_(output) {}
    FixedLine(Owner& owner, io::Fd output)
        : owner_(owner), output_(output.get()), owned_(std::move(output)) {}

    void open() noexcept override { owner_.line_up(input_, output_); }

  private:
    Owner& owner_;
    int input_ = -1;
    int output_;
    io::Fd owned_;
};

/// Opened, locked against a second writer, and only then truncated.
io::Fd open_output(const std::string& path, const char* option) {
    // O_NONBLOCK: opening a FIFO that nobody reads must fail instead of waiting.
    io::Fd file = io::open_file(path, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK, 0666, option);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return file;  // a device or a FIFO
    }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        io::throw_input(std::string(option) + ": " + path +
                        ": another process writes to it; give each VM a file of its own");
    }
    if (::ftruncate(file.get(), 0) != 0) {
        io::throw_open_error(errno, {.path = path,
                                     .purpose = io::OpenPurpose::Write,
                                     .option = option,
                                     .action = "truncate"});
    }
    return file;
}

}  // namespace

std::unique_ptr<Line> make_line(const SerialConfig& config, const ConsoleName& name,
                                io::EventLoop& loop, io::Log& log, Line::Owner& owner) {
    switch (config.kind) {
        case SerialConfig::Kind::Stdio:
            return std::make_unique<FixedLine>(owner, STDIN_FILENO, STDOUT_FILENO);
        case SerialConfig::Kind::Null:
            break;
        case SerialConfig::Kind::File:
            return std::make_unique<FixedLine>(owner, open_output(config.path, name.option));
        case SerialConfig::Kind::Pty:
            return make_pty_line(loop, owner);
        case SerialConfig::Kind::Unix:
            return make_unix_line(config.path, name, loop, log, owner);
    }
    return std::make_unique<NullLine>();
}

}  // namespace cxlvm
