// SPDX-License-Identifier: Apache-2.0
#include "standins/standins.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace dlm_freeze {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kForAll = 0777;

/// A directory that every account may write in; those above it that are missing as well.
void make_shared(const fs::path& directory) {
  if (fs::exists(directory)) return;
  make_shared(directory.parent_path());
  fs::create_directory(directory);
  ::chmod(directory.c_str(), kForAll);
}

void give_to_user(const fs::path& path) {
  const passwd* user = ::getpwnam(Standins::kUser);
  if (user == nullptr || ::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
    throw std::system_error(errno, std::system_category(), "chown " + path.string());
}

}  // namespace

Standins::Standins(std::string directory) : directory_(std::move(directory)) {
  fs::create_directories(directory_);
  for (const char* name : {"common.sh", "iris", "irissession", "docker", "hdbsql"})
    fs::copy_file(std::string(DLM_FREEZE_TEST_DATA) + "/../standins/" + name, program(name));
  fs::copy_file(program("irissession"), program("iris-session"));  // `iris session`
  ::chmod(directory_.c_str(), 0755);
  for (const char* name : {"iris", "containers", "hana", "docker", "fail"}) make_shared(path(name));
  set("calls", "");
}

void Standins::add_instance(const std::string& name, std::string home) const {
  if (home.empty()) home = path("homes/" + name);
  make_shared(home + "/mgr");
  make_shared(home + "/journal");
  give_to_user(home + "/mgr");
  std::ofstream(home + "/iris.cpf") << "[ConfigFile]\r\nProduct=IRIS\r\n\r\n[Databases]\r\nIRISSYS=" << home
                                    << "/mgr/\r\nUSER=" << home << "/mgr/user/\r\nFAR=/far/,OTHER\r\n\r\n[Journal]\r\n"
                                    << "AlternateDirectory=" << home << "/journal/\r\nCurrentDirectory=" << home
                                    << "/journal/\r\n";
  set("iris/" + name + "/directory", home);
  set("iris/" + name + "/version", "2024.1.0.267.2");
  set("iris/" + name + "/cpf", "iris.cpf");
  set("iris/" + name + "/state", "ok");
  set("iris/" + name + "/user", kUser);
  set("iris/" + name + "/up", "");
}

bool Standins::is_suspended(const std::string& instance) const {
  const std::string until = get("iris/" + instance + "/suspended");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return !until.empty() && std::stoll(until) > std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void Standins::add_container(const std::string& name, const std::string& volume) const {
  set("containers/" + name + "/up", "");
  set("containers/" + name + "/mounts", R"([{"Type":"bind","Source":")" + volume +
                                            R"(","Destination":"/dur","RW":true},)" +
                                            R"({"Type":"bind","Source":"/etc","Destination":"/etc/host","RW":false}])");
}

void Standins::start_hana(const std::string& version) const {
  for (const auto& [name, text] : {std::pair<std::string, std::string>("up", ""),
                                   {"key", kKey},
                                   {"user", kUser},
                                   {"version", version},
                                   {"databases", "SYSTEMDB YES\nHDB YES\n"},
                                   {"hosts", "hana1 WORKER\n"},
                                   {"catalog", "1700000000000|successful|some backup|\n"}})
    set("hana/" + name, text);
}

void Standins::set(const std::string& name, std::string_view text) const {
  make_shared(fs::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << text;
  ::chmod(path(name).c_str(), 0666);
}

void Standins::remove(const std::string& name) const { fs::remove_all(path(name)); }

std::string Standins::get(const std::string& name) const {
  std::ifstream file(path(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Standins::take_calls() const {
  std::string calls = get("calls");
  set("calls", "");
  return calls;
}

}  // namespace dlm_freeze
