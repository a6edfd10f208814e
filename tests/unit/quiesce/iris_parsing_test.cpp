// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "fakes/scratch.hpp"
#include "quiesce/iris/backup_general.hpp"
#include "quiesce/iris/container.hpp"
#include "quiesce/iris/instances.hpp"
#include "quiesce/iris/locations.hpp"
#include "quiesce/iris/log_files.hpp"

namespace dlm_freeze::iris {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Status = IrisInstance::Status;

std::vector<std::string> names_of(const std::vector<IrisInstance>& instances) {
  std::vector<std::string> names;
  for (const IrisInstance& instance : instances) names.push_back(instance.name);
  return names;
}

std::vector<std::string> paths_of(const std::vector<DataLocation>& locations) {
  std::vector<std::string> paths;
  for (const DataLocation& location : locations) paths.push_back(location.what + " " + location.path);
  return paths;
}

TEST(IrisQlist, IsReadWithAllItsFields) {
  const auto instances = parse_qlist(
      "INSTTEST^/ensemble/instances/insttest/^2018.1.1.643.0^running, since Fri May 13 22:07:02 "
      "2016^iris.cpf^56772^57772^62972^ok^IRIS^^^/mgr/config\n");
  ASSERT_THAT(instances, SizeIs(1));
  EXPECT_EQ(instances[0].name, "INSTTEST");
  EXPECT_EQ(instances[0].directory, "/ensemble/instances/insttest/");
  EXPECT_EQ(instances[0].version, "2018.1.1.643.0");
  EXPECT_EQ(instances[0].status, Status::running);
  EXPECT_EQ(instances[0].cpf, "iris.cpf");
  EXPECT_EQ(instances[0].state, "ok");
  EXPECT_EQ(instances[0].data_directory, "/mgr/config");
  EXPECT_EQ(instances[0].home(), "/mgr/config");
  EXPECT_FALSE(instances[0].is_hung());
}

TEST(IrisQlist, OfOlderVersionsHasFewerFields) {
  const auto instances = parse_qlist(
      "A^/a/^2015.2.2.805.0.16216^running, since Fri May 13 22:07:02 2016^cache.cpf^56772^57772^62972^ok^^Failover^"
      "Primary^/mgr/config\r\n"
      "B^/b/^2012.2.3.903.2.12515^down, last used Thu Sep 15 18:58:30 2016^cache.cpf^56772^57772^62972\r\n"
      "C^/c/^2012.2^sign-on inhibited, since Thu Sep 15 18:58:30 2016\r\n");
  ASSERT_THAT(names_of(instances), ElementsAre("A", "B", "C"));
  EXPECT_EQ(instances[0].status, Status::running);
  EXPECT_EQ(instances[1].status, Status::down);
  EXPECT_EQ(instances[1].home(), "/b/");
  EXPECT_EQ(instances[1].state, "");
  EXPECT_EQ(instances[2].status, Status::other);
}

TEST(IrisQlist, TellsAnInstanceThatHangs) {
  const auto instances = parse_qlist("A^/a/^1^running, since long^iris.cpf^1^2^3^hung^IRIS^^^");
  ASSERT_THAT(instances, SizeIs(1));
  EXPECT_TRUE(instances[0].is_hung());
}

TEST(IrisQlist, LeavesOutWhatIsNoInstance) {
  EXPECT_THAT(parse_qlist(""), IsEmpty());
  EXPECT_THAT(parse_qlist("\n\n"), IsEmpty());
  EXPECT_THAT(parse_qlist("iris: command not found\n"), IsEmpty());
  EXPECT_THAT(parse_qlist("A^/a/^1\n"), IsEmpty()) << "too few fields";
  EXPECT_THAT(parse_qlist("^/a/^1^running\n"), IsEmpty());
  EXPECT_THAT(parse_qlist("-U^/a/^1^running\n"), IsEmpty()) << "would be an option of irissession";
  EXPECT_THAT(parse_qlist("A B^/a/^1^running\n"), IsEmpty());
  EXPECT_THAT(parse_qlist("A;reboot^/a/^1^running\n"), IsEmpty());
  EXPECT_THAT(names_of(parse_qlist("warning: something\nA^/a/^1^running\nA^/b/^1^down\n")), ElementsAre("A"));
}

TEST(IrisQall, IsReadFromItsTable) {
  const auto instances = parse_qall(
      "\n    Instance          Version ID        Port   Directory\n"
      "    -------------     ----------        ----   ---------\n"
      "up  irishealth        2022.1.0.114.0    51773  /usr/iris health\n"
      "up >IRIS              2022.1.0.114.0    1972   /usr/irissys\n"
      "dn  OLD               2019.1.0.114.0    51774  /usr/old\n");
  ASSERT_THAT(names_of(instances), ElementsAre("irishealth", "IRIS", "OLD"));
  EXPECT_EQ(instances[0].status, Status::running);
  EXPECT_EQ(instances[0].version, "2022.1.0.114.0");
  EXPECT_EQ(instances[0].directory, "/usr/iris health");
  EXPECT_EQ(instances[2].status, Status::down);
}

TEST(IrisQall, LeavesOutWhatIsNoInstance) {
  EXPECT_THAT(parse_qall(""), IsEmpty());
  EXPECT_THAT(parse_qall("up\n"), IsEmpty());
  EXPECT_THAT(parse_qall("up --help 1 2 /x\n"), IsEmpty());
  EXPECT_THAT(parse_qall("upset IRIS 1 2 /x\nupdate of A^B^C^D\n"), IsEmpty());
}

TEST(IrisList, IsReadFromItsParagraphs) {
  const auto instances = parse_list(
      "\nConfiguration 'IRIS'   (default)\n        directory:    /usr/irissys\n        versionid:    2021.1.0.215.0\n"
      "        datadir:      /usr/irissys\n"
      "        conf file:    iris.cpf  (SuperServer port = 51773, WebServer = 52773)\n"
      "        status:       running, since Wed Aug  4 07:12:45 2021\n"
      "        mirroring: Member Type = Failover; Status = Primary\n        state:        ok\n"
      "        product:      InterSystems IRISHealth\n\n"
      "Configuration 'OLD'\r\n\tdirectory: /usr/old\r\n\tversionid: 2018.1\r\n\tdatadir: /durable\r\n"
      "\tconf file: /durable/iris.cpf\r\n\tstatus: down, last used Tue Jun 27 01:50:36 2023\r\n"
      "Configuration 'A B'\n  status: running\nConfiguration 'NONE'\n  directory: /x\n");
  ASSERT_THAT(names_of(instances), ElementsAre("IRIS", "OLD"));
  EXPECT_EQ(instances[0].directory, "/usr/irissys");
  EXPECT_EQ(instances[0].home(), "/usr/irissys");
  EXPECT_EQ(instances[0].version, "2021.1.0.215.0");
  EXPECT_EQ(instances[0].cpf, "iris.cpf");
  EXPECT_EQ(instances[0].status, Status::running);
  EXPECT_EQ(instances[0].state, "ok");
  EXPECT_EQ(instances[0].mirror, "Failover, Primary");
  EXPECT_TRUE(instances[0].is_mirror_primary());
  EXPECT_EQ(instances[1].status, Status::down);
  EXPECT_EQ(instances[1].home(), "/durable");
  EXPECT_EQ(instances[1].cpf, "/durable/iris.cpf");
  EXPECT_EQ(instances[1].mirror, "");
}

TEST(IrisQlist, TellsThePartInAMirror) {
  const auto instances = parse_qlist(
      "A^/a/^2023.1^running, since long^iris.cpf^1^2^3^ok^IRIS^Failover^Primary^/mgr\n"
      "B^/b/^2023.1^running, since long^iris.cpf^1^2^3^ok^IRIS^Disaster Recovery^Connected^/mgr\n"
      "C^/c/^2023.1^running, since long^iris.cpf^1^2^3^ok^IRIS^^^/mgr\n");
  ASSERT_THAT(instances, SizeIs(3));
  EXPECT_TRUE(instances[0].is_mirror_primary());
  EXPECT_EQ(instances[1].mirror, "Disaster Recovery, Connected");
  EXPECT_FALSE(instances[1].is_mirror_primary());
  EXPECT_EQ(instances[2].mirror, "");
}

TEST(IrisListings, MayBeAnythingAtAll) {
  std::mt19937 random(20);
  const std::string letters = "up dn^^^^\n\n\r\t>-_.AB12/,\x80\xff running down";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::size_t left = random() % 80; left > 0; --left) text += letters[random() % letters.size()];
    for (const auto& instances : {parse_qlist(text), parse_qall(text), parse_list("Configuration 'A'\n" + text)}) {
      for (const IrisInstance& instance : instances) ASSERT_TRUE(is_instance_name(instance.name)) << text;
    }
    static_cast<void>(locations_in_cpf(parse_ini(text)));
    static_cast<void>(parse_container(text));
  }
}

