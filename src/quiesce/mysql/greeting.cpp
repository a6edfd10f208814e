// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/greeting.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace dlm_freeze::mysql {
namespace {

constexpr std::size_t kHeader = 4;  ///< Length and number of a packet.

GreetingGuard*& guard_of_thread() {
  thread_local GreetingGuard* guard = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
  return guard;
}

/// By the library, after each of its reads (mode 0) and writes; the count is negative if that failed.
void on_transfer(int mode, ClientHandle* handle, const unsigned char* bytes, std::size_t count) {
  GreetingGuard* const guard = guard_of_thread();
  if (guard == nullptr || mode != 0 || static_cast<ssize_t>(count) <= 0) return;
  guard->received(handle, {reinterpret_cast<const char*>(bytes), count});
}

}  // namespace

Greeting judge_greeting(std::string_view bytes) {
  constexpr std::size_t kAfterName = 13;   // Thread, scramble and a zero; the capabilities come next.
  constexpr unsigned char kError = 0xff;   // In the place of the protocol's version.
  constexpr unsigned char kTlsBit = 0x08;  // CLIENT_SSL, 0x0800: in the second byte.
  if (bytes.size() <= kHeader + sizeof(std::uint16_t)) return Greeting::incomplete;
  if (static_cast<unsigned char>(bytes[kHeader]) == kError) return Greeting::refuses;
  const std::size_t name_end = bytes.find('\0', kHeader + 1);
  if (name_end == std::string_view::npos) return Greeting::incomplete;
  const std::size_t at = name_end + 1 + kAfterName + 1;
  if (bytes.size() <= at) return Greeting::incomplete;
  return (static_cast<unsigned char>(bytes[at]) & kTlsBit) != 0 ? Greeting::offers_tls : Greeting::lacks_tls;
}

SqlError no_tls_error() { return {kTlsError, "the server does not offer TLS: set it up there, or set tls to off"}; }

void watch_greetings(const ClientLibrary& library) {
  if (library.register_callback != nullptr) library.register_callback(1, on_transfer);
}

GreetingGuard::GreetingGuard() { guard_of_thread() = this; }
GreetingGuard::~GreetingGuard() { guard_of_thread() = nullptr; }

void GreetingGuard::received(ClientHandle* handle, std::string_view bytes) {
  if (verdict_ != Greeting::incomplete) return;
  greeting_ += bytes;
  verdict_ = judge_greeting(greeting_);
  if (verdict_ == Greeting::lacks_tls || verdict_ == Greeting::refuses)
    ::shutdown((*client_library()).socket_of(handle), SHUT_WR);
}

SqlError GreetingGuard::explained(SqlError error) const {
  if (verdict_ == Greeting::lacks_tls) return no_tls_error();
  if (verdict_ != Greeting::refuses) return error;
  const auto byte = [this](std::size_t at) { return static_cast<unsigned char>(greeting_.at(kHeader + at)); };
  const unsigned code = byte(1) | static_cast<unsigned>(byte(2)) << 8;
  return {code, std::move(error.message)};
}

}  // namespace dlm_freeze::mysql
