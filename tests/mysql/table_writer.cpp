// SPDX-License-Identifier: Apache-2.0
#include "table_writer.hpp"

#include <algorithm>
#include <utility>

namespace dlm_freeze::integration {

TableWriter::TableWriter(const Server& server, std::string table)
    : table_(std::move(table)), thread_(&TableWriter::run, this, server.connect()) {}

void TableWriter::run(Client client) {
  const std::string row = ", REPEAT('x', 200))";
  while (!stopping_) {
    const long next = acknowledged_ + 1;
    sent_ = Clock::now();
    if (client.error_of("INSERT INTO " + table_ + " VALUES (" + std::to_string(next) + row) != 0) break;
    const auto took = Clock::now() - sent_.load();
    if (took > longest_.load()) longest_ = took;
    acknowledged_ = next;
  }
  sent_ = Clock::time_point();
}

Clock::duration TableWriter::longest_wait() const {
  const Clock::time_point sent = sent_;
  const Clock::duration waiting = sent == Clock::time_point() ? Clock::duration::zero() : Clock::now() - sent;
  return std::max(longest_.load(), waiting);
}

void TableWriter::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace dlm_freeze::integration
