// SPDX-License-Identifier: Apache-2.0
// Servers in mount namespaces of their own, and processes that only look like them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "harness/container.hpp"
#include "harness/mounts.hpp"
#include "harness/system.hpp"
#include "quiesce/foreign_server.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Milliseconds kLong{20000};

Patience patience(BootClock::duration span = seconds(20)) { return {Deadline::in(span)}; }

/// A process in a container; killed at the end.
class Contained {
 public:
  Contained(const ContainerSpec& spec, const std::function<void()>& job)
      : pid_(fork_into(spec, [&] {
          die_with_test();
          job();
        })) {}
  /// One that executes a program, by another name.
  Contained(const ContainerSpec& spec, const std::vector<std::string>& words)
      : Contained(spec, [&] { ::execv(words.front().c_str(), c_strings(words).data()); }) {}
  Contained(const Contained&) = delete;
  Contained& operator=(const Contained&) = delete;
  ~Contained() {
    ::kill(pid_, SIGKILL);
    static_cast<void>(reap(pid_, kLong));
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

class ForeignServersTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes namespaces";
    static_cast<void>(enter_mount_namespace());
    for (const char* directory : {"/srv/own", "/srv/bin"}) fs::create_directories(directory);
    fs::copy_file("/usr/bin/sleep", program_);
    fs::copy_file(fs::canonical("/usr/bin/python3"), listener_);
    check(::chmod(listener_.c_str(), 0755), "chmod");
  }

  /// A process that listens on these sockets, and answers nothing; once it does.
  std::unique_ptr<Contained> listen(const std::vector<std::string>& sockets, const std::string& then = "") {
    std::string script = "import os,socket,time\nopen('/srv/own/begun','w')\nall=[]\n";
    for (const std::string& path : sockets)
      script += "s=socket.socket(socket.AF_UNIX); s.bind('" + path + "'); s.listen(); all.append(s)\n";
    script += then + "\nos.mkdir('/srv/own/ready')\ntime.sleep(600)\n";
    auto server = std::make_unique<Contained>(
        spec_, std::vector<std::string>{"/usr/bin/env", "PYTHONHOME=/usr", listener_, "-c", script});
    const std::string ready = "/proc/" + std::to_string(server->pid()) + "/root/srv/own/ready";
    if (!eventually([&] { return fs::exists(ready); }, kLong)) throw std::runtime_error("nobody listens");
    return server;
  }

  [[nodiscard]] ForeignServer found(const Contained& process) const {
    auto server = find_server_in("pid:" + std::to_string(process.pid()), "", {kName});
    if (!server || !*server) throw std::runtime_error("it is not found");
    return **server;
  }

  /// No server has it, so that none of another test is in the way.
  static constexpr std::string_view kName = "not-mysqld";
  std::string program_ = "/srv/bin/sleeps";
  std::string listener_ = "/srv/bin/not-mysqld";
  ContainerSpec spec_{.own_directory = "/srv/own"};
};

TEST_F(ForeignServersTest, AreFoundWithWhatTheyListenOn) {
  EXPECT_THAT(find_servers({kName}).servers, IsEmpty());
  const auto process = listen({"/srv/own/mysqld.sock", "/srv/own/mysqlx.sock"});
  const ForeignServers all = find_servers({kName});
  ASSERT_EQ(all.servers.size(), 1U);
  EXPECT_TRUE(has_servers({kName}));
  EXPECT_FALSE(has_servers({"not-mariadbd"}));
  const ForeignServer& server = all.servers.front();
  EXPECT_EQ(server.pid, process->pid());
  EXPECT_THAT(server.sockets, testing::UnorderedElementsAre("/srv/own/mysqld.sock", "/srv/own/mysqlx.sock"));
  EXPECT_EQ(server.container, "pid:" + std::to_string(process->pid()));
  EXPECT_EQ(server.text(), "not-mysqld in process " + std::to_string(process->pid()));
  EXPECT_EQ(root_account_of(server)->uid, 0U);
}

TEST_F(ForeignServersTest, InAUserNamespaceHaveARootOfTheirOwn) {
  spec_.user_namespace = true;
  const auto process = listen({"/srv/own/mysqld.sock"});
  EXPECT_EQ(root_account_of(found(*process))->uid, ContainerSpec::kFirstId);
  EXPECT_EQ(account_of(found(*process))->uid, ContainerSpec::kFirstId);
}

