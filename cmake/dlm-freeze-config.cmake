# SPDX-License-Identifier: Apache-2.0
# find_package(dlm-freeze): what a quiescer in a module of your own is built with (docs/writing-a-quiescer.md).
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(tl-expected)
include(${CMAKE_CURRENT_LIST_DIR}/dlm-freeze-targets.cmake)

# dlm_freeze_add_quiescer_module(<type> <source>...): the module quiesce-<type>.so, as a target of that name. It goes into
# lib/dlm-freeze beside the program's own modules, and must belong to root there.
function(dlm_freeze_add_quiescer_module type)
  add_library(quiesce-${type} MODULE ${ARGN})
  target_link_libraries(quiesce-${type} PRIVATE dlm_freeze::kit)
  target_link_options(quiesce-${type} PRIVATE -Wl,--exclude-libs,ALL)
  set_target_properties(quiesce-${type} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
