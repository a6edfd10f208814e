# SPDX-License-Identifier: Apache-2.0
# How our own code is compiled and linked: every target of ours links dlm_freeze_options. Warnings become errors by
# CMAKE_COMPILE_WARNING_AS_ERROR, which the developers' presets set.

set(DLM_FREEZE_SANITIZE "" CACHE STRING "Sanitizers to build with, as for -fsanitize=")
option(DLM_FREEZE_COVERAGE "Instrument for gcov" OFF)
option(DLM_FREEZE_HARDEN "Stack protector, FORTIFY_SOURCE, full RELRO and the like (needs optimisation)" OFF)
option(DLM_FREEZE_STATIC_RUNTIME "Link libstdc++ and libgcc statically" OFF)
option(DLM_FREEZE_PRECOMPILE "Read the headers of the standard library once, compile tests together; without it, who forgot to include one is told" ON)
option(DLM_FREEZE_OLD_GLIBC "Replace what is newer than glibc 2.17 (src/base/old_glibc.cpp; needs a sysroot of an older system)" OFF)

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

# Tests are not what is tested: they are compiled quickly, without optimisation, whatever the build type.
set(is_test $<BOOL:$<TARGET_PROPERTY:DLM_FREEZE_IS_TEST>>)

add_library(dlm_freeze_options INTERFACE)
target_compile_features(dlm_freeze_options INTERFACE cxx_std_20)
target_compile_definitions(dlm_freeze_options INTERFACE _GLIBCXX_ASSERTIONS)
target_compile_options(
  dlm_freeze_options
  INTERFACE
    -Wall
    -Wextra
    -Wpedantic
    -Wcast-align
    -Wcast-qual
    -Wconversion
    -Wdouble-promotion
    -Wextra-semi
    -Wformat=2
    -Wimplicit-fallthrough
    -Wmissing-declarations
    -Wnon-virtual-dtor
    -Wold-style-cast
    -Woverloaded-virtual
    -Wshadow
    -Wsign-conversion
    -Wundef
    -Wunused
    $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-branches
    -Wduplicated-cond
    -Wlogical-op
    -Wsuggest-override
    -Wno-maybe-uninitialized> # g++ 12 sees it in every moved std::variant; the analyzer and the sanitizers look instead
    $<$<CONFIG:Release>:-ffunction-sections
    -fdata-sections>
    $<${is_test}:-O0>)
target_link_options(dlm_freeze_options INTERFACE -Wl,--as-needed $<$<CONFIG:Release>:-Wl,--gc-sections>)

if(DLM_FREEZE_SANITIZE)
  target_compile_options(dlm_freeze_options INTERFACE -fsanitize=${DLM_FREEZE_SANITIZE} -fno-sanitize-recover=all
                                                      -fno-omit-frame-pointer)
  target_link_options(dlm_freeze_options INTERFACE -fsanitize=${DLM_FREEZE_SANITIZE})
endif()

if(DLM_FREEZE_COVERAGE)
  target_compile_options(dlm_freeze_options INTERFACE --coverage -fprofile-update=atomic)
  target_compile_definitions(dlm_freeze_options INTERFACE DLM_FREEZE_COVERAGE) # forked processes count before they end
  target_link_options(dlm_freeze_options INTERFACE --coverage)
endif()

if(DLM_FREEZE_HARDEN)
  target_compile_options(
    dlm_freeze_options
    INTERFACE -U_FORTIFY_SOURCE
              $<$<NOT:${is_test}>:-D_FORTIFY_SOURCE=3>
              -fstack-protector-strong
              -fstack-clash-protection
              $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>
              $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},aarch64>:-mbranch-protection=standard>)
  # "now" also means that no symbol is looked up while a filesystem is frozen.
  target_link_options(dlm_freeze_options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

if(DLM_FREEZE_STATIC_RUNTIME)
  target_link_options(dlm_freeze_options INTERFACE -static-libstdc++ -static-libgcc)
endif()

# dlm_freeze_precompile(<target> [<like>]): the headers that nearly every file includes are read once, for <target>, or for <like>,
# whose options it has to share. Not for the modules: there, g++ 12 then takes a string that is moved for one that is overrun.
function(dlm_freeze_precompile target)
  if(NOT DLM_FREEZE_PRECOMPILE)
    return()
  endif()
  if(ARGC GREATER 1)
    target_precompile_headers(${target} REUSE_FROM ${ARGV1})
  else()
    target_precompile_headers(
      ${target}
      PRIVATE
      <algorithm>
      <chrono>
      <filesystem>
      <functional>
      <map>
      <memory>
      <optional>
      <set>
      <string>
      <tl/expected.hpp>
      <utility>
      <variant>
      <vector>)
  endif()
endfunction()