TEST_F(ForeignServersTest, AreLookedIntoFromTheirOwnRoot) {
  const auto process = listen({"/srv/own/mysqld.sock"},
                              "os.symlink('/srv/own/mysqld.sock', '/srv/own/link')\nos.mkdir('/srv/own/data')\n"
                              "os.chdir('/srv/own/data')\nall.append(open('/srv/own/begun'))");
  const ForeignServer server = found(*process);
  EXPECT_FALSE(fs::exists("/srv/own/begun"));
  EXPECT_EQ(look_in_root_of(
                server, [] { return fs::exists("/srv/own/begun"); }, patience())
                .value(),
            true);
  EXPECT_FALSE(fs::exists("/srv/own/begun")) << "the root directory of another thread was changed";
  const auto paths = open_paths_of(server);
  ASSERT_FALSE(paths.empty());
  EXPECT_EQ(paths.front(), "/srv/own/data");
  EXPECT_THAT(paths, testing::Contains("/srv/own/begun"));

  const auto socket = open_place(server, "/srv/own/link", S_IFSOCK, patience());
  ASSERT_TRUE(socket);
  EXPECT_TRUE(check_listener_is(server, **socket));
  EXPECT_THAT(open_place(server, "/srv/own/begun", S_IFSOCK, patience()).error().message, HasSubstr("is not a socket"));
  EXPECT_THAT(open_place(server, "/srv/own/nothing", S_IFSOCK, patience()).error().message, HasSubstr("cannot open"));
  EXPECT_FALSE(listens_on_any(server, {"/srv/own/mysqld.sock"}, patience())) << "there is none on this host";
}

TEST_F(ForeignServersTest, WithASocketOfThisHostAreNoneOfTheirOwn) {
  fs::create_directories("/srv/shared");
  const auto process = listen({"/srv/shared/mysqld.sock"});
  fs::create_symlink("/srv/shared", "/srv/link");
  EXPECT_TRUE(listens_on_any(found(*process), {"/srv/nothing", "/srv/link/mysqld.sock"}, patience()));
  EXPECT_FALSE(listens_on_any(found(*process), {"/srv/nothing"}, patience()));
}

TEST_F(ForeignServersTest, WhoseSocketIsAnotherProcesssAreNotSpokenTo) {
  fs::create_directories("/srv/shared");
  const auto other = listen({"/srv/shared/mysqld.sock"});
  const auto process = listen({"/srv/own/mysqld.sock"},
                              "os.unlink('/srv/own/mysqld.sock')\n"
                              "os.symlink('/srv/shared/mysqld.sock', '/srv/own/mysqld.sock')");
  const ForeignServer server = found(*process);
  const auto socket = open_place(server, server.sockets.front(), S_IFSOCK, patience());
  ASSERT_TRUE(socket);
  EXPECT_THAT(check_listener_is(server, **socket).error().message,
              HasSubstr("but process " + std::to_string(other->pid()) + ", so it is not used"));
}

TEST_F(ForeignServersTest, ThatDoNotAnswerAreLeftAlone) {
  const auto process = listen({"/srv/own/mysqld.sock"});
  const ForeignServer server = found(*process);
  const auto begin = Clock::now();
  const auto result = run_in_root_of(
      server, [] { ::sleep(2); }, patience(Milliseconds(50)));
  EXPECT_LT(Clock::now() - begin, seconds(2));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(result.error().message, HasSubstr("do not answer"));
}

TEST_F(ForeignServersTest, ThatHaveEndedAreNotMistakenForOthers) {
  auto process = listen({"/srv/own/mysqld.sock"});
  ForeignServer server = found(*process);
  ++server.started;
  EXPECT_THAT(run_in_root_of(
                  server, [] {}, patience())
                  .error()
                  .message,
              HasSubstr("has ended"));
  EXPECT_THAT(open_paths_of(server), IsEmpty());
  process.reset();
  EXPECT_THAT(find_servers({kName}).servers, IsEmpty());
}

TEST_F(ForeignServersTest, AreFoundQuicklyAmongManyContainers) {
  constexpr std::size_t kContainers = 500;
  std::vector<std::unique_ptr<Contained>> all;
  const ContainerSpec sleeping{.own_directory = "/srv/own", .network_namespace = false};
  for (std::size_t i = 0; i < kContainers; ++i)
    all.push_back(std::make_unique<Contained>(sleeping, std::vector<std::string>{program_, "600"}));
  const auto process = listen({"/srv/own/mysqld.sock"});
  Clock::duration best = Clock::duration::max();
  for (int i = 0; i < 5; ++i) {
    const auto begin = Clock::now();
    EXPECT_EQ(find_servers({kName, "mysqld", "mariadbd", "postgres", "postmaster"}).left_out, 0U);
    best = std::min<Clock::duration>(best, Clock::now() - begin);
  }
  const auto spent = std::chrono::duration_cast<std::chrono::microseconds>(best).count();
  RecordProperty("microseconds", std::to_string(spent));
  std::cout << "500 containers: " << spent << " us\n";
  EXPECT_LT(best, Milliseconds(150));
}

}  // namespace
}  // namespace dlm_freeze::integration