TEST(IrisCpf, NamesDatabasesAndJournals) {
  const auto cpf = parse_ini(
      "[ConfigFile]\r\nProduct=IRIS\r\n\r\n[Databases]\r\nIRISSYS=/usr/irissys/mgr/\r\nBILLING=/usr/billing/,,1\r\n"
      "SALES=/sales/,SALESERVER\r\nSTREAMS=/s/,,0,0,,/blobs/\r\nWINDOWS=c:\\x\\\r\n; a comment=/no/\r\n"
      "[Journal]\r\nAlternateDirectory=/alt/\r\nCurrentDirectory=/jrn/\r\nFileSizeLimit=1024\r\n"
      "[Namespaces]\r\nUSER=USER\r\n[config]\r\nwijdir=/wij/\r\n");
  EXPECT_THAT(
      paths_of(locations_in_cpf(cpf)),
      ElementsAre("database IRISSYS /usr/irissys/mgr/", "database BILLING /usr/billing/", "database STREAMS /s/",
                  "streams of STREAMS /blobs/", "journal /alt/", "journal /jrn/", "write image journal /wij/"));
}

TEST(IrisCpf, IsFoundWhereTheInstanceSays) {
  const fakes::Scratch scratch;
  scratch.write("install/iris.cpf", "[Journal]\nCurrentDirectory=/journal-of-install\n");
  scratch.write("durable/iris.cpf", "[Journal]\nCurrentDirectory=/journal-of-durable\n");
  IrisInstance instance;
  instance.name = "A";
  instance.directory = scratch / "install";
  instance.cpf = "iris.cpf";
  EXPECT_THAT(paths_of(locations_of(instance)),
              ElementsAre("A journal /journal-of-install", "A manager's directory " + (scratch / "install/mgr")));
  instance.data_directory = scratch / "durable";
  EXPECT_THAT(paths_of(locations_of(instance)),
              ElementsAre("A journal /journal-of-durable", "A manager's directory " + (scratch / "durable/mgr")));
  instance.data_directory = scratch / "not-here";
  EXPECT_THAT(paths_of(locations_of(instance)),
              ElementsAre("A journal /journal-of-install", "A manager's directory " + (scratch / "not-here/mgr")));
  instance.cpf = scratch / "durable/iris.cpf";
  EXPECT_EQ(locations_of(instance)[0].path, "/journal-of-durable");
  instance.directory = "relative";
  EXPECT_THAT(locations_of(instance), IsEmpty());
}

