// SPDX-License-Identifier: Apache-2.0
#include "postgresql/workload.hpp"

#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <unistd.h>

#include <sstream>
#include <stdexcept>

#include "base/process.hpp"

namespace dlm_freeze::integration {

void Workload::prepare(const Server& server, const std::string& tablespace) {
  server.sql("CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app");
  server.sql(
      "CREATE TABLE counts (writer int, n bigint, PRIMARY KEY (writer, n));"
      "GRANT ALL ON counts TO app");
  std::vector<std::string> arguments = {"-i", "-q", "-s", "3"};
  if (!tablespace.empty()) {
    arguments.insert(arguments.end(), {"--tablespace=" + tablespace, "--index-tablespace=" + tablespace});
  }
  server.tool("pgbench", arguments);
}

Workload::Workload(const Server& server)
    : conninfo_("host=" + server.sockets() + " port=" + std::to_string(server.spec().port) +
                " user=app dbname=postgres") {
  const auto words = server.command("pgbench", {"-n", "-c", "4", "-T", "600"});
  const auto argv = c_strings(words);
  pgbench_ = check(::fork(), "fork");
  if (pgbench_ == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    close_from(STDERR_FILENO + 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  for (int writer = 0; writer < kWriters; ++writer) {
    threads_[static_cast<std::size_t>(writer)] = std::thread([this, writer] { write(writer); });
  }
  if (!eventually([&] { return goes_on(); }, std::chrono::seconds(5))) {
    throw std::runtime_error("the writers do not write");
  }
}

Workload::~Workload() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  ::kill(pgbench_, SIGKILL);
  static_cast<void>(reap(pgbench_, std::chrono::seconds(5)));
}

void Workload::write(int writer) {
  auto& count = acknowledged_[static_cast<std::size_t>(writer)];
  PGconn* connection = ::PQconnectdb(conninfo_.c_str());
  const std::string first = "SELECT coalesce(max(n), 0) FROM counts WHERE writer = " + std::to_string(writer);
  PGresult* result = ::PQexec(connection, first.c_str());
  if (::PQresultStatus(result) == PGRES_TUPLES_OK) {
    count = std::stoll(::PQgetvalue(result, 0, 0));
  }
  ::PQclear(result);
  while (!stopping_) {
    const std::string insert =
        "INSERT INTO counts VALUES (" + std::to_string(writer) + ", " + std::to_string(count + 1) + ")";
    result = ::PQexec(connection, insert.c_str());
    const bool stored = ::PQresultStatus(result) == PGRES_COMMAND_OK;
    ::PQclear(result);
    if (!stored) break;
    ++count;
  }
  ::PQfinish(connection);
}

Workload::Counts Workload::acknowledged() const {
  Counts counts{};
  for (std::size_t i = 0; i < kWriters; ++i) counts[i] = acknowledged_[i];
  return counts;
}

bool Workload::goes_on() const {
  const Counts before = acknowledged();
  return eventually(
      [&] {
        const Counts now = acknowledged();
        for (std::size_t i = 0; i < kWriters; ++i) {
          if (now[i] < before[i] + 2) return false;
        }
        return true;
      },
      std::chrono::seconds(2));
}

Workload::Counts Workload::stored(const Server& server) {
  std::istringstream rows(server.sql("SELECT writer || ' ' || count(*) || ' ' || max(n) FROM counts GROUP BY writer"));
  Counts counts{};
  std::size_t writer = 0;
  std::int64_t number = 0;
  std::int64_t highest = 0;
  while (rows >> writer >> number >> highest) {
    if (number != highest) throw std::runtime_error("writer " + std::to_string(writer) + ": a gap");
    counts.at(writer) = number;
  }
  return counts;
}

}  // namespace dlm_freeze::integration
