# SPDX-License-Identifier: Apache-2.0
# How a test gets into CTest: with labels and a time-out, always.
#
# Labels: unit, process, cli, root, faults, mysql, postgresql, servers, structure, packaging, model. Whatever needs root carries
# "root" among others, and skips itself (GTEST_SKIP, exit code 77) where it cannot run; scripts/test fails if such a test
# is skipped although the machine allows it. LOCK: no two with the same lock run at the same time; since
# they take the longest together, they are begun first. What also carries "timing" races with the clock, or meets what the tests
# beside it have mounted and started: scripts/test gives it a second try, alone, and says so. No other test gets one.

include(GoogleTest)

add_custom_target(unprivileged_tests)

# The headers that all tests include are read once.
add_executable(dlm_freeze_test_headers ${PROJECT_SOURCE_DIR}/tests/headers.cpp)
target_link_libraries(dlm_freeze_test_headers PRIVATE dlm_freeze_options GTest::gmock_main)
target_precompile_headers(dlm_freeze_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
set_target_properties(dlm_freeze_test_headers PROPERTIES DLM_FREEZE_IS_TEST ON CXX_CLANG_TIDY "")

# dlm_freeze_add_test(NAME <target> SOURCES <file>... LABELS <label>... [TIMEOUT <seconds>] [LIBS <library>...] [LOCK <name>]
#                     [FINAL <regex>])
#
# A GoogleTest binary. It may include private headers as "fs/mount_table.hpp" and helpers as "fakes/kernel.hpp", and
# knows DLM_FREEZE_BINARY, the path of the agent, DLM_FREEZE_SOURCE_DIR, and DLM_FREEZE_TEST_DATA, that of tests/data.
# The target `unprivileged_tests` builds those that do not need root. In CTest its tests are
# <target>.<suite>.<test>; TIMEOUT, 60 unless said, is for each of them. Those whose whole <suite>.<test> matches FINAL lack
# the label "timing" of the others; a regex that matches none is an error.
function(dlm_freeze_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT;LOCK;FINAL" "SOURCES;LABELS;LIBS")
  _dlm_freeze_check_test_arguments(NAME SOURCES LABELS)

  add_executable(${arg_NAME} ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE dlm_freeze_core dlm_freeze_options ${arg_LIBS} GTest::gmock_main)
  target_precompile_headers(${arg_NAME} REUSE_FROM dlm_freeze_test_headers)
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${arg_NAME} PRIVATE DLM_FREEZE_BINARY="$<TARGET_FILE:dlm_freeze_cli>"
                                                 DLM_FREEZE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                 DLM_FREEZE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  # Together, since most of the time goes into templates that all of them use.
  set_target_properties(${arg_NAME} PROPERTIES UNITY_BUILD ${DLM_FREEZE_PRECOMPILE} UNITY_BUILD_BATCH_SIZE 8
                                               DLM_FREEZE_IS_TEST ON CXX_CLANG_TIDY "") # GoogleTest's macros break most of its rules
  add_dependencies(${arg_NAME} dlm_freeze_cli)
  if(NOT "root" IN_LIST arg_LABELS)
    add_dependencies(unprivileged_tests ${arg_NAME})
  endif()

  gtest_discover_tests(
    ${arg_NAME}
    TEST_PREFIX ${arg_NAME}.
    TEST_LIST tests_of_${arg_NAME}
    NO_PRETTY_VALUES # a parameter with a name has it in the test's name already
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 30)

  # Its own PROPERTIES cannot hold a list, which more than one label is; what CTest reads after its findings can. There,
  # a label that is set comes to those that were set before.
  set(labels ${arg_LABELS})
  list(REMOVE_ITEM labels timing)
  set(properties_file ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_properties.cmake)
  file(CONFIGURE OUTPUT ${properties_file} @ONLY CONTENT [[
if(tests_of_@arg_NAME@)
  set_tests_properties(
    ${tests_of_@arg_NAME@} PROPERTIES LABELS "@labels@" TIMEOUT @arg_TIMEOUT@ RESOURCE_LOCK "@arg_LOCK@" COST @cost@)
  set(timing ${tests_of_@arg_NAME@})
  list(FILTER timing EXCLUDE REGEX "^@arg_NAME@[.](@arg_FINAL@)$")
  if(NOT "@arg_FINAL@" STREQUAL "" AND timing STREQUAL tests_of_@arg_NAME@)
    message(FATAL_ERROR "@arg_NAME@ has no test for FINAL @arg_FINAL@")
  endif()
  if("@arg_LABELS@" MATCHES "timing")
    set_tests_properties(${timing} PROPERTIES LABELS timing)
  endif()
endif()
]])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${properties_file})
endfunction()

# dlm_freeze_add_script_test(NAME <test> COMMAND <word>... LABELS <label>... [TIMEOUT <seconds>] [LOCK <name>])
#
# Any other program: it passes by exit code 0 and is skipped by 77. It finds DLM_FREEZE_BINARY in its environment.
function(dlm_freeze_add_script_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT;LOCK" "COMMAND;LABELS")
  _dlm_freeze_check_test_arguments(NAME COMMAND LABELS)

  add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
  set_tests_properties(
    ${arg_NAME}
    PROPERTIES LABELS "${arg_LABELS}"
               TIMEOUT ${arg_TIMEOUT}
               RESOURCE_LOCK "${arg_LOCK}"
               COST ${cost}
               SKIP_RETURN_CODE 77
               ENVIRONMENT "DLM_FREEZE_BINARY=$<TARGET_FILE:dlm_freeze_cli>")
endfunction()

# Fails for a missing or an unknown argument of the caller and gives TIMEOUT its default.
macro(_dlm_freeze_check_test_arguments)
  foreach(required ${ARGN})
    if(NOT arg_${required})
      message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION}: ${required} is missing")
    endif()
  endforeach()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION}: unknown argument: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  set(cost 0)
  if(arg_LOCK)
    set(cost 1)
  endif()
endmacro()
