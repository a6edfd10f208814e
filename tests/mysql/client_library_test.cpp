// SPDX-License-Identifier: Apache-2.0
// What the module takes for granted of a client library, compared with the header of the one that is installed here.
#include "quiesce/mysql/client_library.hpp"

#include <gmock/gmock.h>
#include <mysql.h>

#include <cstddef>
#include <type_traits>

namespace dlm_freeze::mysql {
namespace {

constexpr bool is(ClientOption ours, mysql_option theirs) { return static_cast<int>(ours) == static_cast<int>(theirs); }
static_assert(is(ClientOption::connect_timeout, MYSQL_OPT_CONNECT_TIMEOUT));
static_assert(is(ClientOption::default_file, MYSQL_READ_DEFAULT_FILE));
static_assert(is(ClientOption::default_group, MYSQL_READ_DEFAULT_GROUP));
static_assert(is(ClientOption::local_infile, MYSQL_OPT_LOCAL_INFILE));
static_assert(is(ClientOption::protocol, MYSQL_OPT_PROTOCOL));
static_assert(is(ClientOption::read_timeout, MYSQL_OPT_READ_TIMEOUT));
static_assert(is(ClientOption::write_timeout, MYSQL_OPT_WRITE_TIMEOUT));
static_assert(static_cast<int>(ClientProtocol::tcp) == MYSQL_PROTOCOL_TCP);
static_assert(static_cast<int>(ClientProtocol::socket) == MYSQL_PROTOCOL_SOCKET);

static_assert(std::is_same_v<MYSQL_ROW, char**>);
static_assert(offsetof(MYSQL_FIELD, name) == offsetof(ClientField, name));
static_assert(sizeof(decltype(::mysql_read_query_result(nullptr))) == sizeof(char));
static_assert(std::is_same_v<decltype(::mysql_thread_id(nullptr)), unsigned long>);
static_assert(std::is_same_v<decltype(::mysql_fetch_lengths(nullptr)), unsigned long*>);
static_assert(std::is_same_v<decltype(::mysql_num_fields(nullptr)), unsigned>);
static_assert(std::is_same_v<decltype(::mysql_get_client_version()), unsigned long>);
// The socket of Oracle's, whose library has no function for it.
static_assert(offsetof(MYSQL, net) == 0 && offsetof(NET, fd) == 5 * sizeof(void*));

TEST(ClientLibrary, IsOneThatThisHostHas) {
  const auto& library = client_library();
  ASSERT_TRUE(library) << library.error().message;
  EXPECT_THAT(library->name, testing::MatchesRegex("lib(mariadb|mysqlclient|perconaserverclient)[.]so[.][0-9]+"));
  EXPECT_TRUE(library->can_encrypt());
}

TEST(ClientLibrary, HasTheNumbersOfItsHeader) {
  const auto& library = client_library();
  ASSERT_TRUE(library) << library.error().message;
#ifdef LIBMARIADB
  const bool is_headers_own = library->name.starts_with("libmariadb");
#else
  const bool is_headers_own = library->name.starts_with("libmysqlclient");
#endif
  if (!is_headers_own) GTEST_SKIP() << library->name << " is not the library of the header";
  EXPECT_EQ(library->numbers.connect_attribute, MYSQL_OPT_CONNECT_ATTR_ADD);
  EXPECT_EQ(library->numbers.tls_ca, MYSQL_OPT_SSL_CA);
#ifdef LIBMARIADB
  EXPECT_EQ(library->numbers.tls_enforce, MYSQL_OPT_SSL_ENFORCE);
  EXPECT_EQ(library->numbers.tls_verify, MYSQL_OPT_SSL_VERIFY_SERVER_CERT);
  EXPECT_EQ(library->numbers.tls_mode, -1);
#else
  EXPECT_EQ(library->numbers.tls_mode, MYSQL_OPT_SSL_MODE);
  EXPECT_EQ(library->numbers.ask_for_password_key, MYSQL_OPT_GET_SERVER_PUBLIC_KEY);
  EXPECT_EQ(static_cast<int>(ClientTlsMode::disabled), SSL_MODE_DISABLED);
  EXPECT_EQ(static_cast<int>(ClientTlsMode::required), SSL_MODE_REQUIRED);
  EXPECT_EQ(static_cast<int>(ClientTlsMode::verify_identity), SSL_MODE_VERIFY_IDENTITY);
#endif
}

TEST(ClientLibrary, KnowsTheSocketOfAHandleWithoutOne) {
  const auto& library = client_library();
  ASSERT_TRUE(library) << library.error().message;
  ClientHandle* handle = library->init(nullptr);
  ASSERT_NE(handle, nullptr);
  EXPECT_LE(library->socket_of(handle), 0);
  library->close(handle);
}

}  // namespace
}  // namespace dlm_freeze::mysql