TEST(IrisCalls, QuoteTheirArguments) {
  EXPECT_EQ(objectscript_literal(R"(a"b)"), R"("a""b")");
  EXPECT_EQ(is_suspended_call(), "##Class(Backup.General).IsWDSuspendedExt()");
  EXPECT_EQ(thaw_call("/l"), R"(##Class(Backup.General).ExternalThaw("/l"))");
  EXPECT_EQ(set_history_call("/l", "d"), R"(##Class(Backup.General).ExternalSetHistory("/l","d"))");
}

TEST(IrisCalls, FreezeWithTheTimeOutInTheSeventhAndTheLimitInTheTenthPlace) {
  EXPECT_EQ(freeze_call("/l", "m", std::chrono::seconds(600), std::chrono::seconds(70)),
            R"(##Class(Backup.General).ExternalFreeze("/l","m",,,,,600,,,70))");
  EXPECT_EQ(freeze_call("/l", "m", std::chrono::seconds(600), std::nullopt),
            R"(##Class(Backup.General).ExternalFreeze("/l","m",,,,,600))");
}

TEST(IrisContainers, AreReadFromWhatInspectPrints) {
  const fakes::Scratch scratch;
  scratch.write("volume/x", "");
  scratch.write("layer/x", "");
  const auto state = parse_container(
      "WARNING: Error loading config file\n"
      R"({"running":true,"paused":false,"mounts":[{"Type":"volume","Source":")" +
      (scratch / "volume") +
      R"(","Destination":"/dur","RW":true},{"Type":"bind","Source":"/etc","Destination":"/etc","RW":false},)"
      R"({"Type":"tmpfs","Destination":"/tmp","RW":true}],"graph":{"Data":{"UpperDir":")" +
      (scratch / "layer") + R"("},"Name":"overlay2"},"hosts":null})" + "\n");
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_TRUE(state->running);
  EXPECT_THAT(paths_of(state->volumes), ElementsAre("volume /dur " + (scratch / "volume")));
  EXPECT_THAT(paths_of(state->storage), ElementsAre("container's own files " + (scratch / "layer")));
}

TEST(IrisContainers, ThatArePausedOrUnknownDoNotRun) {
  EXPECT_FALSE(parse_container(R"({"running":true,"paused":true,"mounts":null,"graph":null,"hosts":null})")->running);
  EXPECT_FALSE(parse_container("{}")->running);
  EXPECT_FALSE(parse_container("Error: No such container"));
  EXPECT_FALSE(parse_container(R"({"running":)"));
}

TEST(IrisLogFiles, LieWhereTheInstancesAccountAndNobodyElseCanWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const fakes::Scratch scratch;
  const std::string parent = scratch / "logs";
  const mode_t umask_before = ::umask(0077);  // As the watchdog has it.
  EXPECT_EQ(*log_directory_of("", parent), parent + "/root");
  for (int twice = 0; twice < 2; ++twice) EXPECT_EQ(*log_directory_of("daemon", parent), parent + "/daemon");
  ::umask(umask_before);
  struct stat status {};
  ASSERT_EQ(::stat(parent.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0755U);
  ASSERT_EQ(::stat((parent + "/daemon").c_str(), &status), 0);
  EXPECT_NE(status.st_uid, 0U);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  EXPECT_FALSE(log_directory_of("no-such-account", parent));
}

TEST(IrisLogFiles, AreNotPutWhereOthersCouldHaveLaidASnare) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const fakes::Scratch scratch;
  scratch.write("logs/x", "");
  ::chmod((scratch / "logs").c_str(), 0777);
  EXPECT_FALSE(log_directory_of("daemon", scratch / "logs"));
  EXPECT_FALSE(log_directory_of("daemon", scratch.write("file", "")));
}

}  // namespace
}  // namespace dlm_freeze::iris
