// SPDX-License-Identifier: Apache-2.0
#include "cli/logging.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

milliseconds duration_of(const std::function<void()>& act) {
  const auto begin = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

/// A log daemon's end of its socket, which reads when it is told to.
class Daemon {
 public:
  Daemon(const std::string& path, int type) : socket_(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{AF_UNIX, {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    if (type == SOCK_STREAM) ::listen(socket_.get(), 1);
  }

  /// The next message; nothing when there is none.
  std::optional<std::string> read() {
    std::array<char, 65536> buffer{};
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) return std::nullopt;
    return std::string(buffer.data(), static_cast<std::size_t>(size));
  }

  std::vector<std::string> read_all() {
    std::vector<std::string> messages;
    while (auto message = read()) messages.push_back(std::move(*message));
    return messages;
  }

  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
};

class Syslog : public testing::Test {
 protected:
  fakes::Scratch scratch_;
  std::string path_ = scratch_ / "log";
};

TEST_F(Syslog, GetsLinesAsTheCLibraryWritesThem) {
  Daemon daemon(path_, SOCK_DGRAM);
  const auto output = syslog_output(path_);
  const std::string tail = "[A-Z][a-z][a-z] [ 123][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9] dlm-freeze\\[" +
                           std::to_string(::getpid()) + "\\]: ";
  output->write({LogLevel::info, "one"});
  EXPECT_THAT(daemon.read().value_or(""), MatchesRegex("<30>" + tail + "INFO: one"));
  output->write({LogLevel::warn, "two"});
  EXPECT_THAT(daemon.read().value_or(""), MatchesRegex("<28>" + tail + "WARN: two"));
  output->write({LogLevel::error, "three"});
  EXPECT_THAT(daemon.read().value_or(""), MatchesRegex("<27>" + tail + "ERROR: three"));
}

TEST_F(Syslog, DoesNotWaitForADaemonThatDoesNotReadAndSaysHowMuchWasLost) {
  Daemon daemon(path_, SOCK_DGRAM);
  const auto output = syslog_output(path_);
  constexpr int kLines = 2000;
  EXPECT_LT(duration_of([&] {
              for (int i = 0; i < kLines; ++i) output->write({LogLevel::info, "line " + std::to_string(i)});
            }),
            milliseconds(2000));
  const std::vector<std::string> first = daemon.read_all();
  ASSERT_FALSE(first.empty());
  ASSERT_LT(first.size(), 1000U);
  output->write({LogLevel::info, "again"});
  const std::vector<std::string> then = daemon.read_all();
  ASSERT_EQ(then.size(), 2U);
  EXPECT_THAT(then[0], AllOf(StartsWith("<28>"), HasSubstr("WARN: " + dropped_lines(kLines - first.size()))));
  EXPECT_THAT(then[1], EndsWith("INFO: again"));
  output->write({LogLevel::info, "and again"});
  EXPECT_EQ(daemon.read_all().size(), 1U) << "it is said once";
}

TEST_F(Syslog, WaitsALittleForADaemonThatIsBusy) {
  Daemon daemon(path_, SOCK_DGRAM);
  const pid_t reader = fakes::start_child([&] {
    std::vector<std::string> messages;
    while (messages.size() < 100) {
      pollfd event = {daemon.fd(), POLLIN, 0};
      if (::poll(&event, 1, 10'000) <= 0) return 1;
      messages.push_back(daemon.read().value_or(""));
    }
    return 0;
  });
  const auto output = syslog_output(path_);
  for (int i = 0; i < 100; ++i) output->write({LogLevel::info, "line"});
  EXPECT_EQ(output->take_dropped(), 0U);
  EXPECT_EQ(fakes::status_of(reader), 0);
}

TEST_F(Syslog, FollowsSymbolicLinksThatLeadNowhereElse) {
  const std::string real = scratch_ / "real";
  Daemon daemon(real, SOCK_DGRAM);
  ASSERT_EQ(::symlink("real", path_.c_str()), 0);
  syslog_output(path_)->write({LogLevel::info, "one"});
  EXPECT_THAT(daemon.read().value_or(""), EndsWith("INFO: one"));
  // What a link of /proc leads to need not be what it says, and may hang.
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::symlink(("/proc/self/root" + real).c_str(), path_.c_str()), 0);
  const auto output = syslog_output(path_);
  output->write({LogLevel::info, "two"});
  EXPECT_EQ(output->take_dropped(), 1U);
  EXPECT_FALSE(daemon.read());
}

TEST_F(Syslog, FindsADaemonThatWasRestarted) {
  const auto output = syslog_output(path_);
  output->write({LogLevel::info, "nobody"});
  {
    Daemon daemon(path_, SOCK_DGRAM);
    output->write({LogLevel::info, "one"});
    EXPECT_EQ(daemon.read_all().size(), 2U) << "with the line on the one that was lost";
  }
  output->write({LogLevel::info, "nobody"});
  ::unlink(path_.c_str());
  Daemon daemon(path_, SOCK_DGRAM);
  output->write({LogLevel::info, "two"});
  EXPECT_EQ(daemon.read_all().size(), 2U);
}

TEST_F(Syslog, SpeaksToADaemonThatListensForStreams) {
  Daemon daemon(path_, SOCK_STREAM);
  const auto output = syslog_output(path_);
  output->write({LogLevel::info, "one"});
  output->write({LogLevel::info, "two"});
  const UniqueFd connection(::accept4(daemon.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  std::array<char, 4096> buffer{};
  const ssize_t size = ::recv(connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  ASSERT_GT(size, 0);
  const std::string text(buffer.data(), static_cast<std::size_t>(size));
  EXPECT_THAT(text, ContainsRegex("INFO: one"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\0'), 2);
  EXPECT_EQ(text.back(), '\0');
}

TEST_F(Syslog, DoesNotWaitForAStreamThatNobodyReadsOrAccepts) {
  Daemon daemon(path_, SOCK_STREAM);
  const std::string line(1000, 'x');
  std::vector<std::unique_ptr<LogOutput>> outputs;
  EXPECT_LT(duration_of([&] {
              // The backlog is full after a few, the others cannot connect; the first fill their buffers.
              for (int i = 0; i < 6; ++i) {
                outputs.push_back(syslog_output(path_));
                for (int j = 0; j < 1000; ++j) outputs.back()->write({LogLevel::info, line});
              }
            }),
            milliseconds(5000));
  EXPECT_GT(outputs.front()->take_dropped(), 0U);
  EXPECT_EQ(outputs.back()->take_dropped(), 1000U);
}

TEST_F(Syslog, GoesNowhereWhereThereIsNone) {
  const auto output = syslog_output(path_);
  output->write({LogLevel::info, "one"});
  scratch_.write("log", "a file");
  output->write({LogLevel::info, "two"});
  EXPECT_EQ(output->take_dropped(), 2U);
  EXPECT_EQ(fakes::content_of(path_), "a file");
}

/// What `act` writes to stdout, which is a pipe of 4 KiB that is read when `act` has ended, and to stderr.
struct Heard {
  std::string out;
  std::string err;
  int status = -1;
};

Heard run_with_pipes(const std::function<int()>& act) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC) | ::pipe2(err.data(), O_CLOEXEC), 0);
  for (const int end : {out[1], err[1]}) ::fcntl(end, F_SETPIPE_SZ, 4096);
  Heard heard;
  heard.status = fakes::in_child([&] {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    return act();
  });
  const std::array<std::string*, 2> texts = {&heard.out, &heard.err};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& ends = i == 0 ? out : err;
    ::close(ends[1]);
    std::array<char, 65536> buffer{};
    for (ssize_t size = 0; (size = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
      texts.at(i)->append(buffer.data(), static_cast<std::size_t>(size));
    }
    ::close(ends[0]);
  }
  return heard;
}

TEST(CallerOutput, WritesErrorsToStderrAndTheRestToStdout) {
  const Heard heard = run_with_pipes([] {
    const auto output = caller_output();
    output->write({LogLevel::info, "one"});
    output->write({LogLevel::warn, "two"});
    output->write({LogLevel::error, "three"});
    return 0;
  });
  EXPECT_EQ(heard.out, "INFO: one\nWARN: two\n");
  EXPECT_EQ(heard.err, "ERROR: three\n");
}

TEST(CallerOutput, LeavesStdoutToADocument) {
  const Heard heard = run_with_pipes([] {
    const auto output = caller_output({.stdout_is_document = true});
    output->write({LogLevel::warn, "one"});
    return 0;
  });
  EXPECT_EQ(heard.out, "");
  EXPECT_EQ(heard.err, "WARN: one\n");
}

TEST(CallerOutput, LosesNeitherTheCauseNorTheCodeOfAnError) {
  const Heard heard = run_with_pipes([] {
    const auto output = caller_output();
    output->write({LogLevel::error, "the cause: " + std::string(3000, 'x') + ". Return Error Code: 202"});
    return 0;
  });
  EXPECT_LT(heard.err.size(), 1215U);
  EXPECT_THAT(heard.err, AllOf(StartsWith("ERROR: the cause: "), EndsWith(". Return Error Code: 202\n")));
}

TEST(CallerOutput, LeavesRoomForTheLinesAfterALongOne) {
  const Heard heard = run_with_pipes([] {
    const auto output = caller_output();
    output->write({LogLevel::warn, "/" + std::string(4000, 'x') + " is not frozen"});
    return 0;
  });
  EXPECT_LT(heard.out.size(), 610U);
  EXPECT_THAT(heard.out, AllOf(StartsWith("WARN: /xxx"), EndsWith("xxx is not frozen\n")));
}

TEST(CallerOutput, WaitsForItsReaderInAllNotLongerThanItMay) {
  const Heard heard = run_with_pipes([] {
    const auto output = caller_output({.patience = milliseconds(100)});
    const milliseconds took = duration_of([&] {
      for (int i = 0; i < 1000; ++i) output->write({LogLevel::info, "line " + std::to_string(i)});
    });
    output->write({LogLevel::error, "the end"});
    return took > milliseconds(2000) ? 1 : 0;
  });
  EXPECT_EQ(heard.status, 0);
  EXPECT_THAT(heard.out, StartsWith("INFO: line 0\n"));
  EXPECT_EQ(heard.err, "ERROR: the end\n") << "stderr has a patience of its own";
}

TEST(CallerOutput, SaysHowManyLinesItsReaderMissed) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  std::array<char, 65536> buffer{};
  std::string heard;
  EXPECT_EQ(fakes::in_child([&] {
              ::dup2(ends[1], STDOUT_FILENO);
              const auto output = caller_output({.patience = milliseconds(10)});
              for (int i = 0; i < 100; ++i) output->write({LogLevel::info, std::string(100, 'x')});
              if (::read(ends[0], buffer.data(), buffer.size()) < 0) return 1;
              output->write({LogLevel::info, "again"});
              return 0;
            }),
            0);
  const ssize_t size = ::read(ends[0], buffer.data(), buffer.size());
  ASSERT_GT(size, 0);
  heard.assign(buffer.data(), static_cast<std::size_t>(size));
  EXPECT_THAT(heard, AllOf(ContainsRegex("^\n?WARN: [0-9]+ lines were dropped: "), EndsWith("\nINFO: again\n")));
}

TEST(CallerOutput, WritesAllToAReaderWhoIsMerelySlow) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  const pid_t writer = fakes::start_child([&] {
    ::dup2(ends[1], STDOUT_FILENO);
    const auto output = caller_output();
    for (int i = 0; i < 500; ++i) output->write({LogLevel::info, std::string(590, 'x')});
    return 0;
  });
  ::close(ends[1]);
  std::size_t heard = 0;
  std::array<char, 65536> buffer{};
  for (ssize_t size = 0; (size = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
    heard += static_cast<std::size_t>(size);
  EXPECT_EQ(heard, 500U * (590 + 7));
  EXPECT_EQ(fakes::status_of(writer), 0);
}

TEST(CallerOutput, IsHeardThroughASocketAndAFile) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const fakes::Scratch scratch;
  const std::string path = scratch.write("out", "before\n");
  EXPECT_EQ(fakes::in_child([&] {
              ::dup2(ends[1], STDERR_FILENO);
              ::dup2(::open(path.c_str(), O_WRONLY | O_APPEND), STDOUT_FILENO);
              const auto output = caller_output({.patience = milliseconds(100)});
              output->write({LogLevel::info, "one"});
              for (int i = 0; i < 1000; ++i) output->write({LogLevel::error, std::string(900, 'x')});
              return 0;
            }),
            0);
  EXPECT_EQ(fakes::content_of(path), "before\nINFO: one\n");
  std::array<char, 4096> buffer{};
  EXPECT_GT(::recv(ends[0], buffer.data(), buffer.size(), MSG_DONTWAIT), 900);
}

}  // namespace
}  // namespace dlm_freeze
