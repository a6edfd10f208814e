# SPDX-License-Identifier: Apache-2.0
# Toolchain of the preset package-arm64.
set(architecture arm64)
set(machine aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/sysroot.cmake)

# Debian's cross compiler looks for headers, too, first in the host's libc6-dev-arm64-cross. So in nothing but these, in its order.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=include OUTPUT_VARIABLE compilers OUTPUT_STRIP_TRAILING_WHITESPACE)
cmake_path(GET compilers PARENT_PATH version)
cmake_path(GET version FILENAME version)
set(library_headers /usr/${machine}-linux-gnu/include/c++/${version})
set(c_headers "-isystem ${compilers} -isystem ${CMAKE_SYSROOT}/usr/include/${machine}-linux-gnu -isystem ${CMAKE_SYSROOT}/usr/include")
set(CMAKE_C_FLAGS_INIT "-nostdinc ${c_headers}")
set(CMAKE_CXX_FLAGS_INIT
    "-nostdinc -nostdinc++ -isystem ${library_headers} -isystem ${library_headers}/${machine}-linux-gnu -isystem ${library_headers}/backward ${c_headers}")

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${CMAKE_SYSROOT})
